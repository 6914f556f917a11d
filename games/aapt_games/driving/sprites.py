"""Pictures of the things beside and on the road, drawn once at a large size."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from aapt_games.driving.scene import Color

SIZE = 128  # pixels of height
PAINT = ((196, 36, 40), (38, 84, 176), (236, 200, 50), (232, 234, 236), (34, 130, 84), (40, 42, 50))


class Canvas:
    """A picture with transparency; units are shares of its height, y up from the ground.

    Attributes:
        color: [SIZE, W, 3] float32 RGB.
        alpha: [SIZE, W] float32 in [0, 1].
        glow: [SIZE, W, 3] float32 light of its own, seen at night.
    """

    def __init__(self, aspect: float = 1.0):
        self.k = 2  # supersampling
        h, w = SIZE * self.k, int(SIZE * aspect) * self.k
        self.color = np.zeros((h, w, 3), np.float32)
        self.alpha = np.zeros((h, w), np.float32)
        self.glow = np.zeros((h, w, 3), np.float32)

    def _point(self, x: float, y: float) -> tuple[int, int]:
        h, w = self.alpha.shape
        return int(round(w / 2 + x * h)), int(round((1 - y) * h))

    def poly(self, points, color, glow=None) -> None:
        """A filled polygon."""
        p = np.array([self._point(*q) for q in points], np.int32)
        cv2.fillPoly(self.color, [p], color)
        cv2.fillPoly(self.alpha, [p], 1.0)
        cv2.fillPoly(self.glow, [p], glow or (0, 0, 0))

    def box(self, x0, y0, x1, y1, color, glow=None) -> None:
        """A filled rectangle."""
        self.poly([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], color, glow)

    def disc(self, x, y, r, color, glow=None) -> None:
        """A filled circle."""
        h = self.alpha.shape[0]
        c, r = self._point(x, y), max(1, int(round(r * h)))
        cv2.circle(self.color, c, r, color, -1)
        cv2.circle(self.alpha, c, r, 1.0, -1)
        cv2.circle(self.glow, c, r, glow or (0, 0, 0), -1)

    def stroke(self, x0, y0, x1, y1, width, color) -> None:
        """A straight line."""
        h = self.alpha.shape[0]
        a, b, t = self._point(x0, y0), self._point(x1, y1), max(1, int(round(width * h)))
        cv2.line(self.color, a, b, color, t)
        cv2.line(self.alpha, a, b, 1.0, t)

    def shadow(self, width: float) -> None:
        """A soft dark ellipse on the ground."""
        h = self.alpha.shape[0]
        soft = np.zeros_like(self.alpha)
        center = self._point(0, 0.025)
        cv2.ellipse(soft, center, (int(width * h / 2), int(0.03 * h)), 0, 0, 360, 0.55, -1)
        self.alpha = np.maximum(self.alpha, cv2.blur(soft, (9, 9)))


def shade(color, k: float) -> tuple[float, ...]:
    """The colour times `k`, at most white."""
    return tuple(min(255.0, c * k) for c in color)


@dataclass(frozen=True)
class Plants:
    """What the season makes of grass and leaves: RGB colours."""

    grass: tuple[Color, Color]
    leaves: tuple[Color, ...]


def draw(name: str, grass: tuple[Color, Color], leaves: tuple[Color, ...]) -> Canvas:
    """The picture of a kind of thing, such as `oak2` or `car1-rear`."""
    palette = Plants(grass, leaves)
    kind, number = name.rstrip("0123456789"), name[len(name.rstrip("0123456789")) :]
    if name.startswith("car"):
        paint, view = name[3:].split("-")
        return _car(PAINT[int(paint)], view)
    rng = np.random.default_rng([len(kind), ord(kind[0]), int(number)])
    return _DRAW[kind](palette, rng, int(number))


def _snowy(palette: Plants) -> bool:
    return palette.grass[0][0] > 200


def _oak(palette: Plants, rng: np.random.Generator, v: int) -> Canvas:
    c = Canvas(0.9)
    c.shadow(0.5)
    c.stroke(0, 0, 0, 0.45, 0.07, (92, 68, 48))
    leaf = palette.leaves[v]
    bare = _snowy(palette)
    for _ in range(26 if bare else 0):
        x, y = rng.uniform(-0.36, 0.36), rng.uniform(0.5, 0.95)
        c.stroke(0, 0.34 + 0.2 * rng.random(), x, y, 0.018, (96, 78, 66))
    blobs = [(rng.uniform(-0.24, 0.24), rng.uniform(0.4, 0.8)) for _ in range(16)]
    for x, y in sorted(blobs, key=lambda b: b[1]):
        k = 0.62 + 0.55 * y - 0.35 * x + rng.uniform(-0.05, 0.05)
        r = rng.uniform(0.1, 0.18) * (0.7 if bare else 1)
        c.disc(x, y, min(r, 0.98 - y), shade(leaf, k))
    for _ in range(10):
        x, y = rng.uniform(-0.22, 0.12), rng.uniform(0.55, 0.88)
        c.disc(x, y, 0.05, (240, 244, 250) if bare else shade(leaf, 1.28))
    return c


def _pine(palette: Plants, rng: np.random.Generator, v: int) -> Canvas:
    c = Canvas(0.6)
    c.shadow(0.3)
    c.stroke(0, 0, 0, 0.3, 0.05, (84, 60, 44))
    green = (44, 92, 62) if v else (56, 104, 58)
    for k in range(5):
        y, w = 0.14 + 0.165 * k, 0.27 - 0.045 * k
        top = min(y + 0.3, 1.0)
        c.poly([(-w, y), (w, y), (0, top)], shade(green, 0.75 + 0.09 * k))
        c.poly([(-w, y), (-w * 0.1, y), (0, top)], shade(green, 1.0 + 0.09 * k))
        if _snowy(palette):
            c.poly([(-w * 0.55, y + 0.12), (w * 0.45, y + 0.13), (0, top)], (236, 242, 250))
    return c


def _bush(palette: Plants, rng: np.random.Generator, v: int) -> Canvas:
    c = Canvas(1.9)
    c.shadow(1.5)
    leaf = (232, 236, 244) if _snowy(palette) else palette.leaves[2 * v]
    for _ in range(14):
        x, y = rng.uniform(-0.6, 0.6), rng.uniform(0.2, 0.6)
        c.disc(x, y, rng.uniform(0.2, 0.34), shade(leaf, 0.6 + 0.6 * y + rng.uniform(-0.06, 0.06)))
    return c


def _house(palette: Plants, rng: np.random.Generator, v: int) -> Canvas:
    c = Canvas(1.5)
    c.shadow(1.4)
    wall = ((236, 224, 196), (222, 196, 168), (206, 212, 216))[v]
    roof = (232, 238, 246) if _snowy(palette) else ((168, 74, 54), (120, 62, 52), (92, 88, 96))[v]
    c.box(-0.62, 0, 0.62, 0.56, wall)
    c.box(0.25, 0, 0.62, 0.56, shade(wall, 0.82))
    c.box(0.3, 0.7, 0.4, 0.98, (140, 96, 80))
    c.poly([(-0.72, 0.54), (0.72, 0.54), (0.46, 0.95), (-0.46, 0.95)], roof)
    c.poly([(0.3, 0.54), (0.72, 0.54), (0.46, 0.95)], shade(roof, 0.8))
    lit = (255, 206, 110)
    for x in (-0.48, -0.2, 0.34):
        c.box(x, 0.22, x + 0.16, 0.42, (108, 134, 158), lit)
    c.box(0.06, 0, 0.2, 0.36, (112, 72, 50))
    return c


def _post(palette: Plants, rng: np.random.Generator, v: int) -> Canvas:
    c = Canvas(0.3)
    c.box(-0.09, 0, 0.09, 1, (244, 244, 240), (120, 120, 118))
    c.box(-0.09, 0.62, 0.09, 0.86, (214, 48, 36), (240, 90, 40))
    return c


def _board(palette: Plants, rng: np.random.Generator, v: int) -> Canvas:
    c = Canvas(1.8)
    c.stroke(-0.6, 0, -0.6, 0.4, 0.06, (90, 90, 96))
    c.stroke(0.6, 0, 0.6, 0.4, 0.06, (90, 90, 96))
    tone = ((226, 60, 50), (36, 92, 190), (242, 190, 44))[v]
    c.box(-0.85, 0.32, 0.85, 0.98, (250, 250, 248), (90, 90, 90))
    c.box(-0.8, 0.36, 0.8, 0.94, tone, shade(tone, 0.45))
    c.disc(-0.45, 0.65, 0.2, (250, 250, 248), (110, 110, 110))
    c.box(-0.12, 0.68, 0.68, 0.8, (250, 250, 248), (110, 110, 110))
    c.box(-0.12, 0.48, 0.5, 0.6, (250, 250, 248), (110, 110, 110))
    return c


def _arrow(turn: int):
    def make(palette: Plants, rng: np.random.Generator, v: int) -> Canvas:
        c = Canvas(1.1)
        c.stroke(0, 0, 0, 0.4, 0.07, (110, 110, 116))
        c.box(-0.5, 0.3, 0.5, 1.0, (204, 36, 36), (130, 24, 24))
        x = 0.3 * turn
        c.poly(
            [(-x, 0.36), (-x * 0.2, 0.36), (x * 1.2, 0.65), (-x * 0.2, 0.94), (-x, 0.94),
             (x * 0.2, 0.65)], (250, 250, 250), (190, 190, 190),
        )  # fmt: skip
        return c

    return make


def _stand(palette: Plants, rng: np.random.Generator, v: int) -> Canvas:
    c = Canvas(2.4)
    c.shadow(2.2)
    c.box(-1.1, 0, 1.1, 0.3, (126, 130, 140))
    for row in range(4):
        y = 0.28 + row * 0.11
        c.box(-1.1, y, 1.1, y + 0.11, (96, 100, 112))
        for x in np.arange(-1.03, 1.05, 0.1):
            tone = PAINT[int(rng.integers(5))]
            c.disc(float(x), y + 0.06, 0.042, tone, shade(tone, 0.25))
    c.box(-1.18, 0.88, 1.18, 1.0, (214, 62, 48), (80, 20, 16))
    c.stroke(-1.08, 0.3, -1.08, 0.9, 0.04, (226, 226, 230))
    c.stroke(1.08, 0.3, 1.08, 0.9, 0.04, (226, 226, 230))
    return c


def _lamp(palette: Plants, rng: np.random.Generator, v: int) -> Canvas:
    c = Canvas(0.4)
    c.stroke(0, 0, 0, 0.95, 0.03, (128, 132, 140))
    c.stroke(0, 0.95, -0.12, 0.97, 0.025, (128, 132, 140))
    c.disc(-0.12, 0.95, 0.035, (236, 236, 226), (255, 232, 170))
    return c


def _bale(palette: Plants, rng: np.random.Generator, v: int) -> Canvas:
    c = Canvas(1.3)
    c.shadow(1.2)
    straw = (236, 240, 246) if _snowy(palette) else (214, 182, 92)
    c.disc(0, 0.48, 0.47, shade(straw, 0.85))
    c.disc(-0.04, 0.52, 0.38, straw)
    c.disc(-0.04, 0.52, 0.16, shade(straw, 0.88))
    return c


def _car(paint, view: str) -> Canvas:
    if view == "side":
        return _car_side(paint)
    c = Canvas(1.3)
    c.shadow(1.24)
    dark, rear = (26, 26, 30), view == "rear"
    for x in (-0.5, 0.34):
        c.box(x, 0, x + 0.16, 0.2, dark)
    c.box(-0.56, 0.1, 0.56, 0.52, shade(paint, 0.82))
    c.poly([(-0.56, 0.5), (0.56, 0.5), (0.5, 0.6), (-0.5, 0.6)], paint)
    c.poly([(-0.47, 0.58), (0.47, 0.58), (0.36, 0.98), (-0.36, 0.98)], shade(paint, 1.08))
    glass = (52, 66, 82) if rear else (96, 124, 146)
    c.poly([(-0.4, 0.6), (0.4, 0.6), (0.32, 0.9), (-0.32, 0.9)], glass)
    c.poly([(-0.36, 0.62), (-0.1, 0.62), (-0.14, 0.88), (-0.3, 0.88)], shade(glass, 1.35))
    c.box(-0.5, 0.1, 0.5, 0.2, (52, 52, 58))
    lamp, glow = ((218, 30, 30), (255, 50, 40)) if rear else ((250, 248, 226), (255, 250, 220))
    for x in (-0.54, 0.34):
        c.box(x, 0.36, x + 0.2, 0.48, lamp, glow)
    c.box(-0.16, 0.28, 0.16, 0.38, (236, 236, 226), (60, 60, 56))
    return c


def _car_side(paint) -> Canvas:
    c = Canvas(2.9)
    c.shadow(2.7)
    c.poly([(-1.38, 0.16), (1.38, 0.16), (1.36, 0.5), (0.8, 0.58), (-1.34, 0.6)], paint)
    c.poly([(-1.1, 0.58), (0.8, 0.56), (0.35, 0.98), (-0.75, 0.98)], shade(paint, 1.08))
    c.poly([(-0.92, 0.6), (0.62, 0.58), (0.28, 0.9), (-0.68, 0.9)], (60, 78, 96))
    c.box(-0.14, 0.58, -0.06, 0.92, paint)
    c.box(-1.38, 0.4, -1.28, 0.54, (218, 30, 30), (255, 50, 40))
    c.box(1.26, 0.38, 1.37, 0.5, (250, 248, 226), (255, 250, 220))
    for x in (-0.86, 0.86):
        c.disc(x, 0.18, 0.19, (24, 24, 28))
        c.disc(x, 0.18, 0.09, (170, 172, 178))
    return c


_DRAW = {
    "oak": _oak, "pine": _pine, "bush": _bush, "house": _house, "post": _post, "board": _board,
    "left": _arrow(-1), "right": _arrow(1), "stand": _stand, "lamp": _lamp, "bale": _bale,
}  # fmt: skip
