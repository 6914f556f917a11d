"""Rotary positions in three dimensions: time in latents, and the patch grid (AAPT v2, section 2.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

Turn = tuple[Tensor, Tensor]  # (cos, cos) and (-sin, sin), each broadcastable to [..., n, d]


def turn(angles: Tensor) -> Turn:
    """Angles in radians [..., d/2] -> what `rotate` takes: computed once for all layers."""
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([cos, cos], dim=-1), torch.cat([-sin, sin], dim=-1)


def rotate(x: Tensor, by: Turn) -> Tensor:
    """Turn each pair of features (a, b) by its angle: (a cos - b sin, b cos + a sin).

    Args:
        x: [..., n, d], all a before all b.
        by: from `turn`.

    Returns:
        [..., n, d] in the dtype of x.
    """
    cos, sin = by
    y = x if x.dtype == torch.float64 else x.float()
    a, b = y.chunk(2, dim=-1)
    return torch.addcmul(y * cos, torch.cat([b, a], dim=-1), sin).to(x.dtype)


class Rope(nn.Module):
    """Angles of tokens: half of the features turn with time, a quarter each with row and column.

    The interval in time is fixed (one latent is one unit), so length is unbounded; the grid is stretched to 0...8
    whatever its resolution.
    """

    def __init__(self, head_dim: int, rows: int, columns: int):
        super().__init__()
        if head_dim % 8:
            raise ValueError(f"{head_dim=} must be a multiple of 8 for three-dimensional positions")
        pairs = head_dim // 2
        time, space = pairs // 2, pairs // 4
        speed = 0.5 * 100.0 ** (-torch.arange(space, dtype=torch.float64) / space)
        y = (torch.arange(rows, dtype=torch.float64) + 0.5) * 8 / rows
        x = (torch.arange(columns, dtype=torch.float64) + 0.5) * 8 / columns
        grid = torch.zeros(rows, columns, pairs, dtype=torch.float64)
        grid[..., time : time + space] = y[:, None, None] * speed
        grid[..., time + space :] = x[None, :, None] * speed
        tempo = torch.zeros(pairs, dtype=torch.float64)
        tempo[:time] = 100.0 ** (-torch.arange(time, dtype=torch.float64) / time)
        self.register_buffer("grid", grid.flatten(0, 1), persistent=False)  # [N, d/2]
        self.register_buffer("tempo", tempo, persistent=False)  # [d/2]

    def _apply(self, fn, recurse=True):
        """Follow device moves but stay in float64: a position of a million must still turn exactly."""
        grid, tempo = self.grid, self.tempo
        super()._apply(fn, recurse)
        self.grid, self.tempo = grid.to(self.grid.device), tempo.to(self.tempo.device)
        return self

    def tokens(self, position: Tensor) -> Tensor:
        """Angles of a latent's tokens: position [...] in latents -> [..., N, d/2], float64 for float64 positions."""
        return self.cast(self.grid + position.double()[..., None, None] * self.tempo, position)

    def scene(self, position: Tensor) -> Tensor:
        """Angles of scene tokens, which stand at one place of the grid: [...] -> [..., 1, d/2]."""
        return self.cast(position.double()[..., None, None] * self.tempo, position)

    @staticmethod
    def cast(angles: Tensor, position: Tensor) -> Tensor:
        """Reduce to one turn in float64, then to float32 (kept in float64 when positions are)."""
        angles = angles.remainder(2 * torch.pi)
        return angles if position.dtype == torch.float64 else angles.float()
