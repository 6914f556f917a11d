"""What stands around the picture: speed, seed, scene, the control in use, labels and messages."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pygame

from aapt_env.play import paint
from aapt_env.play.gauges import gauges_of
from aapt_env.play.inputs import hands_of, other_keys
from aapt_env.spec import ControlSpec

STRIP = 92  # pixels of the strip below the picture in a window 640 wide


@dataclass(kw_only=True)
class HudState:
    """Everything the HUD shows, gathered by the window for each frame."""

    name: str = ""
    dream: bool = True
    device: str = ""
    fps: float = 0.0
    goal_fps: float = 24.0
    step: str = "-"  # median / p99
    lag: str = "-"  # key to frame, median / p99
    seed: int = 0
    seconds: float = 0.0  # of the episode
    score: float | None = None  # sum of rewards since the reset; None where there are none
    scene: dict[str, str] = field(default_factory=dict)
    row: np.ndarray | None = None
    held: frozenset[str] = frozenset()
    driver: str = "you"
    recording: float | None = None  # seconds recorded, None when not recording
    paused: bool = False
    smooth: bool = True
    twin: bool = False
    twin_over: bool = False
    over: str = ""
    toast: str = ""


class Hud:
    """Draws a `HudState`. `unit` is 1 in a window 640 pixels wide."""

    def __init__(self, control: ControlSpec):
        self.control = control
        self.hands = hands_of(control)
        self.others = other_keys(control)
        self.gauges = gauges_of(control)

    def strip(
        self, target: pygame.Surface, area: pygame.Rect, state: HudState, unit: float
    ) -> None:
        """The strip below the picture: keys, control, figures, episode."""
        target.fill(paint.PANEL, area)
        target.fill(paint.EDGE, (area.left, area.top, area.width, 1))
        pad = round(14 * unit)
        inner = area.inflate(-2 * pad, -2 * round(11 * unit))
        lit = state.held if state.driver == "you" else self._implied(state.row)
        right = self._keys(target, inner, lit, state.driver, unit)
        room = 136 if len(self.hands) == 1 else 94  # two hands of keys take more of the strip
        width = room if self.gauges else 100 if self.control.space == "Discrete" else 0
        bars = pygame.Rect(right + pad, inner.top, round(width * unit), inner.height)
        if state.row is not None:
            self._control(target, bars, state.row, unit)
        left = bars.right + (round(1.4 * pad) if width else 0)
        figures = pygame.Rect(left, inner.top, round(158 * unit), inner.height)
        self._figures(target, figures, state, unit)
        rest = inner.right - figures.right - pad
        self._episode(target, inner, state, unit, rest)

    def labels(
        self, target: pygame.Surface, pictures: list[pygame.Rect], state: HudState, unit: float
    ) -> None:
        """What lies on the pictures: their names, the recording light, who drives, the banner, the toast."""
        size, gap = round(12 * unit), round(10 * unit)
        whole = pictures[0].unionall(pictures[1:])
        if state.twin:
            names = ("DREAM", "GAME, OVER" if state.twin_over else "GAME")
            for name, rect in zip(names, pictures, strict=False):
                color = paint.ACCENT if name == "DREAM" else paint.WARM
                paint.pill(target, name, (rect.left + gap, rect.top + gap), size, color=color)
        top = whole.top + gap
        if state.recording is not None:
            clock = f"REC {_clock(state.recording)}"
            at = (whole.right - gap, top)
            box = paint.pill(target, clock, at, size, anchor="topright", dot=paint.STOP)
            top = box.bottom + gap // 2
        if state.driver != "you":
            text = f"{state.driver.upper()} DRIVES"
            at = (whole.right - gap, top)
            paint.pill(target, text, at, size, anchor="topright", dot=paint.GO)
        if state.paused or state.over:
            self._banner(target, whole, state, unit)
        if state.toast:
            at = (whole.centerx, whole.bottom - gap)
            paint.pill(target, state.toast, at, size, anchor="midbottom")

    def _banner(self, target, whole: pygame.Rect, state: HudState, unit: float) -> None:
        score = "" if state.score is None else f"score {state.score:.1f}, "
        over = (state.over, f"{score}the next one begins")
        title, line = ("Paused", "P plays on") if state.paused else over
        height = round(96 * unit)
        band = pygame.Rect(whole.left, whole.centery - height // 2, whole.width, height)
        paint.panel(target, band, fill=paint.NIGHT, alpha=190, radius=0)
        at = (whole.centerx, whole.centery - round(14 * unit))
        paint.write(target, title, at, round(30 * unit), bold=True, anchor="center")
        at = (whole.centerx, whole.centery + round(22 * unit))
        paint.write(target, line, at, round(14 * unit), paint.DIM, anchor="center")

    def _keys(
        self, target, area: pygame.Rect, lit: frozenset[str], driver: str, unit: float
    ) -> int:
        """The directions of each hand in their T, then the other keys; returns where they end."""
        side = round(32 * unit)
        step = side + round(4 * unit)
        color = paint.ACCENT if driver == "you" else paint.GO
        cells = {"up": (1, 0), "left": (0, 1), "down": (1, 1), "right": (2, 1)}
        for hand, roles in enumerate(self.hands):
            left = area.left + hand * (3 * step + round(6 * unit))
            for role, (column, line) in cells.items():
                rect = pygame.Rect(left + column * step, area.top + line * step, side, side)
                if keys := roles.get(role):
                    label = role if len(self.hands) == 1 else keys[0]
                    paint.keycap(target, rect, label, bool(lit & set(keys)), color)
        right = area.left + len(self.hands) * 3 * step + round(6 * unit) * (len(self.hands) - 1)
        right += round(6 * unit) if self.others else 0
        for wide in (True, False):  # named keys, then letters, two above each other
            keys = [key for key in self.others if (len(key) > 1) == wide][:2]
            for line, key in enumerate(keys):
                width = 2 * side if wide else side
                rect = pygame.Rect(right, area.top + line * step, width, side)
                paint.keycap(target, rect, key, key in lit, color)
            right += (2 * side if wide else side) + step - side if keys else 0
        return right

    def _control(self, target, area: pygame.Rect, row: np.ndarray, unit: float) -> None:
        """The control itself: a bar per gauge, or the name of the action."""
        size = round(12 * unit)
        if self.control.space == "Discrete":
            paint.write(target, "action", area.topleft, size, paint.DIM)
            at = (area.left, area.top + round(22 * unit))
            paint.write(
                target, self._action(row), at, round(17 * unit), bold=True, width=area.width
            )
            return
        line = round(24 * unit) if len(self.gauges) < 4 else area.height // len(self.gauges)
        label = round(60 * unit)
        for i, gauge in enumerate(self.gauges):
            y = area.top + round(2 * unit) + i * line
            paint.write(target, gauge.name, (area.left, y), size, paint.DIM, width=label)
            rect = pygame.Rect(area.left + label + 4, 0, area.width - label - 4, round(8 * unit))
            rect.centery = y + size // 2 + 2
            value = gauge.value(row)
            paint.bar(target, rect, value, gauge.color(value), centred=gauge.centred)

    def _action(self, row: np.ndarray) -> str:
        index, names = int(row[0]), self.control.names
        return names[index] if index < len(names) else f"action {index}"

    def _figures(self, target, area: pygame.Rect, state: HudState, unit: float) -> None:
        """Speed: frames per second, the model's step, key to frame (median / p99)."""
        size, line = round(12 * unit), round(24 * unit)
        slow = 0 < state.fps < 0.9 * state.goal_fps and not state.paused
        rows = (
            ("fps", f"{state.fps:.1f}" if state.fps else "-", paint.WARM if slow else paint.TEXT),
            (f"step, {state.device}" if state.device else "step", state.step, paint.TEXT),
            ("key to frame", state.lag, paint.TEXT),
        )
        for i, (name, value, color) in enumerate(rows):
            y = area.top + round(2 * unit) + i * line
            paint.write(target, name, (area.left, y), size, paint.DIM)
            at = (area.right, y)
            paint.write(target, value, at, size, color, bold=True, anchor="topright")

    def _episode(
        self, target, inner: pygame.Rect, state: HudState, unit: float, width: int
    ) -> None:
        """Which world, which seed, how long, which scene; flush right."""
        size, line = round(12 * unit), round(24 * unit)
        what = f"{state.name} dream" if state.dream else f"{state.name} game"
        rows = (
            (what, paint.TEXT, True),
            (f"seed {state.seed} · {_clock(state.seconds)}", paint.TEXT, False),
            (" ".join(state.scene.values()) or "F1 help", paint.DIM, False),
        )
        for i, (text, color, bold) in enumerate(rows):
            at = (inner.right, inner.top + round(2 * unit) + i * line)
            paint.write(target, text, at, size, color, bold=bold, anchor="topright", width=width)

    def _implied(self, row: np.ndarray | None) -> frozenset[str]:
        """The keys that a policy's control would take."""
        if row is None:
            return frozenset()
        keys: set[str] = set()
        for b in self.control.keymap:
            value = (
                row[0] == b.index
                if self.control.space == "Discrete"
                else row[b.index] * b.value > 0.1
            )
            if value and (self.control.space == "Discrete" or len(b.keys) == 1):
                keys |= set(b.keys)
        return frozenset(keys)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
