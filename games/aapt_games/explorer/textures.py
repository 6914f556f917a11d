"""Patterns for walls, floors and ceilings, drawn from a seed: [TALL, WIDE, 3] tiles that repeat without a seam."""

from __future__ import annotations

import functools
from collections.abc import Callable

import cv2
import numpy as np

from aapt_games.explorer import facades
from aapt_games.explorer.grain import SPAN, TALL, WIDE, flat, grain, joints, noise, skirt, stones
from aapt_games.explorer.scene import Color

__all__ = ["PATTERNS", "SPAN", "TALL", "WIDE", "tile", "variant"]


def blocks(rng, color):
    """Ashlar."""
    return stones(rng, color, (6, 3) if rng.random() < 0.5 else (8, 4))


def brick(rng, color):
    """Bricks."""
    return stones(rng, color, (24, 8), 1, True, 0.16, 0.8)


def flags(rng, color):
    """Large floor stones."""
    return stones(rng, color, (4, 3), 2, True, 0.1)


def checker(rng, color):
    """Two kinds of slabs in turn."""
    index, inside = joints((6, 4), 1, False)
    dark = (index // 4 + index % 4) % 2
    other = np.asarray(color, np.float32) * rng.uniform(0.25, 0.5) * rng.uniform(0.85, 1.1, 3)
    image = np.where(dark[..., None] == 1, other.astype(np.float32), flat(color))
    return image * (1 + 0.07 * noise(rng, 6)[..., None]) * (0.75 + 0.25 * inside)[..., None]


def mosaic(rng, color):
    """Small tesserae with rings of other colours."""
    index, inside = joints((36, 24), 1, False)
    tone = 1 + 0.16 * rng.standard_normal((index.max() + 1, 1)).astype(np.float32)
    y, x = np.mgrid[0:TALL, 0:WIDE]
    ring = np.minimum(
        np.hypot((x % 64) - 32, (y % 64) - 32), np.hypot(((x + 32) % 64) - 32, ((y + 32) % 64) - 32)
    )
    image = flat(color)
    for low, high in ((7, 11), (17, 20)):
        image[(ring >= low) & (ring < high)] = rng.uniform(0.4, 1.0, 3) * (236, 206, 150)
    image[ring < 4] = (226, 186, 88)
    return image * tone[index] * (0.72 + 0.28 * inside)[..., None]


def planks(rng, color):
    """Boards along one way."""
    index, inside = joints((1, 6), 2, False)
    tone = 1 + 0.13 * rng.standard_normal((6, 1)).astype(np.float32)
    streak = noise(rng, 64, 4) * 0.07 + noise(rng, 32, 2) * 0.06
    shift = (np.arange(TALL)[:, None] + 47 * index) % 96
    ends = np.where(shift < 2, 0.7, 1.0)
    image = flat(color) * tone[index] * (1 + streak)[..., None]
    return image * (0.6 + 0.4 * inside)[..., None] * ends[..., None]


def parquet(rng, color):
    """Herringbone of short boards."""
    index, inside = joints((12, 8), 1, False)
    turn = (index // 8 + index % 8) % 2
    streak = np.where(turn, noise(rng, 64, 6), noise(rng, 6, 96))
    tone = np.where(turn, 1.0, 0.82) * (1 + 0.05 * rng.standard_normal(96)[index])
    return flat(color) * (tone * (1 + 0.09 * streak) * (0.75 + 0.25 * inside))[..., None]


def plaster(rng, color):
    """Rough plaster over a darker plinth, with stains."""
    image = flat(color) * grain(rng, 0.05) * (1 - 0.05 * np.abs(noise(rng, 3)))[..., None]
    image[-46:] *= np.asarray(rng.uniform(0.5, 0.8, 3), np.float32)
    image[-48:-45] = image[-48:-45] * 0.4 + 150
    return skirt(image, 0.55)


def stripes(rng, color):
    """Wall paper in stripes."""
    x = np.arange(WIDE)
    wide = int(rng.choice([16, 32]))
    other = np.asarray(color) * rng.uniform(0.62, 0.85) * rng.uniform(0.85, 1.15, 3)
    image = np.where(((x // (wide // 2)) % 2 == 0)[None, :, None], flat(color), other)
    image[:, (x % (wide // 2)) < 1] *= 1.12
    return _dado(image * grain(rng, 0.03), rng, (96, 66, 44))


def damask(rng, color):
    """Wall paper with a flowing ornament above panelling."""
    y, x = np.mgrid[0:TALL, 0:WIDE].astype(np.float32)
    u, v = x / 32 * np.pi, y / 48 * np.pi
    flower = np.cos(u) * np.cos(v) + 0.5 * np.cos(2 * u + np.sin(2 * v)) * np.cos(v) ** 2
    flower = np.clip((np.abs(flower) - 0.45) * 5, 0, 1)[..., None]
    image = flat(color) * (1 + 0.34 * flower) + 12 * flower
    return _dado(image * grain(rng, 0.03), rng, (104, 70, 44))


def panels(rng, color):
    """Wood panelling."""
    image = flat(color) * (1 + 0.08 * noise(rng, 48, 3))[..., None]
    for top, bottom in ((14, 92), (104, 176)):
        for left in (6, 70):
            box = (left, top), (left + 51, bottom)
            cv2.rectangle(image, *box, tuple(float(c * 0.55) for c in color), 2)
            inner = (left + 4, top + 4), (left + 47, bottom - 4)
            cv2.rectangle(image, *inner, tuple(float(c * 1.25) for c in color), 1)
    return skirt(image, 0.6)


def marble(rng, color):
    """Polished slabs with veins."""
    vein = np.abs(noise(rng, 3) + 0.5 * noise(rng, 8) + 0.25 * noise(rng, 20))
    image = flat(color) * (0.93 + 0.09 * np.clip(vein * 2.2, 0, 1))[..., None]
    image -= np.clip(0.16 - vein, 0, 1)[..., None] * np.asarray((130, 118, 100), np.float32)
    _, inside = joints((3, 2), 1, False)
    return image * (0.82 + 0.18 * inside)[..., None]


def carpet(rng, color):
    """A carpet with a border and lozenges."""
    y, x = np.mgrid[0:TALL, 0:WIDE]
    lozenge = (np.abs((x % 32) - 16) + np.abs((y % 32) - 16)) < 9
    core = (np.abs((x % 32) - 16) + np.abs((y % 32) - 16)) < 4
    image = flat(color)
    image[lozenge] = np.asarray(color) * 0.6 + (70, 56, 30)
    image[core] = (214, 184, 120)
    return image * grain(rng, 0.06)


def beams(rng, color):
    """A ceiling of boards under heavy beams."""
    image = planks(rng, tuple(0.8 * c for c in color))
    y = np.arange(TALL) % 64
    image[y < 20] = (np.asarray(color, np.float32) * 0.8) * (
        1 + 0.1 * noise(rng, 3, 96)[y < 20, :, None]
    )
    image[(y >= 20) & (y < 24)] *= 0.5
    return image


def coffers(rng, color):
    """A ceiling of sunken squares."""
    index, inside = joints((6, 4), 10, False, soft=False)
    image = flat(color) * (1 - 0.28 * inside)[..., None]
    _, rose = joints((6, 4), 24, False)
    image += rose[..., None] * np.asarray((26, 10, -26), np.float32)
    relief = cv2.Sobel(inside, cv2.CV_32F, 1, 1, ksize=3)
    return image * (1 + 0.2 * relief)[..., None] * grain(rng, 0.02)


def plain(rng, color):
    """Whitewash."""
    return flat(color) * grain(rng, 0.03)


def glass(rng, color):
    """A glass roof in iron bars."""
    index, inside = joints((6, 4), 4, False, soft=False)
    tone = 1 + 0.06 * rng.standard_normal((index.max() + 1, 1)).astype(np.float32)
    image = flat(color) * tone[index] * 1.12
    return (
        image * inside[..., None] + np.asarray((74, 84, 80), np.float32) * (1 - inside)[..., None]
    )


def fluted(rng, color):
    """Flutes of a column, between base and capital."""
    x = np.arange(WIDE)
    wave = 0.86 + 0.14 * np.cos(x * 2 * np.pi / (WIDE / 8))
    image = flat(color) * wave[None, :, None] * grain(rng, 0.03)
    for top, bottom in ((0, 16), (176, 192)):
        image[top:bottom] = np.asarray(color, np.float32) * 1.04
    for y in (17, 22, 170, 175):
        image[y : y + 2] *= 0.6
    return image


def _dado(image: np.ndarray, rng: np.random.Generator, wood: Color) -> np.ndarray:
    """Panelling on the lower third."""
    low = panels(rng, wood)[104:176]
    image[-60:] = low[-60:]
    image[-63:-60] = np.asarray(wood, np.float32) * 1.5
    image[-60:-58] *= 0.6
    return skirt(image, 0.55)


PATTERNS: dict[str, Callable] = {
    f.__name__: f
    for f in (
        blocks, brick, flags, checker, mosaic, planks, parquet, plaster, stripes, damask, panels, marble, carpet, beams,
        coffers, plain, glass, fluted, facades.castle, facades.house, facades.temple, facades.hedge, facades.trellis,
        facades.grass, facades.sand, facades.cobbles, facades.terracotta,
    )
}  # fmt: skip


def tile(rng: np.random.Generator, pattern: str, color: Color) -> np.ndarray:
    """[TALL, WIDE, 3] uint8 of a pattern."""
    return np.clip(PATTERNS[pattern](rng, color), 0, 255).astype(np.uint8)


@functools.lru_cache(maxsize=400)
def variant(pattern: str, color: Color, number: int) -> np.ndarray:
    """`tile` number so-and-so of a pattern and colour, drawn once per process; do not write to it."""
    salt = list(PATTERNS).index(pattern)
    return tile(np.random.default_rng([salt, number, *(round(c) for c in color)]), pattern, color)
