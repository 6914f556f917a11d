"""The contest of frames: what a decoder shows against what there was to show, by a critic of pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from aapt_env.model.frame_critic import FrameCritic
from aapt_env.model.vae import VAE
from aapt_env.train.contest import relativistic, squared_gap
from aapt_env.train.dice import Dice
from aapt_env.train.optim import adam


@dataclass(frozen=True, kw_only=True)
class Viewing:
    """Settings of the contest."""

    weight: float  # of its loss in that of who makes the frames
    lr: float = 2e-4
    sigma: float = 0.1  # of pixels in [-1, 1]
    penalty: float = 10.0  # lambda of approximated R1 and R2; what counts is lambda * sigma^2
    penalised: float = 0.34  # share of the batch that R1 and R2 look at, always in float32


class Viewer:
    """The critic of frames and its losses.

    Args:
        config: the settings.
        vae: with whose encoder the critic begins.
    """

    def __init__(self, config: Viewing, vae: VAE):
        self.config = config
        self.critic = FrameCritic(vae).to(vae.scale.device)
        self.optimizer = adam(self.critic, config.lr, (0.0, 0.99), decay=0.0)

    def judge(self, real: Tensor, fake: Tensor, dice: Dice) -> tuple[Tensor, dict[str, Any]]:
        """What the critic minimises: relativistic, patch by patch, and approximated R1 and R2; of [B, F, 3, H, W]."""
        c = self.config
        versus = relativistic(self.critic(fake), self.critic(real))
        few = max(1, round(c.penalised * len(real)))
        noise = c.sigma * dice.normal(*real[:few].shape)
        with torch.autocast(real.device.type, enabled=False):  # differences of near equals
            r1, r2 = (
                squared_gap(self.critic(x[:few] + noise), self.critic(x[:few]))
                for x in (real, fake)
            )
        found = {"viewer": versus.detach(), "view_r1": r1.detach(), "view_r2": r2.detach()}
        return versus + c.penalty * (r1 + r2), found

    def plead(self, real: Tensor, fake: Tensor) -> tuple[Tensor, dict[str, Any]]:
        """What who made the fakes minimises, weighed: the same contest the other way round."""
        with torch.no_grad():
            truth = self.critic(real)
        versus = relativistic(truth, self.critic(fake))
        return self.config.weight * versus, {"viewed": versus.detach()}
