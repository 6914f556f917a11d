"""Backgrounds under the sky: a park, a beach, a street."""

from __future__ import annotations

import numpy as np

from aapt_games.chance import one_of
from aapt_games.puppet.indoors import SKIES, WALLS
from aapt_games.puppet.sheet import Color, Sheet, mix, shade

DARK = {"day": 1.0, "evening": 0.82, "night": 0.42}
TINT: dict[str, Color] = {
    "day": (1, 1, 1),
    "evening": (1.0, 0.72, 0.55),
    "night": (0.42, 0.52, 0.85),
}


def under(color: Color, time: str) -> Color:
    """A colour in the light of the time."""
    red, green, blue = (c * t * DARK[time] for c, t in zip(color, TINT[time], strict=True))
    return red, green, blue


def sky(sheet: Sheet, rng: np.random.Generator, time: str, horizon: float) -> None:
    """Sky, sun or moon, clouds or stars."""
    low, high = SKIES[time]
    sheet.fade(horizon, 1.0, low, high)
    x = float(rng.uniform(-0.8, 0.8))
    if time == "night":
        for _ in range(50):
            s = float(rng.uniform(0.003, 0.007))
            sheet.disc(
                float(rng.uniform(-sheet.wide, sheet.wide)),
                float(rng.uniform(horizon, 1)),
                s,
                s,
                (0.8, 0.85, 1),
            )
        sheet.glow(x, 0.72, 0.3, 0.3, (0.5, 0.6, 0.9), 0.3)
        sheet.disc(x, 0.72, 0.085, 0.085, (0.95, 0.95, 0.86))
        return
    if time == "evening":
        sheet.glow(x, horizon + 0.1, 0.6, 0.4, (1.0, 0.6, 0.25), 0.5)
        sheet.disc(x, horizon + 0.16, 0.13, 0.13, (1.0, 0.9, 0.6))
    white = mix((1, 1, 1), low, 0.35 if time == "evening" else 0.1)
    for _ in range(int(rng.integers(2, 5))):
        cx, cy, size = (
            float(rng.uniform(-sheet.wide, sheet.wide)),
            float(rng.uniform(0.3, 0.92)),
            float(rng.uniform(0.6, 1.2)),
        )
        for i in range(6):
            dx, dy = (i - 2.5) * 0.085 * size, float(rng.uniform(0, 0.05)) * size
            sheet.disc(cx + dx, cy + dy, 0.1 * size, 0.06 * size, white)
        sheet.box(cx - 0.24 * size, cx + 0.24 * size, cy - 0.05 * size, cy - 0.02 * size, white)


def tree(
    sheet: Sheet, rng: np.random.Generator, x: float, y: float, size: float, leaf: Color, time: str
) -> None:
    """A round tree on its trunk."""
    top, low, high = y + 0.4 * size, 0.035 * size, 0.02 * size
    sheet.poly([(x - low, y), (x + low, y), (x + high, top), (x - high, top)],
               under((0.36, 0.25, 0.18), time))  # fmt: skip
    for layer, tone in ((0.0, 0.7), (0.03, 0.88), (0.065, 1.08)):
        for _ in range(7):
            dx, dy = rng.normal(0, 0.09, 2) * size
            r = float(rng.uniform(0.1, 0.15)) * size * (1 - 3 * layer)
            sheet.disc(
                x + dx - layer * size,
                y + 0.55 * size + dy + layer * size,
                r,
                r,
                under(shade(leaf, tone), time),
            )


