"""The help card (F1): which key does what, in the game and in the window."""

from __future__ import annotations

import pygame

from aapt_env.play import paint
from aapt_env.play.inputs import hands_of
from aapt_env.spec import ControlSpec

COMMANDS = {  # key -> (command, what it does)
    "r": ("reset", "start this episode again"),
    "n": ("new", "new scene, new seed"),
    "p": ("pause", "pause, play on"),
    "m": ("policy", "hand over to the policy, take back"),
    "t": ("twin", "the game beside its dream"),
    "tab": ("record", "record to a dataset, stop"),
    "i": ("smooth", "smooth or crisp pixels"),
    "f11": ("fullscreen", "full screen"),
    "f1": ("help", "this help"),
    "escape": ("quit", "leave"),
}


def command_of(key: str, ctrl: bool, bound: frozenset[str]) -> str | None:
    """The window's command for a key, or None. A key that the game uses too needs Ctrl."""
    if key not in COMMANDS or (key in bound and not ctrl):
        return None
    return COMMANDS[key][0]


def bound_keys(control: ControlSpec) -> frozenset[str]:
    """Every key that the control's keymap uses."""
    return frozenset(key for b in control.keymap for key in b.keys)


def control_lines(control: ControlSpec) -> list[tuple[list[list[str]], str]]:
    """Per thing a player can do: the key combinations that do it, and its name."""
    lines: dict[tuple[int, int], list[list[str]]] = {}
    for b in control.keymap:
        sign = 1 if control.space != "Box" or b.value > 0 else -1
        lines.setdefault((b.index, sign), []).append(list(b.keys))
    both = {i for i, sign in lines if (i, -sign) in lines}
    return [
        (keys, _name(control, index, sign if index in both else 0))
        for (index, sign), keys in lines.items()
    ]


def _name(control: ControlSpec, index: int, sign: int) -> str:
    name = control.names[index] if index < len(control.names) else f"control {index}"
    return f"{name} {'+' if sign > 0 else '-'}" if sign else name


def draw(target: pygame.Surface, control: ControlSpec, unit: float) -> None:
    """Dim the window and lay the card over it."""
    area = target.get_rect()
    paint.panel(target, area, fill=paint.NIGHT, alpha=170, radius=0)
    bound, drives = bound_keys(control), control_lines(control)
    line = round(31 * unit)
    rows = max(len(drives) + 3, len(COMMANDS))
    card = pygame.Rect(0, 0, round(604 * unit), round(86 * unit) + rows * line)
    card.center = area.center
    paint.panel(target, card, edge=paint.EDGE, alpha=245, radius=round(14 * unit))
    pad = round(24 * unit)
    at = (card.left + pad, card.top + round(18 * unit))
    paint.write(target, "How to play", at, round(22 * unit), bold=True)
    top = card.top + round(66 * unit)
    half = card.left + round(250 * unit)
    for i, (keys, text) in enumerate(drives):
        _line(target, (card.left + pad, top + i * line), keys, text, 132, unit)
    below = top + len(drives) * line + round(6 * unit)
    two = len(hands_of(control)) > 1
    sticks = "Mouse: click to look. Gamepad: sticks," if two else "Gamepad: stick, triggers,"
    for i, text in enumerate((sticks, "D-pad; Start pauses, Back resets")):
        at = (card.left + pad, below + i * round(19 * unit))
        paint.write(target, text, at, round(12 * unit), paint.DIM)
    for i, (key, (_, text)) in enumerate(COMMANDS.items()):
        keys = [["ctrl", key]] if key in bound else [[key]]
        _line(target, (half, top + i * line), keys, text, 76, unit)
    at = (card.right - pad, card.top + round(26 * unit))
    paint.write(target, "F1 closes", at, round(12 * unit), paint.DIM, anchor="topright")


def _line(
    target: pygame.Surface,
    at: tuple[int, int],
    combos: list[list[str]],
    text: str,
    column: int,
    unit: float,
) -> None:
    """Keycaps, then what they do, `column` pixels to the right."""
    side, x = round(24 * unit), at[0]
    for combo in combos[:3]:
        for key in combo:
            wide = len(key) > 1 and key not in paint.ARROWS
            rect = pygame.Rect(x, at[1], round((44 if wide else 24) * unit), side)
            paint.keycap(target, rect, key, lit=False)
            x = rect.right + round(4 * unit)
        x += round(2 * unit)
    x = max(x, at[0] + round(column * unit))
    paint.write(target, text, (x, at[1] + side // 2), round(13 * unit), anchor="midleft")
