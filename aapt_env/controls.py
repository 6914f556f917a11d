"""The one door for controls: k controls of a latent -> what the networks eat.

Every encoder answers `encoder(controls) -> (vector [B, T, D] or None, maps [B, T, M, h, w] or None)`. The vector enters
through adaLN, the maps through the input channels. A new kind of control is a new encoder in `ENCODERS`; nothing else
changes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from aapt_env.spec import ControlSpec, array_of

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


def batch_rows(actions: Any, control: ControlSpec, count: int, device: torch.device) -> Tensor:
    """A batch of actions -> float32 [B, width] on the device, as `ControlSpec.to_row` does for one.

    Args:
        actions: [B] of a Discrete control, else [B, size]: a tensor on `device`, or an array.
        control: whose space they must be in.
        count: B.
        device: the world's.

    Raises:
        ValueError: another shape, type or device, or a value outside the space.
    """
    if isinstance(actions, Tensor) and actions.device != device:
        raise ValueError(
            f"actions are on {actions.device}, this world is on {device}; give them there, or as a numpy array"
        )
    given = actions if isinstance(actions, Tensor) else array_of(actions)
    shape = (count,) if control.space == "Discrete" else (count, control.size)
    if tuple(given.shape) != shape or not numeric(given):
        raise ValueError(
            f"actions {tuple(given.shape)} {given.dtype}; expected {shape}, one row per env of {control.action_space()}"
        )
    values = given if isinstance(given, Tensor) else torch.from_numpy(np.array(given, order="C"))
    rows = values.to(device, torch.float32)
    if control.space == "Discrete":
        fits = (rows >= 0) & (rows < control.size) & (not values.is_floating_point())
    elif control.space == "MultiBinary":
        fits = (rows == 0) | (rows == 1)
    else:
        fits = rows.abs() <= 1
    if not bool(fits.all()):
        raise ValueError(
            f"actions {values.dtype} with values outside {control.action_space()}; controls are {control.names}"
        )
    return rows.reshape(count, control.width)


def numeric(values: Any) -> bool:
    """Whether an array or a tensor holds booleans, whole or real numbers."""
    if isinstance(values, Tensor):
        return not values.is_complex()
    return values.dtype.kind in "biuf"


def held(rows: Tensor, k: int) -> Tensor:
    """In play one control is held for all k frames: [B, width] -> [B, 1, k, width]."""
    return rows[:, None, None].expand(-1, 1, k, -1)


def check_maps(maps: Tensor | None, channels: int, grid: tuple[int, int]) -> None:
    """Raises ValueError unless maps are [B, T, channels, h, w] on the latent grid (None for no channels)."""
    shape = None if maps is None else tuple(maps.shape[2:])
    expected = (channels, *grid) if channels else None
    if shape != expected or (maps is not None and not torch.is_floating_point(maps)):
        raise ValueError(f"control maps {shape}; expected {expected} as [B, T, M, h, w] floats")
