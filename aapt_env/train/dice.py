"""All randomness of a training is a function of (seed, stage, step): resuming needs no saved generator."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Dice:
    """`pick` draws indices on the CPU; `torch` draws noise on the device; `step` is whose dice they are."""

    pick: np.random.Generator
    torch: torch.Generator
    step: int = 0

    @classmethod
    def of(
        cls,
        seed: int,
        stage: str,
        step: int,
        device: torch.device | str = "cpu",
        generator: torch.Generator | None = None,
    ) -> Dice:
        """The dice of one step; a generator that is given, on the device, is seeded and used."""
        pick = np.random.default_rng((seed, zlib.crc32(stage.encode()), step))
        generator = torch.Generator(device) if generator is None else generator
        return cls(pick, generator.manual_seed(int(pick.integers(2**62))), step)

    def normal(self, *shape: int) -> torch.Tensor:
        """Standard normal, on the device."""
        return torch.randn(*shape, generator=self.torch, device=self.torch.device)

    def uniform(self, *shape: int) -> torch.Tensor:
        """Uniform in [0, 1), on the device."""
        return torch.rand(*shape, generator=self.torch, device=self.torch.device)
