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
    def judged(self, frames: np.ndarray) -> Tensor:
        """uint8 [n, H, W, 3], n = k or (at reset) 1 -> [size], as `forward`, float32 on the CPU."""
        frames = frames if len(frames) == self.k else np.repeat(frames[-1:], self.k, axis=0)
        device = self.press.weight.device
        return (
            self(torch.from_numpy(np.ascontiguousarray(frames))[None].to(device))[0].float().cpu()
        )

    def act(self, frames: np.ndarray) -> np.ndarray | int:
        """uint8 [n, H, W, 3], n = k or (at reset) 1 -> the likeliest control."""
        return self.likeliest(self.judged(frames))

    def likeliest(self, out: Tensor) -> np.ndarray | int:
        """The control of `judged`; of keys those that are held more often than not."""
        if self.control.space == "Discrete":
            return int(out.argmax())
        if self.control.space == "MultiBinary":
            return (out > 0).numpy().astype(np.int8)
        return out.tanh().numpy()


class Player:
    """A policy as players and recorders want it: (observation, info) -> action. The same seed, the same player.

    The likeliest control; but who explores holds each single key less than half of the time, and then the likeliest
    would be to stand still for ever. So where no key has been likely for `PATIENCE` steps, and yet it is likelier that
    some are held than that none is, keys are drawn as often as they were held, for `HOLD` steps.
    """

    PATIENCE = 8
    HOLD = 4

    def __init__(self, policy: Policy, seed: int = 0):
        self.policy = policy
        self.begin(seed)

    def begin(self, seed: int) -> None:
        """A new episode."""
        self.rng, self.idle = np.random.default_rng(seed), 0
        self.drawn: np.ndarray | None = None
        self.left = 0  # steps that what was drawn is held

    def __call__(self, observation: np.ndarray, info: dict) -> np.ndarray | int:
        """The control after the frames in `info["frames"]`."""
        out = self.policy.judged(info["frames"])
        likeliest = self.policy.likeliest(out)
        if self.policy.control.space != "MultiBinary" or np.any(likeliest):
            self.idle = self.left = 0
            return likeliest
        self.idle += 1
        held = out.sigmoid().numpy()
        if self.idle <= self.PATIENCE or np.prod(1 - held) >= 0.5:
            return likeliest
        if not self.left or self.drawn is None:
            self.drawn = (self.rng.random(len(held)) < held).astype(np.int8)
            self.left = self.HOLD
        self.left -= 1
        return self.drawn.copy()
