"""A large sheet of paper for backgrounds: polygons, discs, gradients and glows in units of the pose."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

Color = tuple[float, float, float]
SHIFT = 6  # bits of a pixel that OpenCV draws to


def mix(a: Color, b: Color, t: float) -> Color:
    """From a to b."""
    red, green, blue = (x + (y - x) * t for x, y in zip(a, b, strict=True))
    return red, green, blue


def shade(color: Color, factor: float) -> Color:
    """Darker below 1, lighter above."""
    red, green, blue = (min(1.0, c * factor) for c in color)
    return red, green, blue


class Sheet:
    """RGB float32 [rows, columns, 3], 0 to 1.

    Args:
        aspect: width over height; the shorter side spans -1 to 1.
        rows: pixels.
    """

    def __init__(self, aspect: float, rows: int = 512):
        self.image = np.zeros((rows, round(rows * aspect), 3), np.float32)
        self.scale = min(self.image.shape[:2]) / 2
        self.wide, self.high = (n / 2 / self.scale for n in self.image.shape[1::-1])
        self.y = (self.high - (np.arange(rows) + 0.5) / self.scale)[:, None]
        self.x = ((np.arange(self.image.shape[1]) + 0.5) / self.scale - self.wide)[None]

    def _points(self, points: Sequence[tuple[float, float]]) -> np.ndarray:
        xy = np.array(points, float)
        place = np.stack([xy[:, 0] + self.wide, self.high - xy[:, 1]], 1) * self.scale - 0.5
        return np.round(place * 2**SHIFT).astype(np.int32)

    def poly(self, points: Sequence[tuple[float, float]], color: Color) -> None:
        """A filled polygon."""
        cv2.fillPoly(self.image, [self._points(points)], color, cv2.LINE_AA, SHIFT)

    def box(self, left: float, right: float, bottom: float, top: float, color: Color) -> None:
        """A filled rectangle."""
        self.poly([(left, bottom), (right, bottom), (right, top), (left, top)], color)

    def disc(self, x: float, y: float, rx: float, ry: float, color: Color) -> None:
        """A filled ellipse."""
        turns = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        self.poly([(x + rx * np.cos(t), y + ry * np.sin(t)) for t in turns], color)

    def fade(self, bottom: float, top: float, low: Color, high: Color) -> None:
        """A band from one colour to another, over the whole width."""
        t = np.clip((self.y - bottom) / (top - bottom), 0, 1)[..., None]
        band = (np.array(low) + (np.array(high) - np.array(low)) * t).astype(np.float32)
        rows = (self.y[:, 0] >= bottom) & (self.y[:, 0] < top)
        self.image[rows] = np.broadcast_to(band, self.image.shape)[rows]

    def glow(self, x: float, y: float, rx: float, ry: float, color: Color, amount: float) -> None:
        """Add light that falls off from a point."""
        far = np.exp(-(((self.x - x) / rx) ** 2) - ((self.y - y) / ry) ** 2)[..., None]
        self.image += (amount * far * np.array(color)).astype(np.float32)

    def dim(self, x: float, y: float, rx: float, ry: float, amount: float) -> None:
        """Darken about a point."""
        far = np.exp(-(((self.x - x) / rx) ** 2) - ((self.y - y) / ry) ** 2)[..., None]
        self.image *= (1 - amount * far).astype(np.float32)

    def grain(
        self, rng: np.random.Generator, bottom: float, top: float, size: tuple, amount: float
    ):
        """Soft irregularity between two heights; `size` in units, x and y."""
        rows, columns = self.image.shape[:2]
        small = max(2, int(2 * self.wide / size[0])), max(2, int(2 * self.high / size[1]))
        noise = rng.normal(0, 1, small[::-1]).astype(np.float32)
        noise = cv2.resize(noise, (columns, rows), interpolation=cv2.INTER_CUBIC)
        keep = ((self.y >= bottom) & (self.y < top)).astype(np.float32)
        self.image *= 1 + np.float32(amount) * (noise * keep)[..., None]

    def blur(self, above: float, sigma: float) -> None:
        """Put what lies above a height out of focus."""
        rows = int(np.searchsorted(-self.y[:, 0], -above))
        if rows > 2:
            part = cv2.GaussianBlur(self.image[:rows], (0, 0), sigma * self.scale)
            self.image[:rows] = part
