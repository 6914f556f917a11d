"""Patterns of the open air: facades, hedges, and the ground of courtyards."""

from __future__ import annotations

import cv2
import numpy as np

from aapt_games.explorer.grain import TALL, WIDE, flat, grain, noise, skirt, stones


def castle(rng, color):
    """A facade of stone with arrow slits and battlements."""
    image = stones(rng, color, (12, 4), 2, True, 0.13)
    image[:18, 32:64] *= 0.35
    image[:18, 96:] *= 0.35
    for x in (64,):
        cv2.rectangle(image, (x - 4, 60), (x + 4, 104), (24, 22, 24), -1)
    return image


def house(rng, color):
    """A facade with shuttered windows and a cornice."""
    image = flat(color) * grain(rng, 0.05)
    shutter = rng.choice([(64, 110, 92), (70, 96, 140), (140, 60, 50), (90, 120, 60)]).tolist()
    for y in (26,):
        _window(image, (46, y, 36, 54), rng)
        for x in (28, 83):
            cv2.rectangle(image, (x, y), (x + 16, y + 54), shutter, -1)
            for line in range(y + 3, y + 54, 4):
                cv2.line(image, (x + 1, line), (x + 15, line), [0.75 * c for c in shutter], 1)
    image[:8] = np.asarray(color) * 0.5 + 110
    image[8:11] *= 0.6
    image[106:110] = np.asarray(color) * 0.5 + 100
    image[-40:] *= 0.84
    return skirt(image, 0.6)


def temple(rng, color):
    """A facade with a frieze and half columns."""
    image = stones(rng, color, (8, 2), 1, True, 0.06, 0.8)
    x = np.arange(WIDE)
    column = np.abs((x % 64) - 32) < 10
    shade = 0.8 + 0.3 * np.cos(((x % 64) - 36) / 20 * np.pi)
    image[24:, column] = (np.asarray(color, np.float32) * 1.05) * shade[None, column, None]
    image[:22] = np.asarray(rng.choice([(60, 104, 150), (160, 66, 52), (70, 120, 100)]), np.float32)
    meander = ((x // 4 % 4)[None] != 2) & (np.arange(6, 16)[:, None] // 3 % 2 == 0)
    image[6:16][meander] = (232, 206, 150)
    image[22:26] *= 0.55
    return skirt(image, 0.7)


def hedge(rng, color):
    """Dense leaves."""
    leaves = noise(rng, 12) * 0.4 + noise(rng, 32) * 0.7 + noise(rng, 64) * 0.4
    image = flat(color) * (0.95 + 0.24 * np.clip(leaves, -1.6, 1.8))[..., None]
    image += np.clip(leaves - 1.0, 0, 1)[..., None] * np.asarray((50, 60, 10), np.float32)
    for _ in range(int(rng.integers(0, 26))):
        at = int(rng.integers(WIDE)), int(rng.integers(TALL - 60))
        cv2.circle(
            image, at, 2, rng.choice([(240, 150, 170), (250, 240, 220), (236, 96, 90)]).tolist(), -1
        )
    return np.maximum(image, 12)


def trellis(rng, color):
    """White lattice before leaves."""
    image = hedge(rng, (60, 104, 50)) * 0.8
    y, x = np.mgrid[0:TALL, 0:WIDE]
    bars = (((x + y) % 32) < 4) | (((x - y) % 32) < 4) | ((x % 64) < 5)
    image[bars] = np.asarray(color, np.float32) * 0.96
    return skirt(image, 0.7)


def grass(rng, color):
    """A lawn with daisies."""
    n = noise(rng, 64) * 0.1 + noise(rng, 24) * 0.08 + noise(rng, 4) * 0.08
    image = flat(color) * (1 + n)[..., None]
    for _ in range(int(rng.integers(0, 30))):
        at = int(rng.integers(WIDE)), int(rng.integers(TALL))
        image[at[1], at[0]] = rng.choice([(246, 240, 224), (240, 214, 84), (206, 120, 190)])
    return image


def sand(rng, color):
    """Raked sand."""
    y = np.arange(TALL, dtype=np.float32)[:, None]
    wave = np.sin(y * 2 * np.pi / 8 + 1.5 * noise(rng, 3)) * 0.04
    return flat(color) * (1 + wave)[..., None] * grain(rng, 0.05)


def cobbles(rng, color):
    """Small round stones."""
    return stones(rng, color, (16, 10), 3, True, 0.18, 0.5)


def terracotta(rng, color):
    """Square clay tiles."""
    return stones(rng, color, (9, 6), 2, False, 0.1, 0.7)


def _window(image: np.ndarray, box: tuple[int, int, int, int], rng) -> None:
    """A window of four panes that mirror the sky."""
    x, y, w, h = box
    cv2.rectangle(image, (x - 2, y - 2), (x + w + 2, y + h + 2), (232, 226, 214), -1)
    pane = np.linspace(0.55, 1.05, h)[:, None, None] * np.asarray((92, 122, 150))
    image[y : y + h, x : x + w] = pane
    cv2.line(image, (x + w // 2, y), (x + w // 2, y + h), (226, 220, 208), 2)
    cv2.line(image, (x, y + h // 3), (x + w, y + h // 3), (226, 220, 208), 2)
