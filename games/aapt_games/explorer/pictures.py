"""What hangs on walls and frames doors: paintings, windows, banners, niches and door posts."""

from __future__ import annotations

import cv2
import numpy as np

from aapt_games.chance import one_of
from aapt_games.explorer.grain import TALL, WIDE, noise
from aapt_games.explorer.scene import Color
from aapt_games.explorer.textures import planks


def hung(rng: np.random.Generator, wall: np.ndarray, height: float, hue: Color) -> np.ndarray:
    """One metre of a wall with something on it, [TALL, WIDE, 3] uint8 stretched to fill a tile.

    Args:
        rng: the dice.
        wall: the wall's own tile, 2 m across.
        height: of the wall (m).
        hue: the room's own colour.
    """
    image = cv2.resize(wall[:, : WIDE // 2], (WIDE, TALL), interpolation=cv2.INTER_LINEAR)
    image = image.astype(np.float32)
    middle, metre = round(TALL * (1 - 1.65 / height)), TALL / height
    draw = one_of(rng, (painting, painting, banner, mirror))
    draw(rng, image, middle, metre, np.asarray(hue, np.float32))
    return np.clip(image, 0, 255).astype(np.uint8)


def painting(rng, image, middle: int, metre: float, hue) -> None:
    """A framed picture: hills under a sky, a sun, or bold shapes."""
    half = round(0.42 * metre), 50
    top, left, right = middle - half[0], 64 - half[1], 64 + half[1]
    cv2.rectangle(image, (left - 6, top - 5), (right + 6, middle + half[0] + 5), (188, 146, 62), -1)
    cv2.rectangle(image, (left - 2, top - 2), (right + 2, middle + half[0] + 2), (92, 66, 30), 2)
    tall, wide = 2 * half[0], right - left
    canvas = np.empty((tall, wide, 3), np.float32)
    low, high = rng.uniform(120, 255, 3), rng.uniform(30, 220, 3)
    canvas[:] = high + (low - high) * np.linspace(0, 1, tall)[:, None, None]
    at = int(rng.integers(20, wide - 20)), int(rng.integers(8, tall // 2))
    cv2.circle(canvas, at, int(rng.integers(5, 12)), (252, 236, 180), -1)
    x = np.arange(wide)
    for k in range(3):
        ridge = tall * (0.45 + 0.18 * k) + 7 * np.sin(x / rng.uniform(8, 24) + rng.uniform(0, 6))
        color = hue * (1.1 - 0.3 * k) * rng.uniform(0.7, 1.2, 3)
        canvas[np.arange(tall)[:, None] > ridge[None]] = color
    image[top : top + tall, left:right] = canvas


def banner(rng, image, middle: int, metre: float, hue) -> None:
    """A hanging cloth in the room's colour with a device on it."""
    top, bottom = max(10, round(middle - 0.7 * metre)), round(middle + 0.6 * metre)
    points = np.array(
        [[34, top], [94, top], [94, bottom], [64, bottom - 16], [34, bottom]], np.int32
    )
    cv2.fillPoly(image, [points], hue.tolist())
    cv2.polylines(image, [points], True, (226, 190, 96), 3)
    cv2.line(image, (28, top), (100, top), (96, 68, 40), 5)
    gold = (236, 204, 110)
    center = (64, (top + bottom) // 2 - 6)
    if rng.random() < 0.5:
        cv2.circle(image, center, 14, gold, -1)
        cv2.circle(image, center, 7, hue.tolist(), -1)
    else:
        cross = np.array(
            [[64, center[1] - 20], [80, center[1]], [64, center[1] + 20], [48, center[1]]]
        )
        cv2.fillPoly(image, [cross.astype(np.int32)], gold)


def mirror(rng, image, middle: int, metre: float, hue) -> None:
    """A round plate of metal or enamel."""
    radius = round(0.36 * metre)
    axes = (46, radius)
    cv2.ellipse(image, (64, middle), (52, radius + 5), 0, 0, 360, (176, 136, 60), -1)
    cv2.ellipse(image, (64, middle), axes, 0, 0, 360, (hue * 0.9 + 20).tolist(), -1)
    cv2.ellipse(
        image,
        (56, middle - radius // 4),
        (24, radius // 2),
        0,
        0,
        360,
        (hue * 0.5 + 120).tolist(),
        -1,
    )


def window(rng, wall: np.ndarray, height: float, light: Color) -> np.ndarray:
    """One metre of wall with a leaded window through which the sky shines."""
    image = cv2.resize(wall[:, : WIDE // 2], (WIDE, TALL)).astype(np.float32)
    metre = TALL / height
    top, bottom = round(TALL - 2.45 * metre), round(TALL - 0.95 * metre)
    top = max(top, 14)
    cv2.rectangle(image, (18, top - 4), (110, bottom + 4), (196, 186, 168), -1)
    cv2.rectangle(image, (10, bottom + 2), (118, bottom + 9), (214, 204, 188), -1)
    glow = np.asarray(light, np.float32)
    rows = np.linspace(0.86, 1.08, bottom - top)[:, None, None]
    image[top:bottom, 24:104] = np.minimum(glow * rows, 255)
    stained = rng.random() < 0.35
    for i, x in enumerate(range(24, 104, 20)):
        for j, y in enumerate(range(top, bottom, 22)):
            if stained and (i + j) % 2:
                part = image[y : min(y + 22, bottom), x : x + 20]
                part *= np.asarray(
                    rng.choice([(1, 0.5, 0.4), (0.45, 0.75, 1), (1, 0.86, 0.4)]), np.float32
                )
            cv2.line(image, (x, top), (x, bottom), (84, 78, 72), 2)
            cv2.line(image, (24, y), (104, y), (84, 78, 72), 2)
    return np.clip(image, 0, 255).astype(np.uint8)


def door(rng: np.random.Generator, color: Color) -> np.ndarray:
    """The side of a doorway: an open door of painted boards with iron bands."""
    image = planks(rng, color)
    for y in (34, 150):
        cv2.rectangle(image, (8, y - 6), (120, y + 6), (58, 56, 60), -1)
        for x in (18, 64, 110):
            cv2.circle(image, (x, y), 3, (130, 128, 132), -1)
    cv2.circle(image, (106, 98), 6, (206, 170, 74), -1)
    image *= (1 + 0.05 * noise(rng, 8))[..., None]
    image[:, :7] = image[:, -7:] = np.asarray((120, 104, 84), np.float32)
    image[:6] = (120, 104, 84)
    return np.clip(image, 0, 255).astype(np.uint8)
