"""Patterns for walls, floors and ceilings, drawn from a seed: [TALL, WIDE, 3] tiles that repeat without a seam."""

from __future__ import annotations

import functools
from collections.abc import Callable

import cv2
import numpy as np

from aapt_games.explorer.scene import Color

WIDE, TALL = 128, 192  # pixels of a tile
SPAN = 2.0  # metres across a tile; a wall's tile is as tall as its room, others are 3 m
Draw = Callable[[np.random.Generator, np.ndarray], np.ndarray]


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
    edge = np.minimum(
        np.minimum(fx, 1 - fx) * WIDE / columns, np.minimum(fy, 1 - fy) * TALL / rows
    )
    inside = np.clip((edge - gap / 2) / (2.0 if soft else 1.0), 0, 1)
    return row * columns + column, inside.astype(np.float32)


def stones(rng, color, shape, gap=2, shift=True, spread=0.12, mortar=0.62) -> np.ndarray:
    """Stones of differing tone, lit at their upper edge, in darker mortar."""
    index, inside = joints(shape, gap, shift)
    tone = 1 + spread * rng.standard_normal((index.max() + 1, 1)).astype(np.float32)
    tint = 1 + 0.04 * rng.standard_normal((index.max() + 1, 3)).astype(np.float32)
    image = flat(color) * (tone * tint)[index] * grain(rng, 0.07)
    relief = cv2.Sobel(inside, cv2.CV_32F, 0, 1, ksize=3) + 0.6 * cv2.Sobel(inside, cv2.CV_32F, 1, 0)
    image *= (1 + 0.07 * relief)[..., None]
    return image * (mortar + (1 - mortar) * inside)[..., None]


def blocks(rng, color):
    """Ashlar."""
    return stones(rng, color, (6, 3) if rng.random() < 0.5 else (8, 4))


def brick(rng, color):
    """Bricks."""
    return stones(rng, color, (24, 8), 1, True, 0.16, 0.8)


def flags(rng, color):
    """Large floor stones."""
    return stones(rng, color, (4, 3), 2, True, 0.1)


def cobbles(rng, color):
    """Small round stones."""
    return stones(rng, color, (16, 10), 3, True, 0.18, 0.5)


def terracotta(rng, color):
    """Square clay tiles."""
    return stones(rng, color, (9, 6), 2, False, 0.1, 0.7)


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
    return _skirt(image, 0.55)


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
    return _skirt(image, 0.6)


def marble(rng, color):
    """Polished slabs with veins."""
    vein = np.abs(noise(rng, 3) + 0.5 * noise(rng, 8) + 0.25 * noise(rng, 20))
    image = flat(color) * (0.93 + 0.09 * np.clip(vein * 2.2, 0, 1))[..., None]
    image -= np.clip(0.16 - vein, 0, 1)[..., None] * np.asarray((130, 118, 100), np.float32)
    _, inside = joints((3, 2), 1, False)
    return image * (0.82 + 0.18 * inside)[..., None]


def hedge(rng, color):
    """Dense leaves."""
    leaves = noise(rng, 12) * 0.4 + noise(rng, 32) * 0.7 + noise(rng, 64) * 0.4
    image = flat(color) * (0.95 + 0.24 * np.clip(leaves, -1.6, 1.8))[..., None]
    image += np.clip(leaves - 1.0, 0, 1)[..., None] * np.asarray((50, 60, 10), np.float32)
    for _ in range(int(rng.integers(0, 26))):
        at = int(rng.integers(WIDE)), int(rng.integers(TALL - 60))
        cv2.circle(image, at, 2, rng.choice([(240, 150, 170), (250, 240, 220), (236, 96, 90)]).tolist(), -1)
    return np.maximum(image, 12)


def trellis(rng, color):
    """White lattice before leaves."""
    image = hedge(rng, (60, 104, 50)) * 0.8
    y, x = np.mgrid[0:TALL, 0:WIDE]
    bars = (((x + y) % 32) < 4) | (((x - y) % 32) < 4) | ((x % 64) < 5)
    image[bars] = np.asarray(color, np.float32) * 0.96
    return _skirt(image, 0.7)


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
    image[y < 20] = (np.asarray(color, np.float32) * 0.8) * (1 + 0.1 * noise(rng, 3, 96)[y < 20, :, None])
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
    return image * inside[..., None] + np.asarray((74, 84, 80), np.float32) * (1 - inside)[..., None]


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
    for y in (26, ):
        _window(image, (46, y, 36, 54), rng)
        for x in (28, 83):
            cv2.rectangle(image, (x, y), (x + 16, y + 54), shutter, -1)
            for line in range(y + 3, y + 54, 4):
                cv2.line(image, (x + 1, line), (x + 15, line), [0.75 * c for c in shutter], 1)
    image[:8] = np.asarray(color) * 0.5 + 110
    image[8:11] *= 0.6
    image[106:110] = np.asarray(color) * 0.5 + 100
    image[-40:] *= 0.84
    return _skirt(image, 0.6)


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
    return _skirt(image, 0.7)


def _window(image: np.ndarray, box: tuple[int, int, int, int], rng) -> None:
    """A window of four panes that mirror the sky."""
    x, y, w, h = box
    cv2.rectangle(image, (x - 2, y - 2), (x + w + 2, y + h + 2), (232, 226, 214), -1)
    pane = np.linspace(0.55, 1.05, h)[:, None, None] * np.asarray((92, 122, 150))
    image[y : y + h, x : x + w] = pane
    cv2.line(image, (x + w // 2, y), (x + w // 2, y + h), (226, 220, 208), 2)
    cv2.line(image, (x, y + h // 3), (x + w, y + h // 3), (226, 220, 208), 2)


def _skirt(image: np.ndarray, tone: float) -> np.ndarray:
    """A skirting board along the foot and a moulding along the top."""
    image[-10:] *= tone
    image[-11:-10] *= 1.3
    image[:5] = image[:5] * 0.5 + 112
    image[5:7] *= 0.6
    return image


def _dado(image: np.ndarray, rng: np.random.Generator, wood: Color) -> np.ndarray:
    """Panelling on the lower third."""
    low = panels(rng, wood)[104:176]
    image[-60:] = low[-60:]
    image[-63:-60] = np.asarray(wood, np.float32) * 1.5
    image[-60:-58] *= 0.6
    return _skirt(image, 0.55)


PATTERNS: dict[str, Callable] = {
    f.__name__: f
    for f in (
        blocks, brick, flags, cobbles, terracotta, checker, mosaic, planks, parquet, plaster, stripes, damask, panels,
        marble, hedge, trellis, grass, sand, carpet, beams, coffers, plain, glass, fluted, castle, house, temple,
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
