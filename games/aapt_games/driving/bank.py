"""Sprites at every size, with haze and light of the distance at which that size is seen."""

from __future__ import annotations

from functools import lru_cache
from math import ceil, log

import cv2
import numpy as np

from aapt_games.driving import scenery
from aapt_games.driving.cockpit import blend
from aapt_games.driving.scene import Palette
from aapt_games.driving.sprites import PAINT, draw

RATIO = 1.2  # from one stored size to the next
_LOG = log(RATIO)
FAR = 125.0  # metres: nothing is drawn beyond
SMALLEST = 2.0  # pixels of height: nothing smaller is drawn


@lru_cache(maxsize=160)
def _drawing(name: str, grass, leaves) -> tuple[np.ndarray, np.ndarray]:
    """Premultiplied RGBA and glow, both uint8, of a thing under these leaves."""
    c = draw(name, grass, leaves)
    rgba = np.dstack([c.color * c.alpha[..., None], c.alpha * 255])
    return rgba.astype(np.uint8), (c.glow * c.alpha[..., None]).astype(np.uint8)


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
        """Premultiplied RGBA of `name`, RATIO**level pixels high; None where it has faded."""
        key = (name, level)
        if key not in self._stored:
            self._stored[key] = self._make(name, level)
        return self._stored[key]

    def _make(self, name: str, level: int) -> np.ndarray | None:
        rgba, glow = _drawing(name, self.palette.grass, self.palette.leaves)
        px = max(2, round(RATIO**level))
        size = (max(1, round(px * rgba.shape[1] / rgba.shape[0])), px)
        way = cv2.INTER_AREA if px <= rgba.shape[0] else cv2.INTER_LINEAR
        rgba = cv2.resize(rgba, size, interpolation=way).astype(np.float32)
        d = self.focal * self.heights[name] / px
        haze = 1 - np.exp(-d / self.palette.sight)
        dark = self.palette.headlights
        lamp = (1 - dark) + dark * (0.45 + 1.4 * np.exp(-d / 24))
        color = rgba[..., :3] * np.asarray(self.palette.light) * lamp
        color = np.minimum(color, rgba[..., 3:])
        if dark:
            color = np.maximum(color, cv2.resize(glow, size, interpolation=way))
        color = color * (1 - haze) + np.asarray(self.palette.haze) * rgba[..., 3:] / 255 * haze
        fade = min(1.0, max(0.0, (self.far - d) / (0.3 * self.far)))
        fade *= min(1.0, max(0.0, (px / RATIO - SMALLEST) / 1.5))
        if fade == 0:
            return None
        out = np.dstack([color, rgba[..., 3]]) * fade
        return np.ascontiguousarray(np.clip(out, 0, 255).astype(np.uint8))

    def put(
        self, frame: np.ndarray, name: str, height: float, x: float, y: float, d: float
    ) -> None:
        """Draw `name` standing with its foot's middle at column `x`, row `y`, `d` metres away."""
        px = self.focal * height / d
        level = ceil(log(px) / _LOG - 0.25)
        picture = self._picture(name, min(level, 32))
        if picture is None:
            return
        k = picture.shape[0] / px
        w = picture.shape[1] / k
        x0, y0 = x - w / 2, y - px
        left, top = max(int(x0), 0), max(int(y0), 0)
        right, bottom = min(int(x0 + w) + 1, frame.shape[1]), min(int(y) + 1, frame.shape[0])
        if right <= left or bottom <= top:
            return
        shift = 0.5 * k - 0.5
        place = np.array([[k, 0, (left - x0) * k + shift], [0, k, (top - y0) * k + shift]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        blend(frame[top:bottom, left:right],
              cv2.warpAffine(picture, place, (right - left, bottom - top), flags=flags))  # fmt: skip
