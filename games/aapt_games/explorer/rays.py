"""Rays through the cells of a plan: where each meets walls and lintels, nearest first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aapt_games.explorer.light import CELLS
from aapt_games.explorer.plan import SIZE

LAYERS = 10  # changes of ceiling that a ray remembers; the last one is always the wall that ends it


@dataclass(frozen=True)
class Hits:
    """What A rays meet, [LAYERS + 1, A] each, flattened; the layer after a ray's last one is the floor beyond.

    Attributes:
        slope: [layers in use, A] a pixel of a greater slope than this meets this layer; not increasing.
        depth: distance, in units of the ray's own direction.
        ceiling: metres above the cell in front of the layer.
        face: the face of that cell, side * CELLS + cell.
        wall: [A] depth of the wall that ends each ray.
    """

    slope: np.ndarray
    depth: np.ndarray
    ceiling: np.ndarray
    face: np.ndarray
    wall: np.ndarray


def cast(
    ceiling: np.ndarray, x: float, y: float, eye: float, dx: np.ndarray, dy: np.ndarray
) -> Hits:
    """Follow rays from (x, y) in directions dx, dy [A] until each meets a wall.

    Args:
        ceiling: [CELLS] metres above each cell, 0 is solid.
        x: m.
        y: m.
        eye: metres above the floor.
        dx: float32.
        dy: float32.
    """
    count = len(dx)
    with np.errstate(divide="ignore"):
        per_x, per_y = np.abs(1 / dx), np.abs(1 / dy)
    right, down = dx > 0, dy > 0
    fx, fy = np.float32(x % 1), np.float32(y % 1)
    next_x = np.where(right, 1 - fx, fx) * per_x
    next_y = np.where(down, 1 - fy, fy) * per_y
    step_x, step_y = np.where(right, 1, -1), np.where(down, SIZE, -SIZE)
    face_x, face_y = np.where(right, 0, CELLS), np.where(down, 2 * CELLS, 3 * CELLS)
    cell = np.full(count, int(y) * SIZE + int(x))
    depths, faces, heights = [], [], [ceiling[cell]]
    for _ in range(3 * SIZE):
        across = next_x < next_y
        depths.append(np.where(across, next_x, next_y))
        faces.append(np.where(across, face_x, face_y) + cell)
        cell = cell + np.where(across, step_x, step_y) * (heights[-1] > 0)
        heights.append(ceiling.take(cell))
        next_x += per_x * across
        next_y += per_y * ~across
        if not heights[-1].any():
            break
    high = np.stack(heights)
    here, there = high[:-1], high[1:]
    event = here != there
    layer = np.minimum(event.cumsum(0) - 1, LAYERS - 1)
    step, ray = np.nonzero(event)
    place = layer[step, ray], ray
    used = layer[-1] + 1
    depth = np.full((LAYERS + 1, count), 1e9, np.float32)
    slope = np.full((LAYERS + 1, count), -1e9, np.float32)
    above, face = np.zeros((LAYERS + 1, count), np.float32), np.zeros((LAYERS + 1, count), np.int64)
    depth[place] = np.stack(depths)[step, ray]
    above[place], face[place] = here[step, ray], np.stack(faces)[step, ray]
    low = np.minimum(here, there)[step, ray]
    slope[place] = (low - eye) / np.maximum(depth[place], 1e-3)
    slope = np.minimum.accumulate(slope[: int(used.max())], axis=0)
    wall = depth[used - 1, np.arange(count)]
    return Hits(slope, depth.ravel(), above.ravel(), face.ravel(), wall)


def pillars(posts: np.ndarray, x: float, y: float, dx: np.ndarray, dy: np.ndarray):
    """The nearest pillar that each ray meets: depth [A] (1e9 for none), index [A].

    Args:
        posts: [n, 3] x, y, radius; n >= 1.
        x: m.
        y: m.
        dx: [A].
        dy: [A].
    """
    px, py = (posts[:, i, None] - np.float32(v) for i, v in ((0, x), (1, y)))
    a = dx * dx + dy * dy
    b = px * dx + py * dy  # [n, A]
    inside = b * b - a * (px * px + py * py - posts[:, 2, None] ** 2)
    depth = np.where(
        (inside > 0) & (b > 0), (b - np.sqrt(np.maximum(inside, 0))) / a, np.float32(1e9)
    )
    index = depth.argmin(0)
    return depth[index, np.arange(len(dx))], index
