"""The last stage: a small player cloned from the recordings, for worlds at whose keys nobody sits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aapt_env.model.policy import Policy
from aapt_env.train.clips import FrameClips
from aapt_env.train.dice import Dice
from aapt_env.train.optim import adam
from aapt_env.train.stage import Losses, Stage, Turn


@dataclass(frozen=True, kw_only=True)
class Imitate:
    """Settings of the stage."""

    share: float
    steps: int | None = None
    batch: int = 64
    lr: float = 1e-3
    width: int = 32


class ImitateStage(Stage):
    """Predict the recorded control of the coming latent from the k frames before it."""

    def __init__(
        self,
        config: Imitate,
        policy: Policy,
        frames: list[np.ndarray],
        controls: list[np.ndarray],
        device: torch.device,
    ):
        super().__init__(name="imitate", modules={"policy": policy})
        self.config, self.policy, self.device = config, policy, device
        self.frames, self.controls = FrameClips(frames, policy.k, device), controls
        self.latents = np.array([(len(f) - 1) // policy.k for f in frames])
        self.turns = [Turn("policy", (policy,), adam(policy, config.lr), self.losses)]

    def batch(self, dice: Dice) -> tuple[Tensor, Tensor]:
        """Frames of a latent [B, k, H, W, 3] and the control row [B, width] chosen after them."""
        k = self.policy.k
        room = np.maximum(self.latents - 1, 0)
        episodes = dice.pick.choice(len(room), self.config.batch, p=room / room.sum())
        ends = np.array([k * int(dice.pick.integers(1, self.latents[e])) for e in episodes])
        rows = np.stack([self.controls[e][t] for e, t in zip(episodes, ends, strict=True)])
        frames = self.frames.at(episodes, ends - k + 1, k)
        return frames, torch.from_numpy(rows).to(self.device)

    def losses(self, batch: tuple[Tensor, Tensor], dice: Dice) -> Losses:
        """One loss."""
        loss = self.policy.loss(*batch)
        yield loss, {"loss": loss.detach()}