def park(sheet: Sheet, rng: np.random.Generator, time: str) -> None:
    """Hills, trees, a meadow with a path."""
    horizon = -0.36
    sky(sheet, rng, time, horizon - 0.1)
    leaf = one_of(
        rng,
        (
            (0.33, 0.58, 0.25),
            (0.45, 0.62, 0.22),
            (0.85, 0.52, 0.2),
            (0.93, 0.66, 0.74),
            (0.22, 0.45, 0.27),
        ),
    )
    grass = one_of(rng, ((0.42, 0.65, 0.28), (0.52, 0.68, 0.3), (0.35, 0.56, 0.26)))
    for k, far in enumerate((0.6, 0.3)):
        a, b = rng.uniform(1, 3), rng.uniform(0, 6)
        xs = np.linspace(-sheet.wide, sheet.wide, 40)
        ridge = [(x, horizon + 0.22 - 0.12 * k + 0.07 * np.sin(a * x + b)) for x in xs]
        hill = mix(under(shade(grass, 0.75), time), SKIES[time][0], far)
        sheet.poly([*ridge, (sheet.wide, -1), (-sheet.wide, -1)], hill)
    for x in sorted(rng.uniform(-sheet.wide, sheet.wide, 5), key=abs, reverse=True):
        tree(sheet, rng, float(x), horizon - 0.02, float(rng.uniform(0.75, 1.25)), leaf, time)
    sheet.fade(-1.0, horizon, under(shade(grass, 1.1), time), under(shade(grass, 0.86), time))
    sheet.grain(rng, -1.0, horizon, (0.06, 0.018), 0.05)
    sheet.disc(0.0, -0.86, 1.7, 0.15, under((0.80, 0.70, 0.52), time))
    for _ in range(46):
        x, y = (
            float(rng.uniform(-sheet.wide, sheet.wide)),
            float(rng.uniform(-0.68, horizon - 0.04)),
        )
        s = 0.012 * (1 + 2 * (horizon - y))
        sheet.disc(
            x, y, s, s, under(one_of(rng, ((1, 1, 1), (0.98, 0.85, 0.3), (0.92, 0.45, 0.55))), time)
        )
    sheet.blur(horizon + 0.02, 0.008)


def beach(sheet: Sheet, rng: np.random.Generator, time: str) -> None:
    """Sea, sand, and a parasol or a palm."""
    horizon, shore = -0.14, -0.5
    sky(sheet, rng, time, horizon)
    sea = one_of(rng, ((0.10, 0.48, 0.62), (0.12, 0.58, 0.66), (0.16, 0.40, 0.66)))
    sheet.fade(
        shore - 0.06, horizon, under(mix(sea, (0.75, 0.95, 0.9), 0.45), time), under(sea, time)
    )
    sheet.grain(rng, shore - 0.06, horizon, (0.16, 0.012), 0.05)
    sand = one_of(rng, ((0.93, 0.82, 0.60), (0.88, 0.74, 0.52), (0.95, 0.88, 0.72)))
    xs = np.linspace(-sheet.wide, sheet.wide, 60)
    wave = [(x, shore + 0.018 * np.sin(5 * x + 1) + 0.012 * np.sin(11 * x)) for x in xs]
    base = [(sheet.wide, -1.0), (-sheet.wide, -1.0)]
    sheet.poly([(x, y + 0.025) for x, y in wave] + base, under((0.97, 0.98, 0.97), time))
    sheet.poly(wave + base, under(shade(sand, 0.8), time))
    sheet.poly([(x, y - 0.045) for x, y in wave] + base, under(sand, time))
    sheet.grain(rng, -1.0, shore - 0.08, (0.05, 0.02), 0.025)
    side = 1.0 if rng.random() < 0.5 else -1.0
    if rng.random() < 0.5:
        palm(sheet, 0.82 * side, -0.58, -side, time)
    else:
        parasol(sheet, rng, 0.76 * side, -0.56, time)
    sheet.blur(shore + 0.1, 0.006)


def parasol(sheet: Sheet, rng: np.random.Generator, x: float, y: float, time: str) -> None:
    """A striped sunshade and a towel."""
    a, b = one_of(rng, ((0.88, 0.28, 0.25), (0.2, 0.5, 0.75), (0.95, 0.7, 0.2))), (0.97, 0.95, 0.9)
    sheet.poly(
        [(x - 0.3, y - 0.06), (x + 0.06, y - 0.06), (x + 0.1, y + 0.01), (x - 0.22, y + 0.01)],
        under(b, time),
    )
    sheet.box(x - 0.012, x + 0.012, y, y + 0.55, under((0.9, 0.88, 0.84), time))
    edge = np.linspace(-1, 1, 9)
    for i in range(8):
        left, right = edge[i], edge[i + 1]
        rim = [(x + 0.34 * e, y + 0.5 - 0.03 * e * e) for e in (left, right)]
        sheet.poly([(x, y + 0.72), *rim],
                   under((a, b)[i % 2], time))  # fmt: skip


