"""Any numbers that a dream carries."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aapt_env.spec import CarriedSpec, ControlSpec


class Numbers(nn.Module):
    """Any numbers: each on its scale, expected to stay, and shown to the networks as they are."""

    map_channels = 0

    def __init__(self, spec: CarriedSpec, control: ControlSpec, grid: tuple[int, int]):
        super().__init__()
        # plain numbers: a buffer would be rounded with the weights, and read back from a GPU at every step
        self.middle, self.spread, self.reach = spec.middle, spec.spread, spec.reach

    def encode(self, values: Tensor) -> Tensor:
        """[..., names] -> [..., channels]."""
        each = zip(values.unbind(-1), self.middle, self.spread, strict=True)
        return torch.stack([(v - middle) / spread for v, middle, spread in each], dim=-1)

    def decode(self, numbers: Tensor) -> Tensor:
        """[..., channels] -> [..., names]."""
        each = zip(numbers.unbind(-1), self.middle, self.spread, strict=True)
        return torch.stack([n * spread + middle for n, middle, spread in each], dim=-1)

    def expected(self, numbers: Tensor, controls: Tensor) -> Tensor:
        """The same, within reach."""
        each = zip(numbers.unbind(-1), self.reach, strict=True)
        return torch.stack([n.clamp(-reach, reach) for n, reach in each], dim=-1)

    def room(self, before: Tensor, expected: Tensor) -> Tensor:
        """A spread."""
        return torch.ones_like(before)

    def turned(self, latents: Tensor, before: Tensor, expected: Tensor) -> Tensor:
        """Latents [..., C, h, w] as they would look when the numbers are as expected: the same."""
        return latents

    def maps(self, numbers: Tensor) -> Tensor | None:
        """None."""
        return None
