"""Colours, fonts and the few shapes the HUD is drawn with, smooth at any size."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import pygame

Color = tuple[int, int, int]

NIGHT: Color = (13, 15, 20)  # behind everything
PANEL: Color = (22, 26, 34)
EDGE: Color = (46, 53, 66)
TEXT: Color = (233, 237, 243)
DIM: Color = (140, 150, 166)
ACCENT: Color = (92, 200, 255)
GO: Color = (112, 220, 140)
STOP: Color = (255, 98, 88)
WARM: Color = (255, 196, 92)

FAMILIES = "inter,segoeui,helveticaneue,roboto,notosans,dejavusans,arial"


@lru_cache(maxsize=32)
def font(size: int, bold: bool = False) -> pygame.font.Font:
    """A system font in pixels, or pygame's own where there is none."""
    return pygame.font.SysFont(FAMILIES, size, bold=bold)


@lru_cache(maxsize=512)
def _line(text: str, size: int, color: Color, bold: bool) -> pygame.Surface:
    return font(size, bold).render(text, True, color)


def write(
    target: pygame.Surface,
    text: str,
    at: tuple[float, float],
    size: int,
    color: Color = TEXT,
    *,
    bold: bool = False,
    anchor: str = "topleft",
    width: int | None = None,
) -> pygame.Rect:
    """One line of text whose `anchor` corner or edge stands at `at`; cut with dots where it is wider than `width`."""
    line = _line(_fit(text, size, bold, width) if width else text, size, color, bold)
    rect = line.get_rect(**{anchor: (round(at[0]), round(at[1]))})
    target.blit(line, rect)
    return rect


@lru_cache(maxsize=256)
def _fit(text: str, size: int, bold: bool, width: int) -> str:
    measure = font(size, bold).size
    if measure(text)[0] <= width:
        return text
    while text and measure(text + "...")[0] > width:
        text = text[:-1]
    return text.rstrip() + "..."


@lru_cache(maxsize=256)
def _rounded(size: tuple[int, int], radius: int, fill: tuple, edge: tuple | None) -> pygame.Surface:
    """A rounded rectangle, drawn four times as large and averaged down: its edge is smooth."""
    zoom = 4
    large = pygame.Surface((size[0] * zoom, size[1] * zoom), pygame.SRCALPHA)
    large.fill((*(edge or fill)[:3], 0))
    area = large.get_rect()
    pygame.draw.rect(large, edge or fill, area, border_radius=radius * zoom)
    if edge:
        pygame.draw.rect(
            large, fill, area.inflate(-2 * zoom, -2 * zoom), border_radius=(radius - 1) * zoom
        )
    return pygame.transform.smoothscale(large, size)


def panel(
    target: pygame.Surface,
    rect: pygame.Rect,
    *,
    fill: Color = PANEL,
    alpha: int = 255,
    edge: Color | None = None,
    radius: int = 6,
) -> None:
    """A rounded box."""
    if rect.width < 1 or rect.height < 1:
        return
    radius = min(radius, rect.height // 2, rect.width // 2)
    border = (*edge, alpha) if edge else None
    target.blit(_rounded(rect.size, radius, (*fill, alpha), border), rect)


def pill(
    target: pygame.Surface,
    text: str,
    at: tuple[float, float],
    size: int,
    *,
    color: Color = TEXT,
    anchor: str = "topleft",
    dot: Color | None = None,
) -> pygame.Rect:
    """A short label on a dark, see-through box; `dot` puts a filled circle before it."""
    width, height = font(size, True).size(text)
    lead = round(size * 0.95) if dot else 0
    box = pygame.Rect(0, 0, width + lead + round(size * 1.1), height + round(size * 0.5))
    setattr(box, anchor, (round(at[0]), round(at[1])))
    panel(target, box, fill=NIGHT, alpha=205, radius=box.height // 2)
    left = box.left + round(size * 0.55)
    if dot:
        centre = (left + round(size * 0.3), box.centery)
        pygame.draw.aacircle(target, dot, centre, round(size * 0.34))
    write(target, text, (left + lead, box.centery), size, color, bold=True, anchor="midleft")
    return box


ARROWS = {
    "left": ((0.62, 0.27), (0.62, 0.73), (0.3, 0.5)),
    "right": ((0.38, 0.27), (0.38, 0.73), (0.7, 0.5)),
    "up": ((0.27, 0.62), (0.73, 0.62), (0.5, 0.3)),
    "down": ((0.27, 0.38), (0.73, 0.38), (0.5, 0.7)),
}
# Of keys whose names are longer than their caps.
SHORT = {"escape": "esc", "return": "enter"} | {
    f"{side} {key}": key for side in ("left", "right") for key in ("shift", "ctrl", "alt")
}


def keycap(
    target: pygame.Surface, rect: pygame.Rect, key: str, lit: bool, color: Color = ACCENT
) -> None:
    """A key: an arrow for a direction, else its name, cut where it does not fit; `lit` while it is held."""
    label = SHORT.get(key, key)
    fill, ink = (color, NIGHT) if lit else ((32, 37, 47), DIM)
    panel(target, rect, fill=fill, edge=color if lit else EDGE, radius=max(4, rect.height // 5))
    if label in ARROWS:
        target.blit(_arrow(label, min(rect.size), ink), rect)
        return
    size = max(9, round(rect.height * (0.5 if len(label) < 3 else 0.36)))
    room = rect.width - 4
    write(target, label.upper(), rect.center, size, ink, bold=True, anchor="center", width=room)


@lru_cache(maxsize=64)
def _arrow(direction: str, side: int, ink: Color) -> pygame.Surface:
    large = pygame.Surface((side * 4, side * 4), pygame.SRCALPHA)
    large.fill((*ink, 0))
    points = [(x * side * 4, y * side * 4) for x, y in ARROWS[direction]]
    pygame.draw.polygon(large, ink, points)
    return pygame.transform.smoothscale(large, (side, side))


def bar(
    target: pygame.Surface, rect: pygame.Rect, value: float, color: Color, *, centred: bool
) -> None:
    """How far a control is pushed: from the middle when it goes both ways, else from the left."""
    radius = rect.height // 2
    panel(target, rect, fill=(38, 44, 55), radius=radius)
    value = float(np.clip(value, -1, 1))
    if not centred:
        filled = pygame.Rect(rect.left, rect.top, round(rect.width * max(value, 0.0)), rect.height)
    else:
        length = round(rect.width / 2 * abs(value))
        left = rect.centerx - length if value < 0 else rect.centerx
        filled = pygame.Rect(left, rect.top, length, rect.height)
    if filled.width >= 2:
        panel(target, filled, fill=color, radius=radius)
    if centred:
        tick = pygame.Rect(rect.centerx - 1, rect.top - 2, 2, rect.height + 4)
        target.fill(DIM, tick)


def picture(frame: np.ndarray, size: tuple[int, int], smooth: bool) -> pygame.Surface:
    """An RGB frame at another size: bicubic when `smooth` (area when it shrinks), else with crisp square pixels."""
    shrinks = size[0] < frame.shape[1]
    how = cv2.INTER_NEAREST if not smooth else cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    large = np.ascontiguousarray(cv2.resize(frame, size, interpolation=how))
    return pygame.image.frombuffer(large, size, "RGB")
