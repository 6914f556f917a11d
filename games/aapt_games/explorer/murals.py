"""Painted walls: panels two metres wide between pilasters, no two alike, so that any of them tells where one stands."""

from __future__ import annotations

import colorsys

import cv2
import numpy as np

from aapt_games.explorer.grain import SPAN, TALL, WIDE, grain, skirt
from aapt_games.explorer.scene import Color

CREAM = (236, 224, 198)
HIGH = 2.9  # metres up to which a wall is painted; a frieze above
FOOT = 0.5  # metres of plinth


def panel(rng: np.random.Generator, number: int, turn: float, height: float) -> np.ndarray:
    """One panel, [TALL, WIDE, 3] uint8, SPAN metres wide.

    Args:
        rng: the dice.
        number: which; neighbours in number differ in motif and colour.
        turn: colour of the wall that it is part of, 0 to 1 around the circle.
        height: of the wall (m).
    """
    top = round(TALL * (1 - min(HIGH, height) / height))
    foot = round(TALL * (1 - FOOT / height))
    sky, deep = _color(turn, 0.28, 0.95), _color(turn + 0.03, 0.72, 0.78)
    image = np.empty((TALL, WIDE, 3), np.float32)
    share = np.linspace(0, 1, foot - top)[:, None, None]
    image[top:foot] = np.asarray(sky) * (1 - share) + np.asarray(deep) * share
    metre = TALL / height
    bold = _color(turn + 0.38 + 0.19 * (number % 3), 0.7, 0.38 + 0.45 * (number % 2))
    draw = MOTIFS[number % len(MOTIFS)]
    draw(image, (WIDE // 2, foot), (WIDE / SPAN, metre), bold, _color(turn + 0.5, 0.45, 0.97))
    image[foot:] = _color(turn + 0.02, 0.6, 0.38)
    image[foot - 2 : foot + 2] = CREAM
    if top > 4:
        image[:top] = _color(turn, 0.35, 0.62)
        image[top - 5 : top] = CREAM
    image[top:, :7] = image[top:, -7:] = CREAM
    image[top:, 7:9] = image[top:, -9:-7] = _color(turn, 0.5, 0.4)
    return np.clip(skirt(image * grain(rng, 0.03), 0.6), 0, 255).astype(np.uint8)


def _color(turn: float, strength: float, value: float) -> Color:
    r, g, b = colorsys.hsv_to_rgb(turn % 1, strength, value)
    return (r * 255, g * 255, b * 255)


def _at(foot, scale, x: float, up: float) -> tuple[int, int]:
    """The pixel of a place: metres right of the panel's middle, metres above its plinth."""
    return round(foot[0] + x * scale[0]), round(foot[1] - up * scale[1])


def _disc(image, foot, scale, x: float, up: float, radius: float, color) -> None:
    axes = round(radius * scale[0]), round(radius * scale[1])
    cv2.ellipse(image, _at(foot, scale, x, up), axes, 0, 0, 360, color, -1, cv2.LINE_AA)


def _shape(image, foot, scale, points, color) -> None:
    corners = np.array([_at(foot, scale, x, up) for x, up in points], np.int32)
    cv2.fillPoly(image, [corners], color, cv2.LINE_AA)


def sun(image, foot, scale, bold, pale) -> None:
    """A great sun over a dark hill."""
    _disc(image, foot, scale, 0.0, 1.5, 0.55, pale)
    _shape(image, foot, scale, [(-1, 0), (-1, 0.4), (-0.2, 0.75), (1, 0.3), (1, 0)], bold)


def tree(image, foot, scale, bold, pale) -> None:
    """A round tree."""
    _shape(image, foot, scale, [(-0.1, 0), (-0.07, 1.0), (0.07, 1.0), (0.1, 0)], (92, 62, 40))
    _disc(image, foot, scale, 0.0, 1.35, 0.62, bold)
    for x, up in ((-0.25, 1.5), (0.2, 1.2), (0.15, 1.6)):
        _disc(image, foot, scale, x, up, 0.13, pale)


def peaks(image, foot, scale, bold, pale) -> None:
    """Two mountains with snow."""
    _shape(image, foot, scale, [(-1, 0), (-0.45, 1.9), (0.25, 0)], bold)
    _shape(image, foot, scale, [(-0.1, 0), (0.5, 1.3), (1, 0)], tuple(0.7 * c for c in bold))
    _shape(image, foot, scale, [(-0.62, 1.3), (-0.45, 1.9), (-0.23, 1.3)], pale)


def ship(image, foot, scale, bold, pale) -> None:
    """A boat under sail on a dark sea."""
    _shape(image, foot, scale, [(-1, 0), (-1, 0.5), (1, 0.5), (1, 0)], tuple(0.5 * c for c in bold))
    _shape(image, foot, scale, [(-0.6, 0.75), (-0.4, 0.4), (0.4, 0.4), (0.65, 0.75)], bold)
    _shape(image, foot, scale, [(-0.05, 0.85), (-0.05, 2.0), (0.65, 0.85)], pale)
    _shape(image, foot, scale, [(-0.12, 0.85), (-0.12, 1.7), (-0.5, 0.85)], pale)


def tower(image, foot, scale, bold, pale) -> None:
    """A tower with a light in it."""
    _shape(image, foot, scale, [(-0.38, 0), (-0.3, 1.6), (0.3, 1.6), (0.38, 0)], bold)
    _shape(image, foot, scale, [(-0.45, 1.6), (0, 2.1), (0.45, 1.6)], tuple(0.55 * c for c in bold))
    _disc(image, foot, scale, 0.0, 1.15, 0.16, pale)


def arch(image, foot, scale, bold, pale) -> None:
    """An arch that opens on a pale sky."""
    _shape(image, foot, scale, [(-0.65, 0), (-0.65, 1.25), (0.65, 1.25), (0.65, 0)], bold)
    _disc(image, foot, scale, 0.0, 1.25, 0.65, bold)
    _shape(image, foot, scale, [(-0.35, 0), (-0.35, 1.2), (0.35, 1.2), (0.35, 0)], pale)
    _disc(image, foot, scale, 0.0, 1.2, 0.35, pale)


def lozenges(image, foot, scale, bold, pale) -> None:
    """A great lozenge in a lozenge."""
    for size, color in ((0.85, bold), (0.45, pale)):
        corners = [(0, 1.1 + 1.15 * size), (0.9 * size, 1.1), (0, 1.1 - 1.15 * size)]
        _shape(image, foot, scale, [*corners, (-0.9 * size, 1.1)], color)


MOTIFS = (sun, tree, peaks, ship, tower, arch, lozenges)
