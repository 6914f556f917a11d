"""A small player that sees frames only, cloned from recordings: it drives the game and the dream alike."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from aapt_env.spec import ControlSpec


class Policy(nn.Module):
    """The k frames of the last latent -> what to press for the next."""

    def __init__(self, control: ControlSpec, k: int = 4, width: int = 32):
        super().__init__()
        self.control, self.k, self.width = control, k, width
        sizes = (3 * k, width, 2 * width, 3 * width, 4 * width)
        self.layers = nn.ModuleList(
            nn.Conv2d(a, b, 5 if i == 0 else 3, stride=2, padding=2 if i == 0 else 1)
            for i, (a, b) in enumerate(zip(sizes, sizes[1:], strict=False))
        )
        self.read = nn.Linear(4 * width * 16, 128)
        self.press = nn.Linear(128, control.size)

    def forward(self, frames: Tensor) -> Tensor:
        """[B, k, H, W, 3] uint8 -> [B, size]: logits of keys, or of a Box's elements before tanh."""
        x = rearrange(frames, "b k h w c -> b (k c) h w").to(self.read.weight.dtype) / 127.5 - 1
        for layer in self.layers:
            x = F.silu(layer(x))
        return self.press(F.silu(self.read(F.adaptive_avg_pool2d(x, 4).flatten(1))))

    def loss(self, frames: Tensor, rows: Tensor) -> Tensor:
        """How badly it predicts the controls rows [B, width] that the recorded player chose."""
        out = self(frames).float()
        if self.control.space == "Discrete":
            return F.cross_entropy(out, rows[:, 0].long())
        if self.control.space == "MultiBinary":
            return F.binary_cross_entropy_with_logits(out, rows)
        return F.mse_loss(out.tanh(), rows)

    @torch.no_grad()
    def act(self, frames: np.ndarray) -> np.ndarray | int:
        """uint8 [n, H, W, 3], n = k or (at reset) 1 -> the likeliest control."""
        frames = frames if len(frames) == self.k else np.repeat(frames[-1:], self.k, axis=0)
        device = self.press.weight.device
        out = self(torch.from_numpy(np.ascontiguousarray(frames))[None].to(device))[0].float().cpu()
        if self.control.space == "Discrete":
            return int(out.argmax())
        if self.control.space == "MultiBinary":
            return (out > 0).numpy().astype(np.int8)
        return out.tanh().numpy()


class Player:
    """A policy as players and recorders want it: (observation, info) -> action."""

    def __init__(self, policy: Policy):
        self.policy = policy

    def __call__(self, observation: np.ndarray, info: dict) -> np.ndarray | int:
        """The likeliest control after the frames in `info["frames"]`."""
        return self.policy.act(info["frames"])
