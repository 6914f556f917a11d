"""Soft shadows on the ground."""

from __future__ import annotations

import cv2
import numpy as np

from aapt_games.puppet.skeleton import HEAD, LIMBS, to_frame, to_world
from aapt_games.puppet.solids import Light

F = np.float32
WIDTHS = (
    np.array([0, 2.2, 0, 0, 1.3, 1.2, 1.0, 1.3, 1.2, 1.0, 1.4, 1.6, 1.3, 1.3, 1.4, 1.6, 1.3, 1.3])
    * 0.085
)
SHIFT = 4
SUB = 1 << SHIFT


class Shadow:
    """Casts a figure's shadow on the floor of a picture.

    Args:
        height: rows.
        width: columns.
        horizon: height in the frame at which the floor ends.
    """

    def __init__(self, height: int, width: int, horizon: float):
        self.height, self.width = height, width
        self.scale = min(height, width) / 2
        self.fine = 0.5 if self.scale > 32 else 1.0  # shadows are drawn small, since they are soft
        self.top = max(int(height / 2 - horizon * self.scale), 0)
        rows = np.arange(self.top, height) - self.top
        self.edge = np.clip(rows / (0.03 * height), 0, 1).astype(F)[:, None]  # none on the wall

    def cast(self, picture: np.ndarray, pose: np.ndarray, size: float, light: Light) -> None:
        """Darken the floor of a picture [3, H, W] under a pose."""
        world = to_world(pose)
        high = np.maximum(world[:, 1], 0)
        flat = world.copy()
        flat[:, 0] -= light.towards[0] / light.towards[1] * high
        flat[:, 2] -= light.towards[2] / light.towards[1] * high
        flat[:, 1] = 0
        long = self._pixels(to_frame(flat))
        under = world.copy()
        under[:, 1] = 0
        below = self._pixels(to_frame(under))
        far = self._draw(long, np.ones(len(LIMBS)), size)
        lift = np.clip(
            1 - (np.array([min(high[a], high[b]) for a, b in LIMBS]) - 0.05) / 0.45, 0, 1
        )
        near = self._draw(below, lift, 0.8 * size)
        soft = self.fine * self.scale * (light.softness + 0.02)
        far = cv2.GaussianBlur(far, (0, 0), soft)
        near = cv2.GaussianBlur(near, (0, 0), 0.8 * soft, sigmaY=0.45 * soft)
        dark = far * F(light.shadow / 255) + near * F(0.5 * light.shadow / 255)
        if self.fine < 1:
            dark = cv2.resize(
                dark, (self.width, self.height - self.top), interpolation=cv2.INTER_LINEAR
            )
        picture[:, self.top :] *= 1 - np.minimum(dark, F(0.8)) * self.edge

    def _pixels(self, seen: np.ndarray) -> np.ndarray:
        """Points [J, 3] in the frame -> [J, 2] pixels of the floor's part, in OpenCV's fractions."""
        x = seen[:, 0] * self.scale + self.width / 2 - 0.5
        y = self.height / 2 - seen[:, 1] * self.scale - 0.5 - self.top
        return np.round(((np.stack([x, y], 1) + 0.5) * self.fine - 0.5) * SUB).astype(np.int32)

    def _draw(self, at: np.ndarray, strength: np.ndarray, size: float) -> np.ndarray:
        """[rows, W] uint8 of limbs and head."""
        size *= self.fine
        rows, columns = self.height - self.top, self.width
        mask = np.zeros((round(rows * self.fine), round(columns * self.fine)), np.uint8)
        for (a, b), much in sorted(zip(LIMBS, strength, strict=True), key=lambda each: each[1]):
            wide = round(WIDTHS[b] * size * self.scale)
            if wide and much > 0.02:
                cv2.line(
                    mask,
                    at[a].tolist(),
                    at[b].tolist(),
                    255 * float(much),
                    max(wide, 1),
                    cv2.LINE_AA,
                    SHIFT,
                )
        if strength[1] > 0.02:
            r = 0.15 * size * self.scale * SUB
            cv2.circle(
                mask, at[HEAD].tolist(), round(r), 255 * float(strength[1]), -1, cv2.LINE_AA, SHIFT
            )
        return mask
