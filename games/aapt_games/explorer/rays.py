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
    per_x, per_y = (1 / np.maximum(np.abs(d), np.float32(1e-7)) for d in (dx, dy))
    right, down = dx > 0, dy > 0
    fx, fy = np.float32(x % 1), np.float32(y % 1)
    next_x = np.where(right, 1 - fx, fx) * per_x
    next_y = np.where(down, 1 - fy, fy) * per_y
    step_x, step_y = np.where(right, 1, -1), np.where(down, SIZE, -SIZE)
    cell = np.full(count, int(y) * SIZE + int(x))
    depths, crossed, cells, heights = [], [], [cell], [ceiling.take(cell)]
    open_way = heights[0] > 0
    while open_way.any():
        across = next_x < next_y
        depths.append(np.minimum(next_x, next_y))
        crossed.append(across)
        cells.append(cells[-1] + np.where(across, step_x, step_y))
        heights.append(ceiling.take(cells[-1], mode="clip"))
        open_way &= heights[-1] > 0
        np.add(next_x, per_x, out=next_x, where=across)
        np.add(next_y, per_y, out=next_y, where=~across)
    high = np.array(heights)
    here, there = high[:-1], high[1:]
    last = (there == 0).argmax(0)
    event = (here != there) & (np.arange(len(there))[:, None] <= last)
    layer = np.minimum(event.cumsum(0, dtype=np.intp) - 1, LAYERS - 1)
    step, ray = np.nonzero(event)
    place = layer[step, ray], ray
    side = np.where(
        np.array(crossed)[step, ray], np.where(right, 0, 1)[ray], np.where(down, 2, 3)[ray]
    )
    depth = np.full((LAYERS + 1, count), 1e9, np.float32)
    above, face = np.zeros((LAYERS + 1, count), np.float32), np.zeros((LAYERS + 1, count), np.intp)
    depth[place] = np.array(depths)[step, ray]
    above[place] = here[step, ray]
    face[place] = side * CELLS + np.array(cells)[step, ray]
    slope = np.full((int(layer.max()) + 1, count), -1e9, np.float32)
    low = np.minimum(here, there)[step, ray]
    slope[place] = (low - np.float32(eye)) / np.maximum(depth[place], np.float32(1e-3))
    wall = depth[layer[-1], np.arange(count)]
    return Hits(
        np.minimum.accumulate(slope, axis=0), depth.ravel(), above.ravel(), face.ravel(), wall
    )


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
