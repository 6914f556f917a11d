"""What critic and generator play for: the relativistic loss, its penalties, their balance, and what stands still."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aapt_env.train.clips import Clip

STANDS = 0.02  # mean square at which a cell of unit-variance latents is no longer the same


def relativistic(fake: dict[str, Tensor], real: dict[str, Tensor]) -> Tensor:
    """softplus(D(fake) - D(real)), mean over logits, summed over heads: what the critic minimises."""
    return torch.stack([F.softplus(fake[h] - real[h]).mean() for h in fake]).sum()


def squared_gap(moved: dict[str, Tensor], still: dict[str, Tensor]) -> Tensor:
    """Mean over logits of |D(x + noise) - D(x)|^2, summed over heads: approximated R1 on real, R2 on fake."""
    return torch.stack([(moved[h] - still[h]).square().mean() for h in moved]).sum()


def standing(clip: Clip, played: Clip) -> Tensor:
    """How much a cell is what it was in the first latent of k frames, 0 to 1: [B, 1 + T, h, w].

    Args:
        clip: real.
        played: the same under the controls of the dream; where those are others, nothing is known to stand.
    """
    moved = (clip.latents - clip.latents[:, 1:2]).square().mean(dim=2)
    same = (clip.controls == played.controls).flatten(1).all(dim=1)
    return torch.exp(-moved / STANDS) * same[:, None, None, None]


def miss_standing(fake: Tensor, real: Tensor, stands: Tensor) -> Tensor:
    """Mean squared error [] of dreamt latents [B, 1 + T, C, h, w], of cells that stand: one answer is right there.

    A critic hardly minds a picture that grows a little harder at each latent; who stands still sees it grow for ever.
    """
    return ((fake - real).square().mean(dim=2) * stands).mean()


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
