"""Things that stand about: vases, fountains, trees, crystals. Solids of revolution, drawn once, shown upright."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from aapt_games.explorer.scene import Color

WIDE, TALL = 96, 160  # pixels of a picture
LEVELS = 4


@dataclass(frozen=True)
class Kind:
    """One sort of thing.

    Attributes:
        width: metres that the picture is wide.
        height: metres that it is tall.
        radius: metres that keep a walker away; 0 lets one pass.
        glow: light of its own.
    """

    width: float
    height: float
    radius: float
    glow: float = 0.0


KINDS = {
    "vase": Kind(0.8, 1.1, 0.35),
    "urn": Kind(0.9, 1.6, 0.4),
    "globe": Kind(1.0, 1.7, 0.4),
    "obelisk": Kind(0.9, 2.2, 0.4),
    "barrel": Kind(0.8, 1.0, 0.38),
    "crystal": Kind(0.9, 1.5, 0.38, 0.9),
    "statue": Kind(1.0, 2.1, 0.4),
    "brazier": Kind(0.8, 1.3, 0.35, 0.8),
    "fountain": Kind(2.6, 1.9, 1.15),
    "tree": Kind(3.0, 4.4, 0.35),
    "cypress": Kind(1.3, 4.0, 0.4),
    "topiary": Kind(1.1, 1.6, 0.4),
    "lantern": Kind(0.6, 2.6, 0.2, 0.8),
    "lamp": Kind(0.6, 0.9, 0.0, 1.6),
}
INDOORS = ("vase", "urn", "globe", "obelisk", "barrel", "crystal", "statue", "brazier", "topiary")
OUTDOORS = ("fountain", "tree", "statue", "obelisk", "fountain", "tree")
GREEN = ("cypress", "topiary", "tree")


@dataclass(frozen=True)
class Thing:
    """A thing in its place."""

    kind: str
    x: float  # m
    y: float  # m
    base: float  # metres above the floor
    color: Color  # 0 to 255


def lathe(profile: list[tuple[float, float]], colors, gloss: float = 0.25) -> np.ndarray:
    """A turned solid, lit from the upper left: [TALL, WIDE, 4] uint8 RGBA.

    Args:
        profile: (height, radius) from the foot up, both 0 to 1; radius 1 fills the picture.
        colors: (height, colour) of bands, each from its height up.
        gloss: strength of the highlight.
    """
    z = 1 - (np.arange(TALL, dtype=np.float32) + 0.5) / TALL
    heights, radii = (np.array(v, np.float32) for v in zip(*profile, strict=True))
    r = np.interp(z, heights, radii, right=0.0)[:, None]
    u = ((np.arange(WIDE, dtype=np.float32) + 0.5) / WIDE * 2 - 1)[None]
    across = np.clip(u / np.maximum(r, 1e-3), -1, 1)
    slope = np.clip(-np.gradient(r[:, 0], z) * 0.3, -1.5, 1.5)[:, None]
    towards = np.sqrt(1 - across**2)
    length = np.sqrt(1 + slope**2)
    lit = np.clip((-0.5 * across + 0.6 * towards + 0.62 * slope) / length, 0, 1)
    shine = np.clip((-0.45 * across + 0.75 * towards + 0.4 * slope) / length - 0.72, 0, 1) * 5
    base = np.zeros((TALL, 1, 3), np.float32)
    for low, color in colors:
        base[z >= low] = color
    image = base * (0.42 + 0.7 * lit)[..., None] + 255 * gloss * (shine**2)[..., None]
    cover = np.clip((r - np.abs(u)) * WIDE / 2 + 0.5, 0, 1) * (r > 0)
    return np.dstack([np.clip(image, 0, 255), 255 * cover]).astype(np.uint8)


def leaves(rng, color, blobs, spread: float) -> np.ndarray:
    """Crowns of leaves: balls (x, z, radius), heights and radii in pictures; RGBA."""
    image = np.zeros((TALL, WIDE, 4), np.float32)
    for x, z, radius in blobs:
        for _ in range(int(60 * spread)):
            a, d = rng.uniform(0, 2 * np.pi), radius * np.sqrt(rng.random())
            px, py = x + d * np.cos(a), z + d * np.sin(a) * 0.9
            light = 0.62 + 0.55 * np.clip(
                (z - py) * -1 / radius * 0.5 - 0.3 * (px - x) / radius, -0.6, 0.8
            )
            tone = np.asarray(color) * light * rng.uniform(0.8, 1.2)
            at = (round(px * WIDE), round((1 - py) * TALL))
            cv2.circle(image, at, int(rng.integers(2, 6)), (*tone.tolist(), 255), -1, cv2.LINE_AA)
    return np.clip(image, 0, 255).astype(np.uint8)


def over(top: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Alpha composition of two RGBA pictures."""
    a, b = top[..., 3:] / 255.0, below[..., 3:] / 255.0
    alpha = a + b * (1 - a)
    color = (top[..., :3] * a + below[..., :3] * b * (1 - a)) / np.maximum(alpha, 1e-3)
    return np.dstack([color, alpha * 255]).astype(np.uint8)


