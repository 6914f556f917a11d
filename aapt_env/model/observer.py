"""The observer: a small network that reads controls back from frames, and whose features drift is measured in.

It is trained on real frames only and never sees a dream, nor any pixel that displays the control.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aapt_env.model.keypoints import Keypoints
from aapt_env.spec import ControlSpec

POOL = 4  # cells each way that remain of a picture
PLAIN = 3 * POOL**2  # features that are not learned: brightness, roughness and change of each cell
PATCHES = 4  # rows of patches of a picture, each of PATCH x PATCH colours
PATCH = 4
GROUPS = 8  # of channels, normalised together
EDGE = 0.999  # as far from the middle as a joint is read


@dataclass(frozen=True, kw_only=True)
class ObserverConfig:
    """Sizes of an observer."""

    height: int  # pixels
    width: int  # pixels
    k: int  # frames per latent
    before: int = 1  # latents seen before the one whose control is read
    after: int = 1  # latents seen after it: a pedal takes a moment to show
    motion: tuple[int, ...] = (32, 64, 96, 128)  # channels of the tower that sees what changes
    look: tuple[int, ...] = (16, 32, 48, 64)  # channels of the tower that sees one frame
    joints: tuple[int, ...] = (24, 48, 64, 96)  # channels of the one that finds a pose's joints
    features: int = 64  # numbers that each tower ends in
    bank: int = 1024  # real features kept, to tell how far a frame is from any real one
    patches: int = 4096  # real patches kept of each row of them, to tell whether a frame is torn
    scenes: tuple[int, ...] = ()  # values of each scene attribute

    def __post_init__(self):
        for name in ("motion", "look", "joints", "scenes"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        least = self.height, self.width, self.k, self.features, self.bank, self.patches
        if min(*least, *self.motion) < 1:
            raise ValueError(f"sizes of an observer must be 1 or more, got {self}")
        channels = self.motion + self.look + self.joints
        if min(self.before, self.after) < 0 or any(w % GROUPS for w in channels):
            raise ValueError(
                f"expected before and after >= 0 and channels in multiples of {GROUPS}, got {self}"
            )
        if len(self.joints) != 4:
            raise ValueError(f"expected four widths of joints, got {self.joints}")

    @property
    def span(self) -> int:
        """Frames in a stack: those of the latents it sees, and the one before them."""
        return 1 + (self.before + 1 + self.after) * self.k

    @property
    def seen(self) -> int:
        """Numbers that say what a stack is like: learned ones, then `PLAIN`."""
        return 2 * self.features + PLAIN

    @property
    def now(self) -> int:
        """Where in a stack the last frame of the latent stands whose control is read."""
        return (self.before + 1) * self.k


def tower(channels: int, widths: tuple[int, ...], kernel: int, features: int) -> nn.Sequential:
    """[B, channels, H, W] -> [B, features]: convolutions of stride 2, a `POOL` x `POOL` grid, one matrix."""
    layers: list[nn.Module] = []
    for i, width in enumerate(widths):
        size = kernel if i == 0 else 3
        layers.append(nn.Conv2d(channels, width, size, stride=2, padding=size // 2))
        layers += [nn.GroupNorm(GROUPS, width), nn.SiLU()]
        channels = width
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(POOL), nn.Flatten(), nn.Linear(channels * POOL**2, features)
    )


class Observer(nn.Module):
    """Frames around a latent -> its control, and features.

    The control is read from differences between consecutive frames alone: of a picture that stands still it reads the
    same whatever the picture, so neither a frozen world nor the shape of the road ahead can stand in for obedience. The
    features join those of that tower with those of a second one that sees one frame and learned, in training, to guess
    the control and the scene from it; and with `PLAIN` ones that are not learned, since towers that normalise what they
    see would take noise or grey for a road. A pose is no motion: it is read from one frame, as `Keypoints`.

    Attributes:
        mask: [H, W] bool, pixels that are blanked before anything else.
        mean: [d] of real features, d = 2 features + PLAIN.
        std: [d] of real features.
        bank: [n, d] real features, standardised.
        far: how far held-out real frames are from the bank, 99.9th percentile.
        patches: [PATCHES, n, d] real patches of each row, 0 ... 255.
        torn: how far the patches of held-out real frames are from those on average over a frame, 99.9th percentile.
    """

    mask: Tensor
    mean: Tensor
    std: Tensor
    bank: Tensor
    far: Tensor
    patches: Tensor
    torn: Tensor

    def __init__(self, config: ObserverConfig, control: ControlSpec):
        super().__init__()
        self.config, self.control = config, control
        self.motion = tower(config.span - 1, config.motion, 7, config.features)
        self.look = tower(3, config.look, 5, config.features)
        if control.kind == "pose":
            a, b, c, d = config.joints
            self.joints = Keypoints(control.size // 3, (a, b, c, d))
        else:
            self.read = nn.Linear(config.features, control.size)
        self.guess = nn.Linear(config.features, control.size + sum(config.scenes))
        self.register_buffer("mask", torch.zeros(config.height, config.width, dtype=torch.bool))
        self.register_buffer("mean", torch.zeros(config.seen))
        self.register_buffer("std", torch.ones(config.seen))
        self.register_buffer("bank", torch.zeros(config.bank, config.seen))
        self.register_buffer("far", torch.ones(()))
        sizes = PATCHES, config.patches, 3 * PATCH**2
        self.register_buffer("patches", torch.zeros(sizes, dtype=torch.uint8))
        self.register_buffer("torn", torch.ones(()))

    def grey(self, frames: Tensor) -> Tensor:
        """[B, S, H, W, 3] uint8 -> luminance [B, S, H, W] in 0 ... 4, blank under the mask.

        Raises:
            ValueError: frames are not stacks of this observer's size.
        """
        c = self.config
        if frames.shape[1:] != (c.span, c.height, c.width, 3) or frames.dtype != torch.uint8:
            raise ValueError(
                f"frames {tuple(frames.shape)} {frames.dtype}; expected uint8 [B, {c.span}, {c.height}, {c.width}, 3]"
            )
        return frames.float().mean(dim=-1).mul_(1 / 64) * ~self.mask

    def now(self, frames: Tensor) -> Tensor:
        """The last frame of the latent that is read, of stacks: [B, 3, H, W] in -1 ... 1, blank under the mask."""
        now = (frames[:, self.config.now].float() / 127.5 - 1) * ~self.mask[..., None]
        return now.permute(0, 3, 1, 2)

    def reading(self, motion: Tensor, now: Tensor) -> Tensor:
        """The control as logits [B, size], of what the tower of motion ends in and of `now`."""
        if self.control.kind == "pose":
            return self.joints(now).flatten(1).clamp(-EDGE, EDGE).atanh()
        return self.read(F.silu(motion)).float()

    def plain(self, grey: Tensor) -> Tensor:
        """Brightness, and logarithms of roughness and of change, of each cell: [B, PLAIN]."""
        now, last = grey[:, self.config.now], grey[:, self.config.now - 1]
        edges = F.pad(now.diff(dim=1).abs(), (0, 0, 0, 1)) + F.pad(now.diff(dim=2).abs(), (0, 1))
        maps = torch.stack([now, edges, (now - last).abs()], dim=1)
        cells = F.adaptive_avg_pool2d(maps, POOL)
        return torch.cat([cells[:, :1], (cells[:, 1:] + 0.01).log()], dim=1).flatten(1)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Read the control of a latent, and say what the frames are like.

        Args:
            frames: uint8 [B, span, H, W, 3]; the latent's own frames end at `config.now`.

        Returns:
            [B, size] logits of keys, or a Box's elements before tanh; and features [B, d], standardised.
        """
        grey = self.grey(frames)
        now = self.now(frames)
        motion, look = self.motion(grey.diff(dim=1)), self.look(now)
        features = torch.cat([motion, look, self.plain(grey)], dim=1).float()
        return self.reading(motion, now), (features - self.mean) / self.std

    def distance(self, features: Tensor) -> Tensor:
        """How far features [n, d] are from the nearest real ones: [n]."""
        return torch.cdist(features, self.bank).amin(dim=1)

    def pieces(self, frames: Tensor) -> Tensor:
        """Stacks of frames -> the patches of the latent's last one, in few colours: [B, PATCHES, n, d] in 0 ... 255.

        Patches are as wide as they are high; what is under the mask is black.
        """
        now = (self.now(frames) + 1) * 127.5 * ~self.mask
        across = max(1, round(PATCHES * now.shape[-1] / now.shape[-2]))
        small = F.interpolate(now, (PATCHES * PATCH, across * PATCH), mode="area")
        cells = small.unflatten(2, (PATCHES, PATCH)).unflatten(4, (across, PATCH))
        return cells.permute(0, 2, 4, 1, 3, 5).flatten(3)

    def strangeness(self, frames: Tensor) -> Tensor:
        """How far the patches of a frame are from the nearest real ones in the same row of a picture: [B], 0 ... 255.

        A dream that falls apart keeps the colours and the roughness of a real frame, but not what belongs side by side.
        """
        pieces = self.pieces(frames).transpose(0, 1)  # [PATCHES, B, n, d]
        gaps = torch.cdist(pieces.flatten(1, 2), self.patches.to(pieces.dtype)).amin(dim=2)
        return gaps.view(pieces.shape[:3]).mean(dim=(0, 2)) / (3 * PATCH**2) ** 0.5
