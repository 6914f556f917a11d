"""The one door for controls: k controls of a latent -> what the networks eat.

Every encoder answers `encoder(controls) -> (vector [B, T, D] or None, maps [B, T, M, h, w] or None)`. The vector enters
through adaLN, the maps through the input channels. A new kind of control is a new encoder that is registered; nothing
else changes (docs/controls.md).
"""

from __future__ import annotations

from importlib.metadata import entry_points
from math import pi, radians, tan
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from aapt_env.limbs import PoseEncoder
from aapt_env.spec import ControlSpec, array_of

Encoded = tuple[Tensor | None, Tensor | None]


class KeysEncoder(nn.Module):
    """Discrete and MultiBinary keys: embedded together, then averaged over the k frames of the latent.

    Two MultiBinary keys that have the same number in the settings, {"left": 1, "right": 1}, cancel each other, as they
    do in most games: held both, they are as if neither was. No recording holds what nobody would press.
    """

    map_channels = 0
    rival: Tensor
    rivals: Tensor

    def __init__(self, control: ControlSpec, dim: int, grid: tuple[int, int]):
        super().__init__()
        self.discrete = control.space == "Discrete"
        self.size = control.size
        about = {} if self.discrete else control.settings  # a game may have others of its own there
        named = [i for i, name in enumerate(control.names) if name in about]
        values = {about[control.names[i]] for i in named}
        pairs = [[i for i in named if about[control.names[i]] == value] for value in values]
        if any(len(pair) != 2 for pair in pairs):
            raise ValueError(
                f"settings {about} of keys {control.names}; expected a number for each key that has a rival, the same "
                "for two"
            )
        rival = torch.arange(control.size)
        for one, other in pairs:
            rival[one], rival[other] = other, one
        self.opposed = bool(pairs)
        self.register_buffer("rival", rival, persistent=False)
        self.register_buffer("rivals", rival != torch.arange(control.size), persistent=False)
        self.embed = nn.Sequential(nn.Linear(control.size, dim), nn.SiLU(), nn.Linear(dim, dim))

    def forward(self, controls: Tensor) -> Encoded:
        """[B, T, k, width] float -> ([B, T, D], None)."""
        if self.discrete:
            controls = nn.functional.one_hot(controls[..., 0].long(), self.size).float()
        elif self.opposed:
            controls = controls * (1 - self.rivals.to(controls) * controls[..., self.rival])
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


class CameraEncoder(nn.Module):
    """A camera's motion -> where the ray of each latent cell begins and points, relative to the camera before it.

    Elements are motions per frame, by name: `forward`, `strafe` (right), `rise` in units of settings["metres"], `yaw`
    (right), `pitch` (up), `roll` (clockwise) in units of settings["degrees"]; what a control does not name stays 0.
    settings["fov"] is the view along the longer side, in degrees. The motions of the k frames are composed, each one
    a step along the axes of the frame before it and then a turn. Axes: x right, y down, z ahead.

    The six channels, of about unit spread over full motions: the origin (3), and by how much the direction differs
    from that of a camera that did not turn (3). A still camera is 0 everywhere.
    """

    map_channels = 6
    MOVES = {"strafe": (0, 1.0), "rise": (1, -1.0), "forward": (2, 1.0)}
    TURNS = {"pitch": (0, 1.0), "yaw": (1, 1.0), "roll": (2, 1.0)}

    directions: Tensor

    def __init__(self, control: ControlSpec, dim: int, grid: tuple[int, int]):
        super().__init__()
        needed, known = {"metres", "degrees", "fov"}, [*self.MOVES, *self.TURNS]
        lacking = needed - {name for name, value in control.settings.items() if value > 0}
        wrong = [name for name in control.names if name not in known]
        if control.space != "Box" or lacking or wrong or not control.names:
            raise ValueError(
                f"a camera is a Box with elements out of {known} and settings {sorted(needed)} above 0; "
                f"got {control.space}, {control.names}, {control.settings}"
            )
        about = control.settings
        self.degrees, self.metres = about["degrees"], about["metres"]
        moves, turns = torch.zeros(len(control.names), 3), torch.zeros(len(control.names), 3)
        for i, name in enumerate(control.names):
            axis, sign = self.MOVES.get(name) or self.TURNS[name]
            (moves if name in self.MOVES else turns)[i, axis] = sign
        self.register_buffer("moves", moves * self.metres, persistent=False)
        self.register_buffer("turns", turns * radians(self.degrees), persistent=False)
        self.register_buffer("directions", directions(grid, about["fov"]), persistent=False)

    def forward(self, controls: Tensor) -> Encoded:
        """[B, T, k, width] float -> (None, [B, T, 6, h, w])."""
        controls = controls.to(torch.promote_types(controls.dtype, torch.float32))
        turn, move = compose(controls @ self.moves.to(controls), controls @ self.turns.to(controls))
        rays = self.directions.to(controls)  # [3, h, w]
        turned = torch.einsum("btij,jhw->btihw", turn, rays) - rays
        k = controls.shape[2]
        origin = (2 / (k * self.metres) * move)[..., None, None].expand_as(turned)
        maps = torch.cat([origin, 2 / (k * radians(self.degrees)) * turned], dim=2)
        return None, maps.to(self.directions.dtype)