STONE, DARK, GOLD = (204, 198, 186), (70, 62, 56), (214, 172, 74)


def draw(kind: str, color: Color, rng: np.random.Generator) -> np.ndarray:
    """The picture of a thing, [TALL, WIDE, 4] uint8 RGBA."""
    c = tuple(float(v) for v in color)
    bright = tuple(min(255.0, v * 1.3 + 30) for v in c)
    if kind == "vase":
        shape = [
            (0, 0.45),
            (0.06, 0.4),
            (0.12, 0.5),
            (0.45, 0.95),
            (0.7, 0.7),
            (0.84, 0.36),
            (0.93, 0.38),
            (1, 0.55),
        ]
        return lathe(shape, [(0, c), (0.38, bright), (0.46, GOLD), (0.5, c), (0.9, GOLD)], 0.6)
    if kind == "urn":
        shape = [
            (0, 0.75),
            (0.28, 0.75),
            (0.29, 0.35),
            (0.36, 0.3),
            (0.5, 0.7),
            (0.78, 0.85),
            (0.86, 0.5),
            (0.95, 0.72),
            (1, 0.72),
        ]
        return lathe(shape, [(0, STONE), (0.29, c), (0.6, bright), (0.66, c), (0.9, GOLD)], 0.4)
    if kind == "globe":
        shape = [
            (0, 0.6),
            (0.05, 0.6),
            (0.06, 0.42),
            (0.4, 0.36),
            (0.42, 0.5),
            (0.46, 0.5),
            (0.465, 0.2),
        ]
        a = np.linspace(-1.3, np.pi / 2, 14)
        shape += [(0.73 + 0.26 * float(np.sin(t)), 0.8 * float(np.cos(t)) + 1e-3) for t in a]
        return lathe(shape, [(0, STONE), (0.465, c), (0.7, bright), (0.76, c)], 0.8)
    if kind == "obelisk":
        shape = [(0, 0.8), (0.12, 0.8), (0.13, 0.6), (0.16, 0.55), (0.9, 0.3), (1, 0.02)]
        return lathe(shape, [(0, STONE), (0.13, c), (0.5, bright), (0.54, c), (0.9, GOLD)], 0.3)
    if kind == "barrel":
        shape = [(0, 0.72), (0.5, 0.92), (1, 0.74)]
        hoops = [
            (0, (134, 92, 54)),
            (0.14, DARK),
            (0.2, c),
            (0.44, DARK),
            (0.5, c),
            (0.8, DARK),
            (0.86, (134, 92, 54)),
        ]
        return lathe(shape, hoops, 0.15)
    if kind == "crystal":
        shape = [
            (0, 0.6),
            (0.1, 0.6),
            (0.11, 0.2),
            (0.16, 0.2),
            (0.36, 0.6),
            (0.62, 0.62),
            (1, 0.04),
        ]
        return lathe(
            shape,
            [
                (0, DARK),
                (0.14, bright),
                (0.5, tuple(min(255.0, v + 60) for v in bright)),
                (0.62, bright),
            ],
            0.9,
        )
    if kind == "statue":
        shape = [
            (0, 0.7), (0.26, 0.7), (0.27, 0.78), (0.3, 0.78), (0.31, 0.4), (0.5, 0.34), (0.62, 0.3), (0.68, 0.36),
            (0.8, 0.46), (0.84, 0.34), (0.855, 0.12), (0.88, 0.16), (0.93, 0.24), (0.98, 0.18), (1, 0.03),
        ]  # fmt: skip
        return lathe(shape, [(0, c), (0.3, STONE), (0.55, (226, 222, 212))], 0.3)
    if kind == "brazier":
        bowl = lathe(
            [
                (0, 0.5),
                (0.06, 0.4),
                (0.08, 0.12),
                (0.46, 0.12),
                (0.5, 0.5),
                (0.62, 0.74),
                (0.66, 0.74),
            ],
            [(0, DARK), (0.46, (110, 84, 50))],
            0.4,
        )
        fire = lathe(
            [(0.62, 0.02), (0.63, 0.5), (0.72, 0.55), (0.85, 0.3), (0.99, 0.03)],
            [(0.6, (255, 170, 50)), (0.7, (255, 214, 110)), (0.84, (255, 150, 40))],
            0.9,
        )
        return over(bowl, fire)
    if kind == "fountain":
        shape = [
            (0, 1.0),
            (0.26, 1.0),
            (0.29, 0.98),
            (0.292, 0.14),
            (0.5, 0.1),
            (0.54, 0.42),
            (0.6, 0.5),
            (0.602, 0.09),
            (0.74, 0.07),
            (0.78, 0.2),
            (0.8, 0.2),
        ]
        stone = lathe(
            shape, [(0, STONE), (0.2, c), (0.25, STONE), (0.28, (120, 176, 206)), (0.3, STONE)], 0.3
        )
        water = lathe(
            [(0.27, 0.86), (0.4, 0.62), (0.6, 0.4), (0.78, 0.22), (0.94, 0.1), (1, 0.02)],
            [(0, (206, 230, 242))],
            0.5,
        )
        water[..., 3] = (water[..., 3] * (0.25 + 0.3 * rng.random((1, WIDE)))).astype(np.uint8)
        return over(water, stone)
    if kind == "tree":
        trunk = lathe([(0, 0.13), (0.08, 0.08), (0.5, 0.06)], [(0, (104, 76, 52))], 0)
        balls = [
            (0.5 + rng.uniform(-0.2, 0.2), rng.uniform(0.56, 0.8), rng.uniform(0.15, 0.22))
            for _ in range(6)
        ]
        return over(leaves(rng, c, [*balls, (0.5, 0.7, 0.26)], 1.2), trunk)
    if kind == "cypress":
        trunk = lathe([(0, 0.14), (0.12, 0.1)], [(0, (96, 72, 50))], 0)
        balls = [(0.5, z, 0.34 * (1 - abs(z - 0.4)) * 0.55) for z in np.linspace(0.14, 0.92, 12)]
        return over(leaves(rng, (52, 96, 54), balls, 0.7), trunk)
    if kind == "topiary":
        pot = lathe(
            [(0, 0.4), (0.28, 0.56), (0.31, 0.6), (0.33, 0.6), (0.335, 0.06), (0.5, 0.06)],
            [(0, c), (0.28, bright), (0.335, (100, 74, 50))],
            0.2,
        )
        return over(leaves(rng, (74, 126, 58), [(0.5, 0.7, 0.26)], 2.5), pot)
    if kind == "lantern":
        post = lathe(
            [(0, 0.4), (0.05, 0.3), (0.07, 0.1), (0.8, 0.08), (0.81, 0.4), (0.83, 0.4)],
            [(0, (52, 56, 58))],
            0.3,
        )
        head = lathe(
            [(0.83, 0.34), (0.93, 0.5), (0.931, 0.62), (1, 0.05)],
            [(0.8, (255, 226, 150)), (0.93, (52, 56, 58))],
            0.5,
        )
        return over(head, post)
    assert kind == "lamp", kind
    chain = lathe([(0.6, 0.05), (1, 0.05)], [(0, (60, 54, 48))], 0)
    globe = lathe(
        [(0.02, 0.1), (0.08, 0.5), (0.3, 0.86), (0.5, 0.6), (0.58, 0.25), (0.62, 0.2)],
        [(0, (255, 240, 206)), (0.5, (150, 112, 56))],
        0.5,
    )
    return over(globe, chain)


def copies(picture: np.ndarray) -> list[np.ndarray]:
    """A picture with premultiplied colours and its coarser copies, each in a clear border."""
    clear = picture.astype(np.float32)
    clear[..., :3] *= clear[..., 3:] / 255
    found = []
    for k in range(LEVELS):
        small = cv2.resize(clear, (WIDE >> k, TALL >> k), interpolation=cv2.INTER_AREA)
        found.append(
            cv2.copyMakeBorder(small, 1, 1, 1, 1, cv2.BORDER_CONSTANT).round().astype(np.uint8)
        )
    return found
