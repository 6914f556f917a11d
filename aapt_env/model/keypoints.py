"""Where the joints of a figure are in one frame: the part of the observer that reads a pose."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GROUPS = 8  # of channels, normalised together
SHARP = 4.0  # makes heat maps narrow from the first update on


def block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Convolution, norm, SiLU: [B, inputs, H, W] -> [B, outputs, H / stride, W / stride]."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1), nn.GroupNorm(GROUPS, outputs), nn.SiLU()
    )


class Keypoints(nn.Module):
    """A frame -> its joints: a heat map per joint, whose centre of mass is where the joint is seen.

    Maps are a quarter of the frame each way; their means know a joint to a fraction of a cell. Depth is the mean of a
    second map under the same heat.

    Args:
        joints: how many.
        widths: channels at a half, a quarter, an eighth and a sixteenth of the frame.
    """

    def __init__(self, joints: int, widths: tuple[int, int, int, int]):
        super().__init__()
        a, b, c, d = widths
        self.stem = block(3, a, 2)
        self.quarter = nn.Sequential(block(a, b, 2), block(b, b))
        self.eighth = nn.Sequential(block(b, c, 2), block(c, c))
        self.sixteenth = nn.Sequential(block(c, d, 2), block(d, d))
        self.up_eighth, self.up_quarter = block(c + d, c), block(b + c, b)
        self.heat = nn.Conv2d(b, joints, 1)
        self.depth = nn.Conv2d(b, joints, 1)

    def forward(self, frames: Tensor) -> Tensor:
        """Joints of frames.

        Args:
            frames: [B, 3, H, W], -1 to 1.

        Returns:
            [B, joints, 3] float32: x to the right, y up, in units of half the frame's shorter side from its middle, and
            z as it was trained.
        """
        quarter = self.quarter(self.stem(frames))
        eighth = self.eighth(quarter)
        deep = F.interpolate(self.sixteenth(eighth), eighth.shape[-2:])
        deep = self.up_eighth(torch.cat([eighth, deep], dim=1))
        deep = F.interpolate(deep, quarter.shape[-2:])
        seen = self.up_quarter(torch.cat([quarter, deep], dim=1))
        heat = SHARP * self.heat(seen).float()
        share = heat.flatten(2).softmax(dim=-1)  # [B, joints, h*w]
        place = share @ centres(*heat.shape[-2:]).to(share)
        depth = (share * self.depth(seen).float().flatten(2)).sum(-1, keepdim=True)
        return torch.cat([place, depth], dim=-1)


def centres(h: int, w: int) -> Tensor:
    """Place (x, y) of every cell of a grid, row by row: [h*w, 2], in units of half its shorter side, y up."""
    unit = min(h, w) / 2
    y = (h / 2 - torch.arange(h) - 0.5) / unit
    x = (torch.arange(w) + 0.5 - w / 2) / unit
    return torch.stack([x.repeat(h), y.repeat_interleave(w)], dim=1)
