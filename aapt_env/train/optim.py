"""How weights move: by Adam; and their moving average, which plays."""

from __future__ import annotations

import torch
from torch import nn


def adam(
    module: nn.Module, lr: float, betas: tuple[float, float] = (0.9, 0.999), decay: float = 0.01
) -> torch.optim.AdamW:
    """AdamW over all of a module's parameters, one fused kernel per step.

    Args:
        module: what is trained.
        lr: its learning rate before any warm-up or decay.
        betas: of the running means of gradients and of their squares.
        decay: weight decay.
    """
    return torch.optim.AdamW(
        module.parameters(), lr=lr, betas=betas, weight_decay=decay, fused=True
    )


@torch.no_grad()
def average(target: nn.Module, source: nn.Module, decay: float, step: int) -> None:
    """EMA: target <- d * target + (1 - d) * source, where d grows to `decay` over the first steps."""
    d = min(decay, (step + 1) / (step + 10))
    pairs = list(zip(target.parameters(), source.parameters(), strict=True))
    torch._foreach_lerp_([a for a, _ in pairs], [b for _, b in pairs], 1 - d)
