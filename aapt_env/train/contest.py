"""What critic and generator play for: the relativistic loss, its penalties, their balance, and what stands still."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STANDS = 0.02  # mean square at which a cell of unit-variance latents is no longer the same
NEAR = 0.3  # mean square at which a dream's cell no longer shows what the game does


def relativistic(fake: dict[str, Tensor], real: dict[str, Tensor]) -> Tensor:
    """softplus(D(fake) - D(real)), mean over logits, summed over heads: what the critic minimises."""
    return torch.stack([F.softplus(fake[h] - real[h]).mean() for h in fake]).sum()


def squared_gap(moved: dict[str, Tensor], still: dict[str, Tensor]) -> Tensor:
    """Mean over logits of |D(x + noise) - D(x)|^2, summed over heads: approximated R1 on real, R2 on fake."""
    return torch.stack([(moved[h] - still[h]).square().mean() for h in moved]).sum()


def standing(latents: Tensor, begun: Tensor) -> Tensor:
    """How much a cell of [B, T, C, h, w] is what it is in `begun`, [B, 1, C, h, w]: [B, T, h, w], 0 to 1."""
    return torch.exp(-(latents - begun).square().mean(dim=2) / STANDS)


def near(dreamt: Tensor, real: Tensor) -> Tensor:
    """How much a cell of a dream [B, T, C, h, w] is still what the game shows: [B, T, h, w], 1 where they are equal."""
    return torch.exp(-(dreamt - real).square().mean(dim=2) / NEAR)


def held(dreamt: Tensor, real: Tensor, begun: Tensor, stay: float, follow: float) -> Tensor:
    """What being as the game is weighs in each cell of a dream under the game's own controls: [B, T, h, w].

    A game has one answer to a control where all is in sight, and a cell that shows nearly that is to show it
    (`follow`); one that shows something else is left to the critic: the mean of all that could be there is grey. And
    whatever happened, what stands still is to stay (`stay`): a critic hardly minds a picture that grows a little harder
    at each latent, and who stands still sees it grow for ever.

    Args:
        dreamt: [B, T, C, h, w].
        real: the same shape.
        begun: [B, 1, C, h, w], the clip's first latent of k frames.
        stay: weight of cells of `real` that are what they were in `begun`.
        follow: weight of cells that are near.
    """
    return stay * standing(real, begun) + follow * near(dreamt, real)


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
