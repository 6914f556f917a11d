"""What the driver sees of the own car: bonnet, dashboard, steering wheel, small lamps."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from aapt_games.driving.cutout import blend, cutout
from aapt_games.driving.scene import Palette

FINE = 4  # supersampling
TURN = 1.9  # rad the wheel is turned at full lock


@lru_cache(maxsize=16)
def cockpit(height: int, width: int, palette: Palette) -> Cockpit:
    """The cockpit of a frame size and palette, shared between episodes."""
    return Cockpit(height, width, palette)


class Cockpit:
    """Pictures for one frame size and scene.

    The wheel's top half is visible; a yellow mark and two gloved hands show how far it is turned.
    """

    def __init__(self, height: int, width: int, palette: Palette):
        self.height, self.width = height, width
        self.center = (0.5 * width, 1.0 * height)
        self.radius = 0.225 * width
        self.top = int(0.74 * height)
        dim = 0.55 if palette.headlights else 0.75 + 0.25 * palette.light[0]
        self.body, self.cover = self._body(dim, palette)
        self.wheel = self._wheel(dim)
        reach = int(np.ceil(self.radius)) + 2
        x0 = int(self.center[0]) - reach
        self.span = (max(height - reach, 0), max(x0, 0), min(x0 + 2 * reach, width))
        self.bar = self._box(0.06, 0.90, 0.25, 0.95)
        self.lamps = (self._box(0.80, 0.90, 0.86, 0.95), self._box(0.88, 0.90, 0.94, 0.95))

    def _box(self, x0: float, y0: float, x1: float, y1: float) -> tuple[int, int, int, int]:
        """Rows and columns of a rectangle given in shares of the frame."""
        h, w = self.height, self.width
        return round(y0 * h), round(y1 * h), round(x0 * w), round(x1 * w)

    def _body(self, dim: float, palette: Palette) -> tuple[np.ndarray, np.ndarray]:
        """Of the bonnet and dashboard rows: a cut-out, and its last channel four times; uint8."""
        h, w = self.height * FINE, self.width * FINE
        color, alpha = np.zeros((h, w, 3), np.float32), np.zeros((h, w), np.float32)
        sky = np.asarray(palette.sky[0])
        for k in range(6):  # bonnet, lighter where it mirrors the sky
            t = k / 5
            tone = np.asarray((176, 30, 36)) * dim * (0.7 + 0.35 * t) * (1 - 0.15 * t)
            tone = tone + sky * 0.16 * t
            axes = (int(w * (0.44 - 0.045 * k)), int(h * (0.105 - 0.014 * k)))
            at = (w // 2, int(h * 0.885))
            cv2.ellipse(color, at, axes, 0, 180, 360, tone.tolist(), -1)
            if k == 0:
                cv2.ellipse(alpha, at, axes, 0, 180, 360, 1.0, -1)
        x = np.linspace(-1, 1, w)
        edge = h * (0.845 + 0.03 * x**2)
        rows = np.arange(h)[:, None]
        dash = rows > edge[None]
        depth = np.clip((rows - edge[None]) / (0.15 * h), 0, 1)[..., None]
        tone = np.asarray((64, 62, 68)) * dim * (1 - 0.55 * depth)
        color = np.where(dash[..., None], tone, color)
        alpha = np.where(dash, 1.0, alpha)
        rim = np.abs(rows - edge[None] - 0.006 * h) < 0.006 * h
        color[rim] = np.asarray((104, 102, 108)) * dim
        small = cv2.resize(np.dstack([color * alpha[..., None], alpha * 255]).astype(np.float32),
                           (self.width, self.height), interpolation=cv2.INTER_AREA)  # fmt: skip
        body = cutout(small[self.top :])
        return body, cv2.merge([body[..., 3]] * 4)

    def _wheel(self, dim: float) -> np.ndarray:
        """A cut-out, four times finer than the frame drawn, halved once."""
        r = self.radius * 4
        n = int(2 * r + 16)
        color, alpha = np.zeros((n, n, 3), np.float32), np.zeros((n, n), np.uint8)
        c = n // 2

        def arc(a0: float, a1: float, tone, thick: float, radius: float = 0.9) -> None:
            axes = (int(r * radius), int(r * radius))
            tone = tuple(v * dim for v in tone)
            cv2.ellipse(color, (c, c), axes, 0, a0, a1, tone, int(r * thick), cv2.LINE_AA)
            cv2.ellipse(alpha, (c, c), axes, 0, a0, a1, 255, int(r * thick), cv2.LINE_AA)

        for angle in (0, 90, 180):  # spokes, degrees clockwise from the right
            a = np.deg2rad(angle)
            end = (int(c + 0.88 * r * np.cos(a)), int(c + 0.88 * r * np.sin(a)))
            cv2.line(color, (c, c), end, (70 * dim, 70 * dim, 78 * dim), int(r * 0.2))
            cv2.line(alpha, (c, c), end, 255, int(r * 0.2))
        arc(0, 360, (22, 22, 26), 0.2)
        arc(0, 360, (52, 52, 58), 0.06, 0.93)
        for side in (205, 335):
            arc(side - 16, side + 16, (214, 158, 118), 0.27)
        arc(263, 277, (250, 214, 40), 0.22)
        cv2.circle(color, (c, c), int(r * 0.3), (40 * dim, 40 * dim, 46 * dim), -1, cv2.LINE_AA)
        cv2.circle(alpha, (c, c), int(r * 0.3), 255, -1, cv2.LINE_AA)
        rgba = np.dstack([color * (alpha[..., None] / 255.0), alpha])
        return cv2.resize(cutout(rgba), (n // 2, n // 2), interpolation=cv2.INTER_AREA)

    def draw(
        self, frame: np.ndarray, steer: float, speed: float, pedals: tuple[bool, bool]
    ) -> None:
        """Paint over a frame, [H, W, 4]; `steer` in [-1, 1], `speed` in m/s, pedals throttle and brake."""
        part = frame[self.top :]
        cv2.multiply(part, self.cover, dst=part, scale=1 / 255)
        cv2.add(part, self.body, dst=part)
        self._instruments(frame[..., :3], speed, pedals)
        y, x0, x1 = self.span
        n = self.wheel.shape[0] / 2
        c, s = 2 * np.cos(steer * TURN), 2 * np.sin(steer * TURN)
        cx, cy = self.center[0] - x0 - 0.5, self.center[1] - y - 0.5
        to_wheel = np.array([[c, -s, n - c * cx + s * cy], [s, c, n - s * cx - c * cy]])
        blend(frame[y:, x0:x1], self.wheel, to_wheel)

    def _instruments(self, frame: np.ndarray, speed: float, pedals: tuple[bool, bool]) -> None:
        a, b, c, d = self.bar
        frame[a:b, c:d] = (18, 20, 24)
        fill = max(0.0, min(1.0, abs(speed) / 30)) * (d - c)
        whole = int(fill)
        frame[a:b, c : c + whole] = (70, 210, 230)
        if whole < d - c:
            frame[a:b, c + whole] = np.add((18, 20, 24), np.multiply((52, 190, 206), fill - whole))
        for (a, b, c, d), on, tone in zip(
            self.lamps, pedals, ((70, 220, 90), (240, 50, 40)), strict=True
        ):
            frame[a:b, c:d] = tone if on else (36, 38, 42)

    def mask(self) -> np.ndarray:
        """[H, W] bool, True on pixels that wheel, pedal lamps or speed bar can change.

        The bar is in because it answers the pedals at once: who reads it sees the pedals, whatever the road does.
        """
        y, x = np.mgrid[: self.height, : self.width] + 0.5
        mask = np.hypot(x - self.center[0], y - self.center[1]) < self.radius * 1.06 + 1.5
        for a, b, c, d in (self.bar, *self.lamps):
            mask[a:b, c:d] = True
        return mask
