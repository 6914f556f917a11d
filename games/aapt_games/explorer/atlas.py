"""All textures of a place in one picture, each with its coarser copies, so that one gather paints a frame."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from aapt_games.explorer.textures import TALL, WIDE

LEVELS = 5  # each half the scale of the one before
EDGE = 2  # pixels around a copy that continue it, for bilinear reading


@dataclass(frozen=True)
class Atlas:
    """Tiles and where they lie.

    Attributes:
        image: [h, w, 3] uint8.
        left: [tiles * LEVELS] float32, column of a copy's first pixel centre; index tile * LEVELS + level.
        top: [tiles * LEVELS] float32, its row.
        span: [tiles, 2] metres that a tile covers across and down.
    """

    image: np.ndarray
    left: np.ndarray
    top: np.ndarray
    span: np.ndarray


class Palette:
    """Collects tiles."""

    def __init__(self):
        self.tiles: list[np.ndarray] = []
        self.spans: list[tuple[float, float]] = []
        self.walls: list[bool] = []

    def add(self, tile: np.ndarray, span: tuple[float, float], wall: bool) -> int:
        """Add a tile [TALL, WIDE, 3] that covers `span` metres; returns its index."""
        self.tiles.append(tile)
        self.spans.append(span)
        self.walls.append(wall)
        return len(self.tiles) - 1

    def pack(self) -> Atlas:
        """Lay the tiles out, one row each, copies side by side."""
        sizes = [(WIDE >> k, TALL >> k) for k in range(LEVELS)]
        starts = np.cumsum([0] + [w + 2 * EDGE for w, _ in sizes])
        tall = TALL + 2 * EDGE
        image = np.zeros((tall * len(self.tiles), starts[-1], 3), np.uint8)
        left = np.empty((len(self.tiles), LEVELS), np.float32)
        top = np.empty_like(left)
        for i, tile in enumerate(self.tiles):
            for k, (w, h) in enumerate(sizes):
                small = cv2.resize(tile, (w, h), interpolation=cv2.INTER_AREA)
                rows = cv2.BORDER_REPLICATE if self.walls[i] else cv2.BORDER_WRAP
                small = cv2.copyMakeBorder(small, EDGE, EDGE, 0, 0, rows)
                small = cv2.copyMakeBorder(small, 0, 0, EDGE, EDGE, cv2.BORDER_WRAP)
                image[i * tall : i * tall + h + 2 * EDGE, starts[k] : starts[k + 1]] = small
                left[i, k], top[i, k] = starts[k] + EDGE - 0.5, i * tall + EDGE - 0.5
        return Atlas(image, left.ravel(), top.ravel(), np.array(self.spans, np.float32))
