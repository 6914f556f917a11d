"""The critic: the generator's trunk at full depth with logits instead of a velocity.

AAPT v2, section 2.2; heads after APT, arXiv 2501.08316.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aapt_env.model.generator import Generator
from aapt_env.model.trunk import Trunk, TrunkConfig
from aapt_env.spec import ControlSpec

HEADS = ("latent", "video")


class LogitHead(nn.Module):
    """Every token has a say: its features at the taps, normalised and joined, give a logit; a group's is their mean."""

    def __init__(self, dim: int, taps: int):
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(taps))
        self.logit = nn.Linear(taps * dim, 1)
        nn.init.normal_(self.logit.weight, std=0.02)
        nn.init.zeros_(self.logit.bias)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Per tap [B, G, n, D] -> logits [B, G]: one per group of n tokens."""
        read = [norm(x) for norm, x in zip(self.norms, features, strict=True)]
        return self.logit(torch.cat(read, dim=-1))[..., 0].float().mean(-1)


class Critic(nn.Module):
    """Judges latents with the controls that made them.

    Position i reads `[latent_i | latent_{i-1} | control_i]`. The "latent" head is the paper's: the trunk is causal and
    each latent gets a logit that ignores the future. For the "video" head the trunk runs without the causal mask and
    the clip gets one logit (AAD-1, arXiv 2606.03972).
    """

    def __init__(
        self, config: TrunkConfig, control: ControlSpec, heads: tuple[str, ...] = ("latent",)
    ):
        super().__init__()
        unknown = sorted(set(heads) - set(HEADS))
        if unknown or not heads:
            raise ValueError(f"critic heads {heads}; expected some of {HEADS}")
        self.trunk = Trunk(config, control)
        depth = config.depth
        self.taps = tuple(sorted({depth // 2 - 1, 3 * depth // 4 - 1, depth - 1} - {-1}))
        self.heads = nn.ModuleDict({h: LogitHead(config.dim, len(self.taps)) for h in heads})

    def start_from(self, generator: Generator) -> None:
        """Begin from the diffusion weights, not the consistency weights (AAPT v2, section 2.2)."""
        self.trunk.load_state_dict(generator.trunk.state_dict())

    def forward(
        self, latents: Tensor, controls: Tensor, scene: Tensor, t: Tensor
    ) -> dict[str, Tensor]:
        """Logits of a clip.

        Args:
            latents: [B, 1 + T, C, h, w] clean; the first is only a `previous`. Not detached between the channels.
            controls: [B, T, k, width], control i made latent i.
            scene: [B, attributes].
            t: [B] time in [0, 1], unshifted: it only chooses the features that are looked at.

        Returns:
            {"latent": [B, T], "video": [B, 1]}, of the heads there are.
        """
        length = controls.shape[1]
        previous, _ = self.trunk.expected(latents[:, :-1], controls)
        time = t[:, None].expand(-1, length)
        logits = {}
        for name, head in self.heads.items():
            seen = self.trunk.clip(scene, length, causal=name == "latent")
            _, _, taps = self.trunk(latents[:, 1:], previous, controls, time, seen, self.taps)
            if name == "video":
                taps = [x.flatten(1, 2)[:, None] for x in taps]
            logits[name] = head(taps)
        return logits
