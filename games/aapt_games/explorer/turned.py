"""Solids of revolution: profiles and bands of colour, and the lathe that turns them into pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aapt_games.explorer.scene import Color

WIDE, TALL = 96, 160  # pixels of a picture
Profile = tuple[tuple[float, float], ...]  # (height, radius) from the foot up, both 0 to 1


@dataclass(frozen=True)
class Solid:
    """What the lathe is told.

    Attributes:
        profile: radius 1 fills the picture.
        bands: (height, colour) each from its height up; "own", "bright" and "pale" are made of the thing's colour.
        gloss: strength of the highlight.
    """

    profile: Profile
    bands: tuple[tuple[float, Color | str], ...]
    gloss: float


STONE, DARK, GOLD, IRON = (204, 198, 186), (70, 62, 56), (214, 172, 74), (52, 56, 58)
WOOD = (134, 92, 54)
_BALL = tuple(
    (0.73 + 0.26 * float(np.sin(t)), 0.8 * float(np.cos(t)) + 1e-3)
    for t in np.linspace(-1.3, np.pi / 2, 14)
)
SOLIDS = {
    "vase": Solid(
        ((0, 0.45), (0.06, 0.4), (0.12, 0.5), (0.45, 0.95), (0.7, 0.7), (0.84, 0.36), (0.93, 0.38), (1, 0.55)),
        ((0, "own"), (0.38, "bright"), (0.46, GOLD), (0.5, "own"), (0.9, GOLD)), 0.6,
    ),
    "urn": Solid(
        ((0, 0.75), (0.28, 0.75), (0.29, 0.35), (0.36, 0.3), (0.5, 0.7), (0.78, 0.85), (0.86, 0.5), (0.95, 0.72),
         (1, 0.72)),
        ((0, STONE), (0.29, "own"), (0.6, "bright"), (0.66, "own"), (0.9, GOLD)), 0.4,
    ),
    "globe": Solid(
        ((0, 0.6), (0.05, 0.6), (0.06, 0.42), (0.4, 0.36), (0.42, 0.5), (0.46, 0.5), (0.465, 0.2), *_BALL),
        ((0, STONE), (0.465, "own"), (0.7, "bright"), (0.76, "own")), 0.8,
    ),
    "obelisk": Solid(
        ((0, 0.8), (0.12, 0.8), (0.13, 0.6), (0.16, 0.55), (0.9, 0.3), (1, 0.02)),
        ((0, STONE), (0.13, "own"), (0.5, "bright"), (0.54, "own"), (0.9, GOLD)), 0.3,
    ),
    "barrel": Solid(
        ((0, 0.72), (0.5, 0.92), (1, 0.74)),
        ((0, WOOD), (0.14, DARK), (0.2, "own"), (0.44, DARK), (0.5, "own"), (0.8, DARK), (0.86, WOOD)), 0.15,
    ),
    "crystal": Solid(
        ((0, 0.6), (0.1, 0.6), (0.11, 0.2), (0.16, 0.2), (0.36, 0.6), (0.62, 0.62), (1, 0.04)),
        ((0, DARK), (0.14, "bright"), (0.5, "pale"), (0.62, "bright")), 0.9,
    ),
    "statue": Solid(
        ((0, 0.7), (0.26, 0.7), (0.27, 0.78), (0.3, 0.78), (0.31, 0.4), (0.5, 0.34), (0.62, 0.3), (0.68, 0.36),
         (0.8, 0.46), (0.84, 0.34), (0.855, 0.12), (0.88, 0.16), (0.93, 0.24), (0.98, 0.18), (1, 0.03)),
        ((0, "own"), (0.3, STONE), (0.55, (226, 222, 212))), 0.3,
    ),
    "bowl": Solid(
        ((0, 0.5), (0.06, 0.4), (0.08, 0.12), (0.46, 0.12), (0.5, 0.5), (0.62, 0.74), (0.66, 0.74)),
        ((0, DARK), (0.46, (110, 84, 50))), 0.4,
    ),
    "fire": Solid(
        ((0.62, 0.02), (0.63, 0.5), (0.72, 0.55), (0.85, 0.3), (0.99, 0.03)),
        ((0.6, (255, 170, 50)), (0.7, (255, 214, 110)), (0.84, (255, 150, 40))), 0.9,
    ),
    "basins": Solid(
        ((0, 1.0), (0.26, 1.0), (0.29, 0.98), (0.292, 0.14), (0.5, 0.1), (0.54, 0.42), (0.6, 0.5), (0.602, 0.09),
         (0.74, 0.07), (0.78, 0.2), (0.8, 0.2)),
        ((0, STONE), (0.2, "own"), (0.25, STONE), (0.28, (120, 176, 206)), (0.3, STONE)), 0.3,
    ),
    "water": Solid(
        ((0.27, 0.86), (0.4, 0.62), (0.6, 0.4), (0.78, 0.22), (0.94, 0.1), (1, 0.02)),
        ((0, (206, 230, 242)),), 0.5,
    ),
    "trunk": Solid(((0, 0.13), (0.08, 0.08), (0.5, 0.06)), ((0, (104, 76, 52)),), 0),
    "stump": Solid(((0, 0.14), (0.12, 0.1)), ((0, (96, 72, 50)),), 0),
    "pot": Solid(
        ((0, 0.4), (0.28, 0.56), (0.31, 0.6), (0.33, 0.6), (0.335, 0.06), (0.5, 0.06)),
        ((0, "own"), (0.28, "bright"), (0.335, (100, 74, 50))), 0.2,
    ),
    "post": Solid(
        ((0, 0.4), (0.05, 0.3), (0.07, 0.1), (0.8, 0.08), (0.81, 0.4), (0.83, 0.4)), ((0, IRON),), 0.3,
    ),
    "head": Solid(
        ((0.83, 0.34), (0.93, 0.5), (0.931, 0.62), (1, 0.05)), ((0.8, (255, 226, 150)), (0.93, IRON)), 0.5,
    ),
    "chain": Solid(((0.6, 0.05), (1, 0.05)), ((0, (60, 54, 48)),), 0),
    "shade": Solid(
        ((0.02, 0.1), (0.08, 0.5), (0.3, 0.86), (0.5, 0.6), (0.58, 0.25), (0.62, 0.2)),
        ((0, (255, 240, 206)), (0.5, (150, 112, 56))), 0.5,
    ),
}  # fmt: skip


def turned(name: str, color: Color) -> np.ndarray:
    """The picture of one of SOLIDS, of a thing of some colour: [TALL, WIDE, 4] uint8 RGBA."""
    own = tuple(float(v) for v in color)
    bright = tuple(min(255.0, v * 1.3 + 30) for v in own)
    pale = tuple(min(255.0, v + 60) for v in bright)
    shades = {"own": own, "bright": bright, "pale": pale}
    solid = SOLIDS[name]
    bands = [(low, shades[c] if isinstance(c, str) else c) for low, c in solid.bands]
    return lathe(solid.profile, bands, solid.gloss)


def lathe(profile: Profile, bands: list[tuple[float, Color]], gloss: float) -> np.ndarray:
    """A turned solid, lit from the upper left: [TALL, WIDE, 4] uint8 RGBA.

    Args:
        profile: as in Solid.
        bands: (height, colour), each from its height up.
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
    for low, color in bands:
        base[z >= low] = color
    image = base * (0.42 + 0.7 * lit)[..., None] + 255 * gloss * (shine**2)[..., None]
    cover = np.clip((r - np.abs(u)) * WIDE / 2 + 0.5, 0, 1) * (r > 0)
    return np.dstack([np.clip(image, 0, 255), 255 * cover]).astype(np.uint8)
