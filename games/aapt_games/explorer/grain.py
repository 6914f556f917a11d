"""What patterns are made of: noise that repeats without a seam, masonry, mouldings."""

from __future__ import annotations

import cv2
import numpy as np

WIDE, TALL = 128, 192  # pixels of a tile
SPAN = 2.0  # metres across a tile; a wall's tile is as tall as its room, others are 3 m


def noise(rng: np.random.Generator, cells: int, rows: int = 0) -> np.ndarray:
    """[TALL, WIDE] smooth noise of mean 0 and spread about 1 that repeats, `cells` bumps across."""
    rows = rows or max(1, cells * TALL // WIDE)
    small = rng.standard_normal((rows, cells)).astype(np.float32)
    small = np.pad(small, 2, mode="wrap")
    fine = cv2.resize(small, None, fx=WIDE / cells, fy=TALL / rows, interpolation=cv2.INTER_CUBIC)
    y, x = round(2 * TALL / rows), round(2 * WIDE / cells)
    return fine[y : y + TALL, x : x + WIDE] * 1.3


def grain(rng: np.random.Generator, amount: float) -> np.ndarray:
    """[TALL, WIDE, 1] factor of speckle over three sizes."""
    n = 0.5 * noise(rng, 4) + 0.35 * noise(rng, 16) + 0.35 * noise(rng, 64)
    return (1 + amount * n)[..., None]


def flat(color) -> np.ndarray:
    """[TALL, WIDE, 3] float32 of one colour."""
    return np.broadcast_to(np.asarray(color, np.float32), (TALL, WIDE, 3)).copy()


def joints(shape: tuple[int, int], gap: int, shift: bool, soft: bool = True):
    """Masonry of rows x columns: [TALL, WIDE] index of the stone, and how far each pixel is inside it, 0 to 1."""
    rows, columns = shape
    y = np.arange(TALL)[:, None] * rows / TALL
    row = y.astype(int)
    x = np.arange(WIDE)[None] * columns / WIDE + (0.5 * (row % 2) if shift else 0)
    column = x.astype(int) % columns
    fx, fy = x % 1, y % 1
    edge = np.minimum(np.minimum(fx, 1 - fx) * WIDE / columns, np.minimum(fy, 1 - fy) * TALL / rows)
    inside = np.clip((edge - gap / 2) / (2.0 if soft else 1.0), 0, 1)
    return row * columns + column, inside.astype(np.float32)


def stones(rng, color, shape, gap=2, shift=True, spread=0.12, mortar=0.62) -> np.ndarray:
    """Stones of differing tone, lit at their upper edge, in darker mortar."""
    index, inside = joints(shape, gap, shift)
    tone = 1 + spread * rng.standard_normal((index.max() + 1, 1)).astype(np.float32)
    tint = 1 + 0.04 * rng.standard_normal((index.max() + 1, 3)).astype(np.float32)
    image = flat(color) * (tone * tint)[index] * grain(rng, 0.07)
    relief = cv2.Sobel(inside, cv2.CV_32F, 0, 1, ksize=3) + 0.6 * cv2.Sobel(
        inside, cv2.CV_32F, 1, 0
    )
    image *= (1 + 0.07 * relief)[..., None]
    return image * (mortar + (1 - mortar) * inside)[..., None]


def skirt(image: np.ndarray, tone: float) -> np.ndarray:
    """A skirting board along the foot and a moulding along the top."""
    image[-10:] *= tone
    image[-11:-10] *= 1.3
    image[:5] = image[:5] * 0.5 + 112
    image[5:7] *= 0.6
    return image
