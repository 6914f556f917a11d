"""Baked light: every wall, floor and ceiling of a cell, and every pillar, has a small patch of it.

Sun with shadows, open sky, lamps with shadows, light thrown back by rooms, and dusk in corners.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from aapt_games.explorer.plan import ROOF, SIZE, Plan
from aapt_games.explorer.scene import Sky

ACROSS, DOWN = 4, 6  # texels of a patch
TEXELS = (ACROSS + 2) * (DOWN + 2)  # with those around it that continue it
CELLS = SIZE * SIZE
EAST, WEST, SOUTH, NORTH, FLOOR, CEILING = range(6)  # sides of a cell; face = side * CELLS + cell
ONE = 100  # stored value of light 1
ROW = 64  # patches beside each other
_OUT = np.array(
    [(-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, 1), (0, 0, -1)], np.float32
)  # normals, into the cell
_SHARES = np.linspace(0.04, 0.96, 16, dtype=np.float32)[
    [8, 4, 12, 2, 6, 10, 14, 0, 1, 3, 5, 7, 9, 11, 13, 15]
]
_STEP = (1, -1, SIZE, -SIZE)  # cell on the other side of a wall


@dataclass(frozen=True)
class Lamp:
    """A light of one colour that reaches `reach` metres."""

    x: float
    y: float
    z: float
    color: tuple[float, float, float]
    reach: float = 7.0


@dataclass(frozen=True)
class Light:
    """The patches.

    Attributes:
        image: [h, w, 3] uint8, `ONE` is light 1.
        left: [6 * CELLS + pillars] float32, column of a face's first texel centre minus one half.
        top: the same, rows.
        floor: [SIZE, SIZE, 3] float32 light on the floor of each cell, for things that stand there.
    """

    image: np.ndarray
    left: np.ndarray
    top: np.ndarray
    floor: np.ndarray


@dataclass
class Texels:
    """Where light is computed: n points."""

    at: np.ndarray  # [n, 3]
    out: np.ndarray  # [n, 3] normals
    room: np.ndarray  # [n]
    ceiling: np.ndarray  # [n] metres
    kind: np.ndarray  # [n] side, 6 for a pillar

    def __post_init__(self):
        self.middle = self.at.reshape(-1, TEXELS, 3).mean(1)  # [patches, 3]

    def near(self, place: np.ndarray, reach: float, rooms: np.ndarray) -> np.ndarray:
        """Texels of the patches, of rooms [rooms] bool, that a lamp reaches and that do not turn their back to it."""
        way = place - self.middle
        close = (way**2).sum(1) < (reach + 0.5) ** 2
        back = (way * self.out[::TEXELS]).sum(1) < -0.6
        close &= rooms[self.room[::TEXELS]]
        patches = np.flatnonzero(close & ~(back & (self.kind[::TEXELS] < 6)))
        return (patches[:, None] * TEXELS + np.arange(TEXELS)).ravel()


def bake(plan: Plan, sky: Sky, lamps: list[Lamp], spots: np.ndarray) -> Light:
    """Compute all light of a place.

    Args:
        plan: its walls.
        sky: sun, sky and bounce.
        lamps: all lamps.
        spots: [n, 3] x, y, radius of things whose feet darken the floor.
    """
    faces, texels = _texels(plan)
    light = _open_sky(plan, sky, texels)
    light += _sun(plan, sky, texels)
    near = plan.near(4)  # through two doors in a line; farther, next to nothing
    for lamp in lamps:
        _add_lamp(light, lamp, plan, texels, near)
    light += _bounced(plan, light, texels)
    light *= _corners(plan, texels, spots)[:, None]
    light = 1.5 * (
        1 - np.exp(light * np.float32(-0.95))
    )  # as film takes it: bright lamps do not burn out
    return _pack(faces, len(plan.pillars), light, texels)


def _texels(plan: Plan) -> tuple[np.ndarray, Texels]:
    """Faces that can be seen, pillars last, and their texels, (DOWN + 2) x (ACROSS + 2) each."""
    ceiling = plan.ceiling.ravel()
    cells = np.flatnonzero(ceiling > 0)
    sides = [cells[ceiling[cells + step] < ceiling[cells]] for step in _STEP]
    covered = cells[[plan.rooms[r].kind != "court" for r in plan.room.ravel()[cells]]]
    faces = np.concatenate([s * CELLS + c for s, c in enumerate([*sides, cells, covered])])
    side, cell = np.divmod(faces, CELLS)
    down, across = np.meshgrid(
        (np.arange(DOWN + 2) - 0.5) / DOWN, (np.arange(ACROSS + 2) - 0.5) / ACROSS, indexing="ij"
    )
    u, v = (np.clip(t.ravel(), 0.03, 0.97).astype(np.float32)[None] for t in (across, down))
    x0, y0 = (cell % SIZE)[:, None], (cell // SIZE)[:, None]
    tall, side2 = ceiling[cell][:, None], side[:, None]
    walls = side2 < 4
    x = x0 + np.select([side2 == EAST, side2 == WEST], [0.999, 0.001], u)
    y = y0 + np.select([side2 == SOUTH, side2 == NORTH, walls], [0.999, 0.001, u], v)
    z = np.select([walls, side2 == CEILING], [v * tall, tall], 0.0 * v)
    count = u.shape[1]
    flat = [np.stack([x, y, z], -1).reshape(-1, 3), np.repeat(_OUT[side], count, 0)]
    flat += [
        np.repeat(plan.room.ravel()[cell], count),
        np.repeat(ceiling[cell], count),
        np.repeat(side, count),
    ]
    if len(plan.pillars):
        px, py, radius = (plan.pillars[:, i, None] for i in range(3))
        turn = across.ravel()[None] * 2 * np.pi
        c, s = np.cos(turn), np.sin(turn)
        own = plan.pillars[:, 1].astype(int) * SIZE + plan.pillars[:, 0].astype(int)
        at = [px + c * (radius + 0.02), py + s * (radius + 0.02), v * ceiling[own][:, None]]
        more = [
            np.stack(at, -1).reshape(-1, 3),
            np.tile(np.stack([c, s, 0 * c], -1)[0], (len(own), 1)),
        ]
        more += [np.repeat(plan.room.ravel()[own], count), np.repeat(ceiling[own], count)]
        more += [np.full(len(own) * count, 6)]
        flat = [np.concatenate(pair) for pair in zip(flat, more, strict=True)]
    at, out, room, high, kind = flat
    return faces, Texels(at.astype(np.float32), out.astype(np.float32), room, high, kind)


def _open_sky(plan: Plan, sky: Sky, t: Texels) -> np.ndarray:
    """Light of the open sky in courtyards, of everywhere in rooms: [n, 3]."""
    court = np.array([room.kind == "court" for room in plan.rooms])[t.room]
    up = np.where(t.kind < 6, 0.62 + 0.38 * t.out[:, 2], 0.7)
    deep = 0.7 + 0.3 * np.clip(t.at[:, 2] / ROOF, 0, 1)
    outside = np.asarray(sky.above)[None] * (up * deep)[:, None]
    inside = np.asarray(sky.bounce)[None] * (0.85 + 0.15 * t.out[:, 2])[:, None]
    return np.where(court[:, None], outside, inside).astype(np.float32)


def _sun(plan: Plan, sky: Sky, t: Texels) -> np.ndarray:
    """Beams of sun or moon, where nothing is in their way: [n, 3]."""
    sun = np.asarray(sky.sun, np.float32)
    faced = t.out @ sun
    lit = np.flatnonzero(faced > 0.02)
    steps = np.arange(0.25, ROOF / max(sun[2], 0.2) + 0.25, 0.25, np.float32)
    lit = lit[_clear(plan, t.at[lit] + 0.03 * t.out[lit], sun, steps)]
    at, free = t.at[lit] + 0.03 * t.out[lit], np.ones(len(lit), bool)
    for px, py, radius in plan.pillars:
        dx, dy = px - at[:, 0], py - at[:, 1]
        norm = float(np.hypot(sun[0], sun[1]))
        along = (dx * sun[0] + dy * sun[1]) / norm
        aside = np.abs(dx * sun[1] - dy * sun[0]) / norm
        under = at[:, 2] + along * sun[2] / norm < ROOF
        free &= ~((along > 0.1) & (aside < radius) & under)
    out = np.zeros((len(t.at), 3), np.float32)
    out[lit] = (faced[lit] * free)[:, None] * np.asarray(sky.beam, np.float32)
    return out


def _add_lamp(light: np.ndarray, lamp: Lamp, plan: Plan, t: Texels, rooms: np.ndarray) -> None:
    """Add one lamp's light to [n, 3]."""
    place = np.array([lamp.x, lamp.y, lamp.z], np.float32)
    own = int(plan.room[int(lamp.y), int(lamp.x)])
    near = t.near(place, lamp.reach, rooms[own])
    way = place - t.at[near]
    distance = np.sqrt((way**2).sum(1)) + 1e-3
    faced = (way * t.out[near]).sum(1) / distance
    keep = (distance < lamp.reach) & (faced > -0.2)
    near, way, distance, faced = near[keep], way[keep], distance[keep], faced[keep]
    at = t.at[near] + 0.04 * t.out[near]
    free = t.room[near] == own  # rooms have no corners of their own
    other = np.flatnonzero(~free)
    free[other] = _clear(plan, at[other], way[other], _SHARES)
    strength = free * np.clip((faced + 0.2) / 1.2, 0, 1)
    strength *= np.where(t.kind[near] == CEILING, 0.55, 1)
    for px, py, radius in plan.pillars:
        if abs(px - lamp.x) + abs(py - lamp.y) < 2 * lamp.reach:
            strength *= _past(at, way, px, py, radius, t.kind[near] == 6)
    fade = (1 - distance / lamp.reach) ** 2 / (0.35 + 0.22 * distance)
    light[near] += (strength * fade)[:, None] * np.asarray(lamp.color, np.float32)


