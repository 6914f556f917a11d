"""The sky over the courtyards, all round: [ROWS, WIDTH] by azimuth and by tangent of elevation."""

from __future__ import annotations

import cv2
import numpy as np

from aapt_games.explorer.scene import Sky

WIDTH, ROWS = 512, 128  # columns for the full circle; the last row is the horizon


def row_of(tangent: np.ndarray) -> np.ndarray:
    """Row (from 0) of an upward tangent t: the zenith is row 0, the horizon ROWS."""
    return ROWS / (1 + tangent)


def paint(sky: Sky, time: str, rng: np.random.Generator) -> np.ndarray:
    """[ROWS, WIDTH + 2, 3] uint8; column 1 looks along +x, columns go towards +y; a column of wrap at each side."""
    share = (np.arange(ROWS) + 0.5) / ROWS
    elevation = np.arctan(1 / share - 1)
    azimuth = (np.arange(WIDTH) + 0.5) / WIDTH * 2 * np.pi
    low, high = np.asarray(sky.low, np.float32), np.asarray(sky.high, np.float32)
    t = (np.sin(elevation) ** 0.6)[:, None, None].astype(np.float32)
    image = np.broadcast_to(low * (1 - t) + high * t, (ROWS, WIDTH, 3)).copy()
    flat = np.cos(elevation)[:, None]
    way = np.stack(
        [flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)[:, None] + 0 * azimuth],
        -1,
    )
    towards = (way @ np.asarray(sky.sun)).clip(-1, 1)
    if time == "night":
        stars = rng.random((ROWS, WIDTH)) > 0.994
        image[stars] += rng.uniform(60, 200, (int(stars.sum()), 1)).astype(np.float32)
    glow = np.exp((towards - 1) * (30 if time == "night" else 14))[..., None]
    disc = np.clip((towards - (0.9955 if time == "night" else 0.997)) * 900, 0, 1)[..., None]
    lamp = np.asarray((236, 238, 246) if time == "night" else (255, 246, 214), np.float32)
    image += (lamp - image) * np.clip(0.6 * glow, 0, 1)
    cover = _clouds(way, rng)[..., None]
    shade = np.asarray(sky.cloud, np.float32) * (0.82 + 0.18 * np.clip(towards, 0, 1))[..., None]
    image += (lamp - image) * disc
    image += (shade - image) * cover
    image = np.clip(image, 0, 255).astype(np.uint8)
    return cv2.copyMakeBorder(image, 0, 0, 1, 1, cv2.BORDER_WRAP)


def _clouds(way: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cover 0 to 1 of a layer of cloud overhead, seen in perspective."""
    over = 2.2 / np.maximum(way[..., 2], 0.08)
    x, y = (way[..., i] * over for i in (0, 1))
    cover = np.zeros(way.shape[:2], np.float32)
    for cell, gain in ((2.6, 0.55), (1.1, 0.3), (0.5, 0.2)):
        field = cv2.GaussianBlur(
            rng.standard_normal((64, 64)).astype(np.float32),
            (0, 0),
            0.8,
            borderType=cv2.BORDER_REFLECT,
        )
        u, v = ((c / cell % 60 + 2).astype(np.float32) for c in (x, y))
        cover += gain * cv2.remap(field, u, v, cv2.INTER_CUBIC)
    cover = np.clip((cover - rng.uniform(-0.02, 0.14)) * 5, 0, 0.92)
    return cover * np.clip(way[..., 2] * 6, 0, 1)
