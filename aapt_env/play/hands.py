"""Controls that keys do not say directly: a game's own hands turn what is held, pulled or replayed into the control."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import pygame

from aapt_env.binding import bindings_of
from aapt_env.play.inputs import Inputs, Sample
from aapt_env.spec import ControlSpec

Place = Callable[[tuple[int, int]], tuple[float, float] | None]


class Hands(Protocol):
    """What a game names in `hands_entry`: held keys in, controls out, one per latent."""

    names: tuple[str, ...]  # of what can be held
    keymap: tuple  # (keys, index, value), as a game's
    note: str  # what the player has to be told; emptied when it was

    def begin(self, row: Any) -> None:
        """An episode begins; `row` [width] is the control that stands, None when nobody knows."""

    def replay(self, source: str, rate: float) -> None:
        """Follow a file, or a device, at `rate` controls per second. Raises ValueError: it cannot be read."""

    def __call__(self, held: np.ndarray) -> np.ndarray:
        """Which names are held, [names] of 0 and 1 -> the control for the coming latent, [width]."""
        ...

    def grab(self, x: float, y: float) -> bool:
        """The mouse went down at a place of the frame: units of half its shorter side from its middle, y up."""
        ...

    def drag(self, x: float, y: float) -> None:
        """The mouse moved there."""

    def drop(self) -> None:
        """The mouse was let go."""


def face_of(hands: Hands) -> ControlSpec:
    """The keys of these hands, as a control that HUD, help card and gamepads know."""
    return ControlSpec(
        space="MultiBinary",
        size=len(hands.names),
        names=hands.names,
        keymap=bindings_of(hands.keymap),
    )


class HandedInputs(Inputs):
    """Keys and pads as ever; what they say goes through the hands."""

    def __init__(self, hands: Hands):
        super().__init__(face_of(hands))
        self.hands = hands

    def sample(self) -> Sample:
        """The control for the next latent."""
        sample = super().sample()
        row = np.asarray(self.hands(sample.row), np.float32)
        if self.hands.note:
            self._tell(self.hands.note)
            self.hands.note = ""
        note = sample.note or (self._notes.pop(0) if self._notes else "")
        return dataclasses.replace(sample, row=row, note=note)


class HandScript:
    """A driver for worlds that carry no policy: holds one key after the other, or replays."""

    def __init__(self, hands: Hands, control: ControlSpec, seed: int):
        self.hands, self.control = hands, control
        self.begin(seed)

    def begin(self, seed: int) -> None:
        """Start over with another seed."""
        self._rng, self._left = np.random.default_rng(seed), 0

    def __call__(self, obs: Any, info: dict) -> Any:
        """The next action; the observation is not looked at."""
        if self._left == 0:
            self._left = int(self._rng.integers(4, 10))
            self._held = np.zeros(len(self.hands.names))
            self._held[int(self._rng.integers(len(self._held)))] = 1
        self._left -= 1
        return self.control.from_row(np.asarray(self.hands(self._held), np.float32))


class Grab:
    """The mouse on the picture, for hands.

    Args:
        hands: what is pulled.
        place: a point of the window -> a place of the frame, None beside it.
    """

    def __init__(self, hands: Hands, place: Place):
        self.hands, self.place, self.holds = hands, place, False

    def handle(self, event: pygame.event.Event) -> bool:
        """Take one event of the mouse; whether it was one."""
        if event.type == pygame.MOUSEBUTTONDOWN and event.button == 1:
            at = self.place(event.pos)
            self.holds = at is not None and self.hands.grab(*at)
        elif event.type == pygame.MOUSEMOTION and self.holds:
            at = self.place(event.pos)
            if at is not None:
                self.hands.drag(*at)
        elif event.type == pygame.MOUSEBUTTONUP and self.holds:
            self.holds = False
            self.hands.drop()
        else:
            return False
        return True
