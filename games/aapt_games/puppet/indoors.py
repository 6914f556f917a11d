"""Backgrounds under a roof: a studio, a room, a stage."""

from __future__ import annotations

import numpy as np

from aapt_games.chance import one_of
from aapt_games.puppet.sheet import Color, Sheet, mix, shade

WALLS: tuple[Color, ...] = (
    (0.93, 0.86, 0.74), (0.62, 0.74, 0.80), (0.78, 0.83, 0.70), (0.90, 0.74, 0.68), (0.70, 0.66, 0.82),
    (0.42, 0.55, 0.56), (0.88, 0.88, 0.86), (0.86, 0.68, 0.44), (0.34, 0.42, 0.58),
)  # fmt: skip
WOODS: tuple[Color, ...] = (
    (0.62, 0.42, 0.26),
    (0.76, 0.58, 0.38),
    (0.46, 0.31, 0.21),
    (0.70, 0.66, 0.60),
)
SKIES = {
    "day": ((0.80, 0.90, 0.97), (0.38, 0.64, 0.92)),
    "evening": ((1.0, 0.70, 0.42), (0.52, 0.42, 0.66)),
    "night": ((0.14, 0.18, 0.34), (0.04, 0.06, 0.16)),
}


def studio(sheet: Sheet, rng: np.random.Generator, time: str) -> None:
    """A seamless backdrop in one colour, with a pool of light."""
    c = one_of(rng, WALLS)
    other = one_of(rng, WALLS)
    floor = mix(shade(c, 0.86), other, 0.15)
    sheet.fade(-0.42, 1.0, shade(c, 0.98), mix(shade(c, 0.62), other, 0.2))
    sheet.fade(-1.0, -0.42, shade(floor, 1.08), shade(c, 0.98))
    if rng.random() < 0.5:  # a disc of paint on the backdrop
        x = float(rng.uniform(-0.4, 0.4))
        sheet.disc(x, 0.1, 0.62, 0.62, mix(c, other, 0.75))
        sheet.blur(-0.4, 0.006)
    sheet.glow(float(rng.uniform(-0.3, 0.3)), 0.2, 0.9, 0.7, (1, 1, 1), 0.1)


def planks(sheet: Sheet, rng: np.random.Generator, horizon: float, wood: Color) -> None:
    """A floor of boards that run to the back."""
    far, near = 0.34, 1.5
    x = -3.0
    while x < 3.0:
        wide = float(rng.uniform(0.2, 0.26))
        c = shade(wood, float(rng.uniform(0.9, 1.1)))
        ends = [
            (x * far, horizon),
            ((x + wide) * far, horizon),
            ((x + wide) * near, -1.0),
            (x * near, -1.0),
        ]
        sheet.poly(ends, c)
        gap = [
            (x * far, horizon),
            (x * far + 0.003, horizon),
            (x * near + 0.012, -1.0),
            (x * near, -1.0),
        ]
        sheet.poly(gap, shade(wood, 0.62))
        x += wide


def window(sheet: Sheet, rng: np.random.Generator, time: str, x: float) -> None:
    """A window with a view of the sky, and curtains."""
    low, high = SKIES[time]
    w, bottom, top = 0.3, 0.0, 0.72
    sheet.box(x - w - 0.04, x + w + 0.04, bottom - 0.05, top + 0.04, (0.96, 0.95, 0.92))
    for i in range(12):
        y = bottom + (top - bottom) * i / 12
        sheet.box(x - w, x + w, y, y + (top - bottom) / 12 + 0.003, mix(low, high, i / 11))
    sheet.disc(x - 0.12, bottom, 0.26, 0.16, mix(low, (0.24, 0.42, 0.26), 0.6))
    sheet.disc(x + 0.2, bottom - 0.02, 0.2, 0.13, mix(low, (0.2, 0.36, 0.24), 0.7))
    sheet.box(x - w - 0.06, x + w + 0.06, bottom - 0.18, bottom, (0.93, 0.92, 0.89))
    sheet.box(x - 0.012, x + 0.012, bottom, top, (0.96, 0.95, 0.92))
    sheet.box(x - w, x + w, 0.36, 0.384, (0.96, 0.95, 0.92))
    cloth = one_of(rng, WALLS)
    for s in (-1, 1):
        for fold in range(4):
            inner = x + s * (w - 0.02 + 0.045 * fold)
            c = shade(cloth, 0.82 + 0.12 * (fold % 2))
            sheet.poly([(inner, top + 0.06), (inner + s * 0.05, top + 0.06),
                        (inner + s * 0.06, -0.3), (inner + s * 0.008, -0.3)], c)  # fmt: skip
    sheet.box(x - w - 0.24, x + w + 0.24, top + 0.05, top + 0.085, (0.45, 0.33, 0.24))


