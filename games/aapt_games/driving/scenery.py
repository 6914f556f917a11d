"""Where things stand beside the road."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aapt_games.driving.track import Track

HEIGHTS = {  # metres
    "oak": 7.5, "pine": 9.0, "bush": 1.7, "house": 6.5, "post": 1.1, "board": 3.4,
    "left": 2.0, "right": 2.0, "stand": 6.0, "lamp": 6.5, "bale": 1.1,
}  # fmt: skip
CAR_HEIGHT = 1.5  # metres
VARIANTS = {"oak": 4, "pine": 2, "bush": 2, "house": 3, "board": 3}
RADII = {"oak": 0.7, "pine": 0.7, "house": 3.5, "board": 1.6, "stand": 4.0, "lamp": 0.4}
KINDS = tuple(f"{kind}{v}" for kind in HEIGHTS for v in range(VARIANTS.get(kind, 1)))


@dataclass(frozen=True)
class Scenery:
    """Objects that stand still.

    Attributes:
        xy: [M, 2] metres.
        kind: [M] index into KINDS.
        height: [M] metres.
        radius: [M] metres of what a car can hit; 0 gives way.
    """

    xy: np.ndarray
    kind: np.ndarray
    height: np.ndarray
    radius: np.ndarray


def place(track: Track, rng: np.random.Generator) -> Scenery:
    """Scatter objects along a track, none of them on it."""
    found = [*_posts(track), *_arrows(track), *_scatter(track, rng)]
    names = [name for name, _, _ in found]
    kinds = [name.rstrip("0123456789") for name in names]
    xy = np.array([p for _, p, _ in found])
    size = np.array([HEIGHTS[k] * h for k, (_, _, h) in zip(kinds, found, strict=True)])
    radius = np.array([RADII.get(k, 0.0) for k in kinds])
    d = xy[:, None] - track.xy[None, ::3]
    clear = np.sqrt((d**2).sum(2).min(1)) > track.width / 2 + 1.2 + radius * 2.4
    kind = np.array([KINDS.index(n) for n in names])
    return Scenery(xy[clear], kind[clear], size[clear], radius[clear])


def _beside(track: Track, i: int, offset: float) -> np.ndarray:
    return track.xy[i] + offset * np.array([-np.sin(track.heading[i]), np.cos(track.heading[i])])


def _posts(track: Track):
    """White posts on both sides, every 24 m."""
    for i in range(0, len(track.xy), 24):
        for side in (-1, 1):
            yield "post0", _beside(track, i, side * (track.width / 2 + 2.0)), 1.0


def _arrows(track: Track):
    """Arrow signs on the outside of sharp bends."""
    last = -30
    for i, bend in enumerate(track.curvature):
        if abs(bend) > 1 / 38 and i - last >= 9:
            last, side = i, -np.sign(bend)
            name = "left0" if bend > 0 else "right0"
            yield name, _beside(track, i, side * (track.width / 2 + 4.5)), 1.0


def _scatter(track: Track, rng: np.random.Generator):
    """Woods, avenues, houses, boards and lamps in stretches of differing character."""
    n = len(track.xy)
    for start in range(0, n, 60):
        character = rng.choice(["wood", "open", "avenue", "village", "show", "lamps"])
        for name, side, far, size in _stretch(str(character), rng):
            i = (start + int(rng.integers(60))) % n
            yield name, _beside(track, i, side * (track.width / 2 + far)), size
        if character == "lamps":
            for k in range(0, 60, 20):
                yield "lamp0", _beside(track, (start + k) % n, track.width / 2 + 3.0), 1.0
    for k in range(3):
        yield "stand0", _beside(track, (12 + 14 * k) % n, track.width / 2 + 11.0), 1.0


def _stretch(character: str, rng: np.random.Generator):
    """Name, side, metres beyond the road's edge and relative size of a stretch's objects."""
    counts = {"oak": 3, "pine": 1, "bush": 4, "house": 0, "board": 0}
    counts |= {
        "wood": {"oak": 9, "pine": 9},
        "open": {"oak": 2, "bush": 5, "bale": 4},
        "avenue": {"oak": 8},
        "village": {"house": 4, "oak": 4},
        "show": {"board": 3, "bush": 5},
        "lamps": {"oak": 3},
    }[character]
    for kind, count in counts.items():
        for _ in range(count):
            near = {"house": 12.0, "board": 7.5, "bush": 3.5, "bale": 9.0}.get(kind, 6.0)
            spread = 4.0 if character == "avenue" or kind == "board" else 32.0
            far = near + spread * rng.random() ** 1.6
            name = f"{kind}{int(rng.integers(VARIANTS.get(kind, 1)))}"
            yield name, rng.choice([-1, 1]), far, rng.uniform(0.75, 1.3)