def _clear(plan: Plan, at: np.ndarray, way: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Whether nothing solid lies at `at + step * way` for any step: [n]; what is above the roofs is free."""
    left = np.arange(len(at))
    way = np.broadcast_to(way, at.shape)
    ceiling = plan.ceiling.ravel()
    for step in steps:
        p = at[left] + step * way[left]
        cell = p[:, 1].astype(np.int64) * SIZE + p[:, 0].astype(np.int64)
        above = ceiling.take(np.clip(cell, 0, CELLS - 1)) + np.float32(0.05)
        left = left[(p[:, 2] < above) | (p[:, 2] > ROOF)]
    free = np.zeros(len(at), bool)
    free[left] = True
    return free


def _past(at, way, px: float, py: float, radius: float, pillar: np.ndarray) -> np.ndarray:
    """0 to 1, how much of a lamp's light passes a pillar."""
    dx, dy = px - at[:, 0], py - at[:, 1]
    flat = np.hypot(way[:, 0], way[:, 1]) + 1e-3
    along = (dx * way[:, 0] + dy * way[:, 1]) / flat
    aside = np.abs(dx * way[:, 1] - dy * way[:, 0]) / flat
    between = (along > np.where(pillar, 2 * radius, 0.05)) & (along < flat)
    return np.where(between, np.clip((aside - radius) / 0.1 + 0.5, 0.0, 1), 1)


def _bounced(plan: Plan, light: np.ndarray, t: Texels) -> np.ndarray:
    """Light thrown back by all surfaces of a room: 0.4 of its mean."""
    count = np.bincount(t.room, minlength=len(plan.rooms))[:, None]
    total = np.stack([np.bincount(t.room, light[:, i], len(plan.rooms)) for i in range(3)], 1)
    return (0.4 * total / np.maximum(count, 1))[t.room].astype(np.float32)


def _corners(plan: Plan, t: Texels, spots: np.ndarray) -> np.ndarray:
    """Factor [n], smaller near corners and at the feet of things."""
    scale = 8
    fine = np.kron(plan.ceiling > 0, np.ones((scale, scale), np.uint8)).astype(np.uint8)
    away = cv2.distanceTransform(fine, cv2.DIST_L2, 5) / scale
    off = t.at + 0.35 * t.out
    x, y = (np.clip((off[:, i] * scale).astype(int), 0, SIZE * scale - 1) for i in (0, 1))
    gap = np.minimum(away[y, x], 0.35) / 0.35
    wall = t.kind < 4
    dim = np.where(t.kind < 6, 0.62 + 0.38 * gap, 1.0)
    z, high = t.at[:, 2], t.ceiling
    upright = 1 - 0.34 * np.exp(-z / 0.35) - 0.22 * np.exp(-(high - z) / 0.3)
    dim = dim * np.where(wall | (t.kind == 6), upright, 1)
    floor = np.flatnonzero(t.kind == FLOOR)
    for px, py, radius in [*spots, *plan.pillars]:
        d = np.hypot(t.at[floor, 0] - px, t.at[floor, 1] - py)
        dim[floor] *= 1 - 0.55 * np.exp(-np.maximum(d - radius, 0) / 0.18)
    return dim


def _pack(faces: np.ndarray, pillars: int, light: np.ndarray, t: Texels) -> Light:
    tall, wide = DOWN + 2, ACROSS + 2
    count = len(faces) + pillars
    rows = -(-count // ROW)
    patches = np.zeros((rows * ROW, tall, wide, 3), np.float32)
    patches[:count] = light.reshape(count, tall, wide, 3)
    image = (
        patches.reshape(rows, ROW, tall, wide, 3).swapaxes(1, 2).reshape(rows * tall, ROW * wide, 3)
    )
    left, top = (np.zeros(6 * CELLS + pillars, np.float32) for _ in range(2))
    places = np.concatenate([faces, 6 * CELLS + np.arange(pillars)])
    left[places] = np.arange(count) % ROW * wide + 0.5
    top[places] = np.arange(count) // ROW * tall + 0.5
    floor = np.zeros((CELLS, 3), np.float32)
    lies = np.flatnonzero((faces // CELLS) == FLOOR)
    floor[faces[lies] % CELLS] = patches[lies].mean((1, 2))
    stored = np.clip(image * ONE, 0, 255).astype(np.uint8)
    return Light(stored, left, top, floor.reshape(SIZE, SIZE, 3))
