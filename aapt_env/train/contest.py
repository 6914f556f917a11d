"""What critic and generator play for: the relativistic loss, its penalties, their balance, and what stands still."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STANDS = 0.02  # mean square at which a cell of unit-variance latents is no longer the same
NEAR = 0.3  # mean square at which a dream is no longer where the game is


def relativistic(fake: dict[str, Tensor], real: dict[str, Tensor]) -> Tensor:
    """softplus(D(fake) - D(real)), mean over logits, summed over heads: what the critic minimises."""
    return torch.stack([F.softplus(fake[h] - real[h]).mean() for h in fake]).sum()


def squared_gap(moved: dict[str, Tensor], still: dict[str, Tensor]) -> Tensor:
    """Mean over logits of |D(x + noise) - D(x)|^2, summed over heads: approximated R1 on real, R2 on fake."""
    return torch.stack([(moved[h] - still[h]).square().mean() for h in moved]).sum()


def standing(latents: Tensor) -> Tensor:
    """How much a cell of [B, 1 + T, C, h, w] is what the first latent of k frames has: [B, 1 + T, h, w], 0 to 1."""
    return torch.exp(-(latents - latents[:, 1:2]).square().mean(dim=2) / STANDS)


def near(dreamt: Tensor, real: Tensor) -> Tensor:
    """How much a dream is still where the game is, by one latent of each [B, C, h, w]: [B], 1 where they are equal."""
    return torch.exp(-(dreamt - real).square().flatten(1).mean(dim=1) / NEAR)


class Balance(nn.Module):
    """Keeps the critic a little ahead: the nearer the contest is to a draw, the slower the generator learns.

    A generator's Adam step is as long as its rate whatever its gradient says, so that at a fixed rate it outruns a
    critic that knows nothing yet, whose logits then shrink to nothing.
    """

    def __init__(self, lead: float, decay: float = 0.8, least: float = 0.02):
        super().__init__()
        self.lead, self.decay, self.least = lead, decay, least
        self.register_buffer("loss", torch.tensor(math.log(2)))

    def watch(self, loss: Tensor) -> None:
        """Take the critic's loss of a step, before it learns from it, into the running mean."""
        self.loss.lerp_(loss.detach().to(self.loss.dtype), 1 - self.decay)

    def pace(self) -> float:
        """The generator's share of its learning rate, in [least, 1]."""
        ahead = (math.log(2) - self.loss.item()) / (math.log(2) - self.lead)
        return min(1.0, max(self.least, ahead))