def room(sheet: Sheet, rng: np.random.Generator, time: str) -> None:
    """A living room."""
    horizon, wall, wood = -0.46, one_of(rng, WALLS), one_of(rng, WOODS)
    sheet.fade(horizon, 1.0, wall, shade(wall, 0.84))
    paper = rng.random()
    x = -sheet.wide
    while paper < 0.6 and x < sheet.wide:
        sheet.box(x, x + 0.055, horizon, 1.0, shade(wall, 0.93 if paper < 0.4 else 1.05))
        x += 0.16
    planks(sheet, rng, horizon, wood)
    side = 1.0 if rng.random() < 0.5 else -1.0
    window(sheet, rng, time, -0.55 * side)
    x = 0.5 * side
    frame = one_of(rng, WOODS)
    sheet.box(x - 0.2, x + 0.2, 0.2, 0.62, shade(frame, 0.8))
    a, b = one_of(rng, WALLS), one_of(rng, WALLS)
    sheet.box(x - 0.165, x + 0.165, 0.235, 0.585, (0.95, 0.93, 0.88))
    sheet.box(x - 0.13, x + 0.13, 0.27, 0.55, mix(a, (1, 1, 1), 0.2))
    sheet.disc(x - 0.04, 0.33, 0.08, 0.05, shade(b, 0.8))
    sheet.disc(x + 0.05, 0.45, 0.05, 0.05, shade(b, 1.1))
    sheet.box(-sheet.wide, sheet.wide, horizon - 0.004, horizon + 0.055, (0.93, 0.91, 0.87))
    plant(sheet, rng, 0.83 * side, horizon - 0.1)
    rug = one_of(rng, WALLS)
    for k, r in enumerate((1.0, 0.9, 0.78)):
        sheet.disc(0.0, -0.8, 0.78 * r, 0.17 * r, shade(rug, (0.72, 0.95, 0.8)[k]))
    sheet.blur(horizon + 0.02, 0.005)
    if time == "day":
        sheet.poly([(-0.2 * side, -0.62), (0.28 * side, -0.62), (0.52 * side, -0.94), (-0.1 * side, -0.94)],
                   shade(mix(rug, wood, 0.5), 1.32))  # fmt: skip


def plant(sheet: Sheet, rng: np.random.Generator, x: float, y: float) -> None:
    """A pot plant."""
    pot, green = one_of(rng, WALLS), (0.24, float(rng.uniform(0.42, 0.56)), 0.28)
    for i in range(9):
        turn = -1.2 + 2.4 * i / 8 + float(rng.normal(0, 0.1))
        dx, dy = np.sin(turn) * 0.22, np.cos(turn) * 0.34
        sheet.poly([(x, y + 0.14), (x + 0.6 * dx - 0.04, y + 0.16 + 0.6 * dy), (x + dx, y + 0.16 + dy),
                    (x + 0.6 * dx + 0.04, y + 0.16 + 0.5 * dy)], shade(green, 0.8 + 0.1 * (i % 4)))  # fmt: skip
    sheet.poly(
        [(x - 0.1, y + 0.18), (x + 0.1, y + 0.18), (x + 0.075, y - 0.05), (x - 0.075, y - 0.05)],
        pot,
    )


def stage(sheet: Sheet, rng: np.random.Generator, time: str) -> None:
    """A theatre: folds of a curtain, boards, lamps."""
    horizon = -0.5
    cloth = one_of(
        rng,
        (
            (0.62, 0.10, 0.13),
            (0.13, 0.22, 0.48),
            (0.34, 0.12, 0.42),
            (0.10, 0.38, 0.34),
            (0.72, 0.44, 0.12),
        ),
    )
    folds = 0.5 + 0.5 * np.sin(sheet.x * float(rng.uniform(24, 34)) + 0.8 * np.sin(5 * sheet.x))
    height = np.clip((sheet.y - horizon) / 1.5, 0, 1)
    tone = (0.34 + 0.66 * folds) * (1.0 - 0.55 * height)
    sheet.image[:] = (tone[..., None] * np.array(cloth)).astype(np.float32)
    sheet.fade(-1.0, horizon, (0.3, 0.2, 0.13), (0.2, 0.13, 0.09))
    planks(sheet, rng, horizon, (0.46, 0.30, 0.19))
    trim = (0.85, 0.66, 0.28)
    for i in range(24):  # a scalloped valance
        x = -1.2 * sheet.wide + i * 0.22
        sheet.disc(x, 0.98, 0.125, 0.17, shade(trim, 0.75))
        sheet.disc(x, 1.0, 0.12, 0.16, shade(cloth, 1.15))
    warm = {"day": (1.0, 0.93, 0.8), "evening": (1.0, 0.72, 0.45), "night": (0.55, 0.68, 1.0)}[time]
    x = float(rng.uniform(-0.25, 0.25))
    sheet.glow(x, -0.8, 0.75, 0.24, warm, 0.34)
    sheet.glow(x, 0.1, 0.55, 0.9, warm, 0.16)
    sheet.dim(-1.0, 0.3, 0.4, 1.4, 0.5)
    sheet.dim(1.0, 0.3, 0.4, 1.4, 0.5)