def palm(sheet: Sheet, x: float, y: float, lean: float, time: str) -> None:
    """A palm that leans."""
    trunk, green = under((0.52, 0.39, 0.27), time), under((0.22, 0.5, 0.26), time)
    bend = [(x + lean * 0.16 * t**2, y + 0.95 * t) for t in np.linspace(0, 1, 12)]
    sheet.poly([(px - 0.035 + 0.015 * i / 12, py) for i, (px, py) in enumerate(bend)]
               + [(px + 0.035 - 0.015 * i / 12, py) for i, (px, py) in list(enumerate(bend))[::-1]], trunk)  # fmt: skip
    tx, ty = bend[-1]
    for i, turn in enumerate(np.linspace(-0.5, 3.64, 8)):
        dx, dy = np.cos(turn) * 0.36, np.sin(turn) * 0.18
        leaf = [(0.5 * dx, dy + 0.08), (dx, dy - 0.08), (0.55 * dx, dy + 0.01)]
        sheet.poly([(tx, ty), *((tx + a, ty + b) for a, b in leaf)],
                   shade(green, 0.85 + 0.06 * i))  # fmt: skip


def street(sheet: Sheet, rng: np.random.Generator, time: str) -> None:
    """House fronts with windows, a pavement, a lamp."""
    horizon = -0.44
    sky(sheet, rng, time, 0.0)
    x = -sheet.wide - float(rng.uniform(0, 0.3))
    while x < sheet.wide:
        wide, top = float(rng.uniform(0.42, 0.68)), float(rng.uniform(0.35, 0.95))
        house(sheet, rng, x, x + wide, horizon, top, time)
        x += wide
    sheet.fade(-1.0, horizon, under((0.66, 0.64, 0.62), time), under((0.56, 0.55, 0.54), time))
    for i in range(-14, 15):
        sheet.poly(
            [
                (i * 0.13, horizon),
                (i * 0.13 + 0.004, horizon),
                (i * 0.36 + 0.012, -1),
                (i * 0.36, -1),
            ],
            under((0.5, 0.49, 0.48), time),
        )
    for y in (-0.52, -0.64, -0.8):
        sheet.box(-sheet.wide, sheet.wide, y, y + 0.008, under((0.5, 0.49, 0.48), time))
    side = 0.84 if rng.random() < 0.5 else -0.84
    sheet.box(side - 0.016, side + 0.016, horizon - 0.08, 0.62, (0.16, 0.18, 0.2))
    sheet.disc(side, 0.66, 0.06, 0.075, (1.0, 0.93, 0.7) if time != "day" else (0.9, 0.9, 0.86))
    sheet.blur(horizon + 0.02, 0.007)
    if time != "day":
        sheet.glow(side, 0.66, 0.35, 0.35, (1.0, 0.75, 0.4), 0.45)
        sheet.glow(side, -0.7, 0.6, 0.2, (1.0, 0.75, 0.4), 0.22)


def house(
    sheet: Sheet, rng, left: float, right: float, bottom: float, top: float, time: str
) -> None:
    """One front with its windows and a door or a shop below."""
    wall = under(one_of(rng, WALLS), time)
    sheet.box(left, right, bottom, top, wall)
    sheet.box(left - 0.01, right + 0.01, top - 0.03, top + 0.015, shade(wall, 0.72))
    count = 2 if right - left < 0.55 else 3
    step = (right - left) / count
    y = bottom + 0.52
    while y + 0.2 < top:
        for i in range(count):
            x = left + (i + 0.5) * step
            dark = mix(SKIES[time][1], (0.2, 0.24, 0.3), 0.6)
            glass = (1.0, 0.82, 0.48) if time == "night" and rng.random() < 0.6 else dark
            sheet.box(x - 0.062, x + 0.062, y - 0.008, y + 0.168, shade(wall, 1.25))
            sheet.box(x - 0.05, x + 0.05, y, y + 0.158, glass)
            sheet.box(x - 0.006, x + 0.006, y, y + 0.158, shade(wall, 1.25))
        y += 0.26
    shop = one_of(rng, WALLS)
    glass = (1.0, 0.86, 0.58) if time == "night" else mix(SKIES[time][0], (0.25, 0.3, 0.36), 0.55)
    sheet.box(left + 0.05, right - 0.05, bottom + 0.02, bottom + 0.34, glass)
    mid = left + 0.6 * (right - left)
    sheet.box(mid - 0.012, mid + 0.012, bottom, bottom + 0.34, shade(wall, 0.7))
    stripes = np.linspace(left + 0.02, right - 0.02, 9)
    for i in range(8):
        c = under(shop if i % 2 else (0.96, 0.94, 0.9), time)
        sheet.poly(
            [
                (stripes[i], bottom + 0.42),
                (stripes[i + 1], bottom + 0.42),
                (stripes[i + 1], bottom + 0.32),
                (stripes[i], bottom + 0.32),
            ],
            c,
        )
