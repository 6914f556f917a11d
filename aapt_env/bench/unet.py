"""A network of the shape of DIAMOND's on Atari, with random weights: what to measure our step beside."""

from __future__ import annotations

import torch
from torch import Tensor, nn

PASSES = 3  # denoising passes that one frame takes
PAST = 4  # frames it sees
WIDTH, LEVELS, BLOCKS, CONDITION = 64, 4, 2, 256
GROUP = 32  # channels that a norm takes together


class Block(nn.Module):
    """Two 3x3 convolutions around a shortcut, their norms shifted and scaled by the condition."""

    def __init__(self, enter: int, leave: int):
        super().__init__()
        self.norms = nn.ModuleList(
            nn.GroupNorm(n // GROUP, n, affine=False) for n in (enter, leave)
        )
        self.adjust = nn.ModuleList(nn.Linear(CONDITION, 2 * n) for n in (enter, leave))
        self.convs = nn.ModuleList(nn.Conv2d(n, leave, 3, padding=1) for n in (enter, leave))
        self.past = nn.Conv2d(enter, leave, 1) if enter != leave else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """[B, enter, h, w] to [B, leave, h, w]; condition [B, 256]."""
        out = x
        for norm, adjust, conv in zip(self.norms, self.adjust, self.convs, strict=True):
            scale, shift = adjust(condition)[..., None, None].chunk(2, 1)
            out = conv(nn.functional.silu(norm(out) * (1 + scale) + shift))
        return self.past(x) + out


class UNet(nn.Module):
    """Four levels of 64 channels, two blocks each, as that paper's table of hyper-parameters has them.

    A frame is made in three passes of this network over the noisy frame and four past ones. Attention, which it has at
    its lowest level only, is left out; so is the reward model, a second network.
    """

    def __init__(self):
        super().__init__()
        self.enter = nn.Conv2d(3 * (PAST + 1), WIDTH, 3, padding=1)
        self.down = nn.ModuleList(Block(WIDTH, WIDTH) for _ in range(LEVELS * BLOCKS))
        self.shrink = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 3, 2, 1) for _ in range(LEVELS - 1))
        self.middle = nn.ModuleList(Block(WIDTH, WIDTH) for _ in range(2))
        self.up = nn.ModuleList(Block(2 * WIDTH, WIDTH) for _ in range(LEVELS * (BLOCKS + 1)))
        self.grow = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 3, padding=1) for _ in range(LEVELS - 1))
        self.leave = nn.Sequential(
            nn.GroupNorm(WIDTH // GROUP, WIDTH), nn.SiLU(), nn.Conv2d(WIDTH, 3, 3, padding=1)
        )

    def forward(self, frames: Tensor, condition: Tensor) -> Tensor:
        """[B, 15, H, W] and [B, 256] to [B, 3, H, W]."""
        x, kept = self.enter(frames), []
        for level in range(LEVELS):
            kept.append(x)
            for block in self.down[level * BLOCKS : (level + 1) * BLOCKS]:
                x = block(x, condition)
                kept.append(x)
            if level < LEVELS - 1:
                x = self.shrink[level](x)
        for block in self.middle:
            x = block(x, condition)
        for level in range(LEVELS):
            for block in self.up[level * (BLOCKS + 1) : (level + 1) * (BLOCKS + 1)]:
                x = block(torch.cat([x, kept.pop()], 1), condition)
            if level < LEVELS - 1:
                x = self.grow[level](nn.functional.interpolate(x, scale_factor=2.0))
        return self.leave(x)


class Peer:
    """Makes frames, three passes each, of a batch of rows.

    Args:
        rows: side by side.
        height: pixels, a multiple of 8.
        width: the same.
        device: of the network.
        bf16: its weights in bf16.
    """

    def __init__(self, rows: int, height: int, width: int, device: torch.device, bf16: bool):
        dtype = torch.bfloat16 if bf16 else torch.float32
        make = {"device": device, "dtype": dtype}
        self.net = UNet().to(**make).to(memory_format=torch.channels_last).eval()
        self.frames = torch.randn(rows, 3 * (PAST + 1), height, width, **make)
        self.condition = torch.randn(rows, CONDITION, **make)

    @torch.inference_mode()
    def step(self) -> None:
        """One frame in every row, to the CPU's memory; the first three channels become less noisy, pass by pass."""
        for _ in range(PASSES):
            clean = self.net(self.frames, self.condition)
            self.frames[:, :3].lerp_(clean, 0.5)
        self.frames[:, :3].float().clamp(-1, 1).add(1).mul(127.5).to(torch.uint8).cpu()
