"""Things that stand about: vases, fountains, trees, crystals. Solids of revolution, drawn once, shown upright."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from aapt_games.explorer.scene import Color
from aapt_games.explorer.turned import SOLIDS, TALL, WIDE, turned

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


def draw(kind: str, color: Color, rng: np.random.Generator) -> np.ndarray:
    """The picture of a thing, [TALL, WIDE, 4] uint8 RGBA."""
    if kind in SOLIDS:
        return turned(kind, color)
    return _MADE[kind](color, rng)


def _brazier(color: Color, rng: np.random.Generator) -> np.ndarray:
    return over(turned("bowl", color), turned("fire", color))


def _fountain(color: Color, rng: np.random.Generator) -> np.ndarray:
    """Basins under water that one sees through in streaks."""
    water = turned("water", color)
    water[..., 3] = (water[..., 3] * (0.25 + 0.3 * rng.random((1, WIDE)))).astype(np.uint8)
    return over(water, turned("basins", color))


def _tree(color: Color, rng: np.random.Generator) -> np.ndarray:
    balls = [
        (0.5 + rng.uniform(-0.2, 0.2), rng.uniform(0.56, 0.8), rng.uniform(0.15, 0.22))
        for _ in range(6)
    ]
    return over(leaves(rng, color, [*balls, (0.5, 0.7, 0.26)], 1.2), turned("trunk", color))


def _cypress(color: Color, rng: np.random.Generator) -> np.ndarray:
    balls = [(0.5, z, 0.34 * (1 - abs(z - 0.4)) * 0.55) for z in np.linspace(0.14, 0.92, 12)]
    return over(leaves(rng, (52, 96, 54), balls, 0.7), turned("stump", color))


def _topiary(color: Color, rng: np.random.Generator) -> np.ndarray:
    return over(leaves(rng, (74, 126, 58), [(0.5, 0.7, 0.26)], 2.5), turned("pot", color))


def _lantern(color: Color, rng: np.random.Generator) -> np.ndarray:
    return over(turned("head", color), turned("post", color))


def _lamp(color: Color, rng: np.random.Generator) -> np.ndarray:
    return over(turned("shade", color), turned("chain", color))


_MADE = {
    "brazier": _brazier, "fountain": _fountain, "tree": _tree, "cypress": _cypress,
    "topiary": _topiary, "lantern": _lantern, "lamp": _lamp,
}  # fmt: skip


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
