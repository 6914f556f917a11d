"""The land seen from above: one painted map of a track and its coarser copies."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from aapt_games.chance import one_of
from aapt_games.driving.scene import Palette
from aapt_games.driving.track import Track

SCALE = 5.0  # pixels per metre of the finest map
MARGIN = 70.0  # metres of land around the track
LEVELS = 4
DASH = 10.0  # metres from one lane dash to the next
KERB = 5.0  # metres of a red and a white block together


@dataclass(frozen=True)
class Ground:
    """The painted land.

    Attributes:
        levels: RGB and wetness maps, uint8, each half the scale of the one before.
        origin: world x, y (m) of the maps' corner.
        edge: RGB beyond the maps.
    """

    levels: list[np.ndarray]
    origin: np.ndarray
    edge: tuple[int, ...]


def paint(track: Track, palette: Palette, rng: np.random.Generator) -> Ground:
    """Draw the land and the track on it, in full daylight colours times the scene's light."""
    low, high = track.xy.min(0) - MARGIN, track.xy.max(0) + MARGIN
    size = np.ceil((high - low) / 8).astype(int) * 8  # m
    brush = _Brush(track, low, _land(size, palette, rng), np.asarray(palette.light))
    brush.road(palette)
    brush.kerbs()
    brush.marks()
    fine = brush.map
    fine = cv2.GaussianBlur(fine, (3, 3), 0.8)
    noise = rng.integers(0, 256, (fine.shape[0] // 4, fine.shape[1] // 4), np.uint8)
    noise = cv2.resize(cv2.blur(noise, (3, 3)), fine.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    noise = cv2.merge([noise] * 4)
    fine = cv2.addWeighted(fine, 1.0, noise, 0.26, -0.26 * 127.5)
    levels = [fine]
    for _ in range(LEVELS - 1):
        levels.append(cv2.resize(levels[-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    edge = tuple(int(c) for c in levels[-1][:4].reshape(-1, 4).mean(0))
    return Ground(levels, low, edge)


def _clouds(rng: np.random.Generator, shape: tuple[int, int], cell: int) -> np.ndarray:
    """Smooth noise in [0, 1] with blobs about `cell` pixels wide."""
    small = rng.random((shape[0] // cell + 3, shape[1] // cell + 3)).astype(np.float32)
    big = cv2.resize(small, None, fx=cell, fy=cell, interpolation=cv2.INTER_CUBIC)
    return np.clip(big[: shape[0], : shape[1]], 0, 1)


def _land(size: np.ndarray, palette: Palette, rng: np.random.Generator) -> np.ndarray:
    """Meadow, fields and ponds, drawn at 1 px/m and enlarged."""
    w, h = int(size[0]), int(size[1])
    n = 0.55 * _clouds(rng, (h, w), 24) + 0.45 * _clouds(rng, (h, w), 7)
    a, b = (np.asarray(c, np.float32) for c in palette.grass)
    land = a + (b - a) * np.clip((n[..., None] - 0.25) * 2, 0, 1)
    for _ in range(int(rng.integers(8, 18))):
        center, angle = rng.uniform(0, 1, 2) * (w, h), rng.uniform(0, 180)
        box = ((float(center[0]), float(center[1])), tuple(rng.uniform(30, 95, 2)), angle)
        color = one_of(rng, palette.fields)
        shade = rng.uniform(0.92, 1.04)
        corners = cv2.boxPoints(box).astype(np.int32)
        cv2.fillPoly(land, [corners], [c * shade for c in color], cv2.LINE_AA)
    for _ in range(int(rng.integers(0, 4))):
        center = (int(rng.uniform(0, w)), int(rng.uniform(0, h)))
        axes = (int(rng.uniform(9, 26)), int(rng.uniform(7, 18)))
        pond = (176, 200, 216) if palette.grass[0][0] > 200 else (70, 118, 158)
        cv2.ellipse(land, center, axes, rng.uniform(0, 180), 0, 360, pond, -1, cv2.LINE_AA)
    land *= 0.94 + 0.12 * _clouds(rng, (h, w), 3)[..., None]
    land = np.clip(land * np.asarray(palette.light, np.float32), 0, 255)
    land = land.astype(np.uint8)
    land = cv2.merge([land, np.zeros((h, w), np.uint8)])
    return cv2.resize(land, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_LINEAR)


class _Brush:
    """Draws along a track onto a map."""

    def __init__(self, track: Track, origin: np.ndarray, canvas: np.ndarray, light: np.ndarray):
        self.track, self.origin, self.map, self.light = track, origin, canvas, light
        self.normals = track.normals

    def _lit(self, color, wet: float = 255.0) -> tuple[float, ...]:
        return (*np.minimum(np.asarray(color) * self.light, 255).tolist(), wet)

    def line(
        self, offset: float, width: float, color, span: slice | None = None, wet=255.0
    ) -> None:
        """A ribbon `width` m wide, `offset` m left of the centre; whole lap without `span`."""
        p = (self.track.xy + self.normals * offset - self.origin) * SCALE * 16
        points = p[span] if span is not None else p[::2]
        thick = max(1, int(round(width * SCALE)))
        cv2.polylines(
            self.map, [np.round(points).astype(np.int32)], span is None, self._lit(color, wet), thick,
            cv2.LINE_AA, 4,
        )  # fmt: skip

    def road(self, palette: Palette) -> None:
        """Shoulder, edge lines, asphalt with the darker lane where tyres run."""
        w, asphalt = self.track.width, np.asarray(palette.asphalt, float)
        self.line(0, w + 3.4, palette.shoulder, wet=70.0)
        self.line(0, w, tuple(asphalt))
        for side in (-1, 1):
            self.line(side * (w / 4 + 0.75), 0.7, tuple(asphalt * 0.9))
            self.line(side * (w / 4 - 0.75), 0.7, tuple(asphalt * 0.9))
            self.line(side * (w / 2 - 0.45), 0.36, (244, 244, 240))

    def _blocks(self, period: float, mask: np.ndarray) -> list[slice | None]:
        """Slices of one half period each; None where `mask` [N] does not hold."""
        count = int(round(self.track.length / period)) * 2
        edges = np.round(np.linspace(0, len(mask), count + 1)).astype(int)
        return [
            slice(a, b + 1) if mask[a] else None
            for a, b in zip(edges[:-1], edges[1:], strict=True)
        ]  # fmt: skip

    def kerbs(self) -> None:
        """Red and white blocks on both sides of sharp bends."""
        bend = np.abs(self.track.curvature)
        reach = np.array(
            [bend[np.arange(i - 8, i + 9) % len(bend)].max() for i in range(len(bend))]
        )
        for k, span in enumerate(self._blocks(KERB, reach > 1 / 55)):
            if span is None:
                continue
            color = (206, 40, 36) if k % 2 else (238, 238, 234)
            for side in (-1, 1):
                self.line(side * (self.track.width / 2 + 0.35), 1.1, color, span)

    def marks(self) -> None:
        """The dashed centre line and the chequered start."""
        for k, span in enumerate(self._blocks(DASH, np.ones(len(self.track.xy), bool))):
            if k % 2:
                self.line(0, 0.34, (246, 246, 240), span)
        half, n = self.track.width / 2 - 0.3, 6
        for row in range(2):
            for cell in range(n):
                a = -half + cell * 2 * half / n
                color = (240, 240, 240) if (row + cell) % 2 else (30, 30, 32)
                t, m = self.track.heading[0], self.normals[0]
                along = np.array([np.cos(t), np.sin(t)])
                p0 = self.track.xy[0] + along * row * 1.4
                quad = [p0 + m * a, p0 + m * (a + 2 * half / n)]
                quad += [quad[1] + along * 1.4, quad[0] + along * 1.4]
                points = np.round((np.array(quad) - self.origin) * SCALE).astype(np.int32)
                cv2.fillConvexPoly(self.map, points, self._lit(color), cv2.LINE_AA)
