"""The noise of positions to come, made several at a time."""

from __future__ import annotations

import torch
from torch import Tensor

from aapt_env.model.rollout import noise_at

MOST = 2**17  # values made at once: no step may wait long for those of later ones


class NoiseAhead:
    """`noise_at` for a world that goes on position by position.

    A hundred small operations make the noise of one position, and the same hundred that of eight. Seeds and ages are
    compared at each step, so resets, loads and forks need tell it nothing. Comparing waits for a GPU: for CPUs.

    Args:
        shape: (C, h, w) of a latent.
        ahead: positions made at once, fewer for large batches.
    """

    def __init__(self, shape: tuple[int, ...], ahead: int = 8):
        self.shape, self.ahead = shape, ahead
        self.seeds = self.age = torch.zeros(0, dtype=torch.int64)  # that `made` begins with
        self.made: Tensor | None = None  # [positions, B, C, h, w]
        self.used = 0

    def at(self, seeds: Tensor, age: Tensor) -> Tensor:
        """As `noise_at(seeds, age + 1, shape)`, to the bit.

        Args:
            seeds: [B] int64.
            age: [B] int64, positions that are complete.

        Returns:
            [B, C, h, w] float32.
        """
        left = self.made is not None and self.used < len(self.made)
        if not (left and torch.equal(seeds, self.seeds) and torch.equal(age - self.used, self.age)):
            self.make(seeds, age)
        assert self.made is not None
        self.used += 1
        return self.made[self.used - 1]

    def make(self, seeds: Tensor, age: Tensor) -> None:
        """Noise of the next positions."""
        rows, values = len(seeds), 1
        for size in self.shape:
            values *= size
        count = max(1, min(self.ahead, MOST // (values * max(rows, 1))))
        steps = torch.arange(1, count + 1, device=age.device)
        positions = (age + steps[:, None]).flatten()
        made = noise_at(seeds.repeat(count), positions, self.shape)
        self.made, self.used = made.unflatten(0, (count, rows)), 0
        self.seeds, self.age = seeds.clone(), age.clone()
