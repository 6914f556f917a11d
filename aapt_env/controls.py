"""The one door for controls: k controls of a latent -> what the networks eat.

Every encoder answers `encoder(controls) -> (vector [B, T, D] or None, maps [B, T, M, h, w] or None)`. The vector enters
through adaLN, the maps through the input channels. A new kind of control is a new encoder in `ENCODERS`; nothing else
changes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aapt_env.spec import ControlSpec

Encoded = tuple[Tensor | None, Tensor | None]


class KeysEncoder(nn.Module):
    """Discrete and MultiBinary keys: embedded together, then averaged over the k frames of the latent."""

    map_channels = 0

    def __init__(self, control: ControlSpec, dim: int, grid: tuple[int, int]):
        super().__init__()
        self.discrete = control.space == "Discrete"
        self.size = control.size
        self.embed = nn.Sequential(nn.Linear(control.size, dim), nn.SiLU(), nn.Linear(dim, dim))

    def forward(self, controls: Tensor) -> Encoded:
        """[B, T, k, width] float -> ([B, T, D], None)."""
        if self.discrete:
            controls = nn.functional.one_hot(controls[..., 0].long(), self.size).float()
        return self.embed(controls.to(self.embed[0].weight.dtype) * 2 - 1).mean(dim=2), None


class VectorEncoder(nn.Module):
    """A Box in [-1, 1] (wheel, stick, mouse): embedded, then averaged over the k frames of the latent."""

    map_channels = 0

    def __init__(self, control: ControlSpec, dim: int, grid: tuple[int, int]):
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(control.size, dim), nn.SiLU(), nn.Linear(dim, dim))

    def forward(self, controls: Tensor) -> Encoded:
        """[B, T, k, width] float -> ([B, T, D], None)."""
        return self.embed(controls.to(self.embed[0].weight.dtype)).mean(dim=2), None


ENCODERS: dict[str, type[nn.Module]] = {"keys": KeysEncoder, "vector": VectorEncoder}


def encoder(control: ControlSpec, dim: int, grid: tuple[int, int]) -> nn.Module:
    """The encoder of a kind of control.

    Args:
        control: its space.
        dim: width D of the vector.
        grid: (h, w) of the maps, the latent grid.

    Raises:
        ValueError: no encoder is registered for the kind.
    """
    if control.kind not in ENCODERS:
        raise ValueError(
            f"no encoder for control kind {control.kind!r}; there are {sorted(ENCODERS)}"
        )
    return ENCODERS[control.kind](control, dim, grid)


def held(rows: Tensor, k: int) -> Tensor:
    """In play one control is held for all k frames: [B, width] -> [B, 1, k, width]."""
    return rows[:, None, None].expand(-1, 1, k, -1)


def check_maps(maps: Tensor | None, channels: int, grid: tuple[int, int]) -> None:
    """Raises ValueError unless maps are [B, T, channels, h, w] on the latent grid (None for no channels)."""
    shape = None if maps is None else tuple(maps.shape[2:])
    expected = (channels, *grid) if channels else None
    if shape != expected or (maps is not None and not torch.is_floating_point(maps)):
        raise ValueError(f"control maps {shape}; expected {expected} as [B, T, M, h, w] floats")