def directions(grid: tuple[int, int], fov: float) -> Tensor:
    """[3, h, w] unit directions (x right, y down, z ahead) of cells, `fov` degrees along the longer side."""
    h, w = grid
    focal = max(h, w) / 2 / tan(radians(fov / 2))
    y, x = torch.meshgrid(
        torch.arange(h) + 0.5 - h / 2, torch.arange(w) + 0.5 - w / 2, indexing="ij"
    )
    return nn.functional.normalize(torch.stack([x / focal, y / focal, torch.ones(h, w)]), dim=0)


def compose(moves: Tensor, turns: Tensor) -> tuple[Tensor, Tensor]:
    """K small motions, one after the other, as one.

    Args:
        moves: [B, T, k, 3] m, each along the axes of the frame before it.
        turns: [B, T, k, 3] rad, rotation vectors.

    Returns:
        [B, T, 3, 3] axes of the last frame and [B, T, 3] its place (m), both as seen from before the first motion.
    """
    steps = rotation(turns)
    eye = torch.eye(3, device=steps.device, dtype=steps.dtype)
    turn, place = eye.expand_as(steps[:, :, 0]), torch.zeros_like(moves[:, :, 0])
    for i in range(moves.shape[2]):
        place = place + (turn @ moves[:, :, i, :, None])[..., 0]
        turn = turn @ steps[:, :, i]
    return turn, place


def rotation(vector: Tensor) -> Tensor:
    """Rotation vectors [..., 3] (rad) -> matrices [..., 3, 3], by Rodrigues' formula."""
    x, y, z = vector.unbind(-1)
    zero, angle = torch.zeros_like(x), vector.norm(dim=-1)[..., None, None]
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))
    once, twice = torch.sinc(angle / pi), torch.sinc(angle / (2 * pi)) ** 2 / 2
    eye = torch.eye(3, device=cross.device, dtype=cross.dtype)
    return eye + once * cross + twice * cross @ cross


ENCODERS: dict[str, type[nn.Module]] = {
    "keys": KeysEncoder,
    "vector": VectorEncoder,
    "pose": PoseEncoder,
    "camera": CameraEncoder,
}
PLUGINS = "aapt_env.controls"  # entry points of installed packages: kind = "module:Encoder"


def register(kind: str, encoder: type[nn.Module]) -> None:
    """Make a new kind of control known; games ask for it by `control_kind`.

    Args:
        kind: its name, an identifier.
        encoder: called with (control, dim, grid) as those above, with `map_channels` and the same `forward`.

    Raises:
        ValueError: the name is taken by another encoder, or is none.
    """
    if not kind.isidentifier() or ENCODERS.get(kind, encoder) is not encoder:
        raise ValueError(f"control kind {kind!r}: expected a name, none of {sorted(ENCODERS)}")
    ENCODERS[kind] = encoder


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
        for found in entry_points(group=PLUGINS, name=control.kind):
            register(control.kind, found.load())
    if control.kind not in ENCODERS:
        raise ValueError(
            f"no encoder for control kind {control.kind!r}; there are {sorted(ENCODERS)}; "
            f"install or import the package that registers it"
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
    good = fits.reshape(count, -1).all(dim=1)
    if not bool(good.all()):
        row = int(good.int().argmin())
        raise ValueError(f"actions, row {row}: {control.misfit(values[row].cpu().numpy())}")
    return rows.reshape(count, control.width)


def numeric(values: Any) -> bool:
    """Whether an array or a tensor holds booleans, whole or real numbers."""
    if isinstance(values, Tensor):
        return not values.is_complex() and values.layout == torch.strided
    return values.dtype.kind in "biuf" and values.dtype.itemsize <= 8


def held(rows: Tensor, k: int) -> Tensor:
    """In play one control is held for all k frames: [B, width] -> [B, 1, k, width]."""
    return rows[:, None, None].expand(-1, 1, k, -1)


def check_maps(maps: Tensor | None, channels: int, grid: tuple[int, int]) -> None:
    """Raises ValueError unless maps are [B, T, channels, h, w] on the latent grid (None for no channels)."""
    shape = None if maps is None else tuple(maps.shape[2:])
    expected = (channels, *grid) if channels else None
    if shape != expected or (maps is not None and not torch.is_floating_point(maps)):
        raise ValueError(f"control maps {shape}; expected {expected} as [B, T, M, h, w] floats")
