"""Where things are in the window: sizes of the pictures, the strip and the window itself."""

from __future__ import annotations

import pygame

from aapt_env.play.hud import STRIP

NARROWEST = 640  # pixels, so that the HUD can be read
SMALLEST = (NARROWEST, 320)
GAP = 4  # pixels between the dream and its twin
Size = tuple[int, int]  # width, height


def unit_of(width: int) -> float:
    """Size of the HUD, 1 in a window 640 wide."""
    return min(max(width / NARROWEST, 1.0), 2.0)


def window_size(frame: Size, pictures: int, scale: float, desktop: Size) -> Size:
    """A window for so many pictures side by side.

    Args:
        frame: (width, height) of a frame in pixels.
        pictures: 1, or 2 with the twin.
        scale: screen pixels per frame pixel; 0 for 640 pixels wide, or what the screen has room for.
        desktop: (width, height) of the screen.
    """
    wide, tall, gaps = pictures * frame[0], frame[1], (pictures - 1) * GAP
    bar = STRIP
    for _ in range(2):  # a wider window has a taller strip
        room = min((desktop[1] * 0.88 - bar) / tall, (desktop[0] * 0.94 - gaps) / wide)
        zoom = scale or max(1.0, min(room, NARROWEST / frame[0]))
        width = max(NARROWEST, round(wide * zoom) + gaps)
        bar = round(STRIP * unit_of(width))
    return width, round(tall * zoom) + bar


def on_screen(at: Size, window: Size, desktop: Size) -> Size:
    """Where a window that grew should stand: moved up and left as far as it hangs over the first screen's edge.

    Args:
        at: (x, y) of its corner; one that stands on another screen is left there.
        window: (width, height).
        desktop: (width, height) of the first screen.
    """
    if at[0] >= desktop[0] or at[1] >= desktop[1]:
        return at
    x, y = (max(0, min(a, most - size)) for a, most, size in zip(at, desktop, window, strict=True))
    return x, y


def strip(window: Size) -> pygame.Rect:
    """The HUD's place, along the bottom."""
    tall = round(STRIP * unit_of(window[0]))
    return pygame.Rect(0, window[1] - tall, window[0], tall)


def pictures(window: Size, frame: Size, count: int) -> list[pygame.Rect]:
    """Where the dream is drawn, and the game beside it: as large as fits, in the right proportion."""
    room = pygame.Rect(0, 0, window[0], max(strip(window).top, 1))
    each = (room.width - GAP * (count - 1)) / count
    zoom = min(each / frame[0], room.height / frame[1])
    size = (max(1, round(frame[0] * zoom)), max(1, round(frame[1] * zoom)))
    left = (room.width - count * size[0] - GAP * (count - 1)) // 2
    top = (room.height - size[1]) // 2
    return [pygame.Rect((left + i * (size[0] + GAP), top), size) for i in range(count)]
