"""Sprites at every size, with haze and light of the distance at which that size is seen."""

from __future__ import annotations

from functools import lru_cache
from math import log

import cv2
import numpy as np

from aapt_games.driving import scenery
from aapt_games.driving.cutout import blend, cutout
from aapt_games.driving.scene import Palette
from aapt_games.driving.sprites import PAINT, draw

RATIO = 1.2  # from one stored size to the next
_LOG = log(RATIO)
FAR = 125.0  # metres: nothing is drawn beyond
SMALLEST = 2.0  # pixels of height: nothing smaller is drawn


@lru_cache(maxsize=160)
def _drawing(name: str, grass, leaves) -> list[tuple[np.ndarray, np.ndarray]]:
    """Premultiplied RGBA and glow, both uint8, of a thing under these leaves, each half as high as the last."""
    c = draw(name, grass, leaves)
    rgba = np.dstack([c.color * c.alpha[..., None], c.alpha * 255]).astype(np.uint8)
    sizes = [(rgba, (c.glow * c.alpha[..., None]).astype(np.uint8))]
    while rgba.shape[0] > 16:
        rgba, glow = (
            cv2.resize(p, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for p in sizes[-1]
        )
        sizes.append((rgba, glow))
    return sizes


@lru_cache(maxsize=16)
def bank(palette: Palette, focal: float) -> Bank:
    """The bank of a palette and focal length (pixels), shared between episodes."""
    heights = {k: scenery.HEIGHTS[k.rstrip("0123456789")] for k in scenery.KINDS}
    views = [f"car{c}-{v}" for c in range(len(PAINT)) for v in ("rear", "front", "side")]
    return Bank(palette, focal, heights | dict.fromkeys(views, scenery.CAR_HEIGHT))


class Bank:
    """Draws sprites; pictures are made when first needed.

    Args:
        palette: colours and light.
        focal: pixels, relates a size in the frame to a distance.
        heights: metres that a thing of each name usually has.
    """

    def __init__(self, palette: Palette, focal: float, heights: dict[str, float]):
        self.palette, self.focal, self.heights = palette, focal, heights
        self.far = min(FAR, palette.sight * 3.2)
        self._stored: dict[tuple[str, int], np.ndarray | None] = {}

    def _picture(self, name: str, level: int) -> np.ndarray | None:
        """A cut-out of `name`, RATIO**level pixels high; None where it has faded."""
        key = (name, level)
        if key not in self._stored:
            self._stored[key] = self._make(name, level)
        return self._stored[key]

    def _make(self, name: str, level: int) -> np.ndarray | None:
        sizes = _drawing(name, self.palette.grass, self.palette.leaves)
        px = max(2, round(RATIO**level))
        rgba, glow = [s for s in sizes if len(s[0]) >= px or s is sizes[0]][-1]
        size = (max(1, round(px * rgba.shape[1] / rgba.shape[0])), px)
        way = cv2.INTER_AREA if px <= rgba.shape[0] else cv2.INTER_LINEAR
        rgba = cv2.resize(rgba, size, interpolation=way).astype(np.float32)
        d = self.focal * self.heights[name] / px
        fade = min(1.0, max(0.0, (self.far - d) / (0.3 * self.far)))
        fade *= min(1.0, max(0.0, (px / RATIO - SMALLEST) / 1.5))
        if fade == 0:
            return None
        haze = 1 - np.exp(-d / self.palette.sight)
        dark = self.palette.headlights
        lamp = (1 - dark) + dark * (0.45 + 1.4 * np.exp(-d / 24))
        color, alpha = rgba[..., :3], rgba[..., 3:]
        color = np.minimum(
            color * np.asarray(self.palette.light, np.float32) * np.float32(lamp), alpha
        )
        if dark:
            color = np.maximum(color, cv2.resize(glow, size, interpolation=way))
        rgba[..., :3] = color * (1 - haze) + alpha * (np.asarray(self.palette.haze) * haze / 255)
        return cutout(rgba * np.float32(fade))

    def levels(self, px: np.ndarray) -> np.ndarray:
        """Stored sizes, int, whose pictures serve heights of `px` pixels."""
        return np.minimum(np.ceil(np.log(px) / _LOG - 0.25).astype(int), 32)

    def put(self, frame: np.ndarray, name: str, level: int, px: float, x: float, y: float) -> None:
        """Draw `name`, `px` pixels high, its foot's middle at column `x`, row `y`, on a frame [H, W, 4]."""
        picture = self._picture(name, level)
        if picture is None:
            return
        k = len(picture) / px
        w = picture.shape[1] / k
        x0, y0 = x - w / 2, y - px
        left, top = max(int(x0), 0), max(int(y0), 0)
        right, bottom = min(int(x0 + w) + 1, frame.shape[1]), min(int(y) + 1, frame.shape[0])
        if right <= left or bottom <= top:
            return
        shift = 0.5 * k - 0.5
        place = np.array([[k, 0, (left - x0) * k + shift], [0, k, (top - y0) * k + shift]])
        blend(frame[top:bottom, left:right], picture, place)
