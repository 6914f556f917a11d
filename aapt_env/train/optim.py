"""How weights move: by Adam, or the matrices of the blocks by Muon; and their moving average, which plays."""

from __future__ import annotations

import sys

import torch
from torch import nn
from torch.optim import AdamW, Optimizer

from aapt_env.device import fast_bf16

OPTIMIZERS = ("adam", "muon")


def adam(
    module: nn.Module, lr: float, betas: tuple[float, float] = (0.9, 0.999), decay: float = 0.01
) -> AdamW:
    """AdamW over all of a module's parameters, one fused kernel per step.

    Args:
        module: what is trained.
        lr: its learning rate before any warm-up or decay.
        betas: of the running means of gradients and of their squares.
        decay: weight decay.
    """
    return AdamW(module.parameters(), lr=lr, betas=betas, weight_decay=decay, fused=True)


class Mixed(Optimizer):
    """Several optimizers, each with parameters of its own, as one: one list of groups, one state, one step."""

    def __init__(self, *parts: Optimizer):
        self.parts = parts
        super().__init__([group for part in parts for group in part.param_groups], {})
        self._share()

    def _share(self) -> None:
        """Give the parts their groups and the state, which loading makes anew."""
        groups = iter(self.param_groups)
        for part in self.parts:
            part.param_groups, part.state = [next(groups) for _ in part.param_groups], self.state

    def load_state_dict(self, state_dict) -> None:
        """As any optimizer's."""
        super().load_state_dict(state_dict)
        self._share()

    def step(self, closure=None) -> None:
        """One step of each."""
        for part in self.parts:
            part.step()


def muon(
    module: nn.Module, lr: float, betas: tuple[float, float] = (0.9, 0.999), decay: float = 0.01
) -> Mixed:
    """Muon (Jordan et al. 2024) over the matrices of a trunk's blocks, steps as long as Adam's; AdamW over the rest."""
    try:
        from torch.optim import Muon
    except ImportError:
        raise ValueError(
            f"torch {torch.__version__} has no Muon: take torch 2.9 or newer, or adam"
        ) from None
    inner = {
        id(p): p for n, p in module.named_parameters() if ".blocks." in n and n.endswith(".weight") and p.ndim == 2
    }  # fmt: skip
    if not inner:
        raise ValueError(f"{type(module).__name__} has no blocks with matrices for Muon; use adam")
    rest = [p for p in module.parameters() if id(p) not in inner]
    hidden = Muon(inner.values(), lr=lr, weight_decay=decay, adjust_lr_fn="match_rms_adamw")
    return Mixed(hidden, AdamW(rest, lr=lr, betas=betas, weight_decay=decay, fused=True))


def optimizer(
    kind: str, module: nn.Module, lr: float, betas: tuple[float, float], decay: float = 0.01
) -> Optimizer:
    """One of OPTIMIZERS by its name. Raises ValueError: an unknown one."""
    if kind not in OPTIMIZERS:
        raise ValueError(f"optimizer {kind!r}; expected {' or '.join(OPTIMIZERS)}")
    if kind == "muon" and not fast_bf16(next(module.parameters()).device):
        print(
            "Muon computes in bf16, which this machine is slow at: an update can take ten times as long as with "
            'optimizer="adam" in the recipe',
            file=sys.stderr,
        )
    return {"adam": adam, "muon": muon}[kind](module, lr, betas, decay)


@torch.no_grad()
def average(target: nn.Module, source: nn.Module, decay: float, step: int) -> None:
    """EMA: target <- d * target + (1 - d) * source, where d grows to `decay` over the first steps."""
    d = min(decay, (step + 1) / (step + 10))
    pairs = list(zip(target.parameters(), source.parameters(), strict=True))
    torch._foreach_lerp_([a for a, _ in pairs], [b for _, b in pairs], 1 - d)
