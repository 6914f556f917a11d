"""Mouse look: the mouse moves what the second hand's arrows move."""

from __future__ import annotations

from collections.abc import Callable

import pygame

from aapt_env.play.inputs import Inputs, hands_of

TRAVEL = 160.0  # counts of a mouse that are as much as one latent can do
HINT = "Click the picture to look with the mouse; Escape gives it back"


class Look:
    """Turns mouse motion into `Inputs`, for controls with two hands; without a mouse the arrows look.

    A click takes the mouse, Escape or the loss of the window's focus gives it back.

    Args:
        inputs: what the motion goes to.
        grab: takes (True) and gives back (False) the mouse: no pointer, no edge of the screen.
    """

    def __init__(self, inputs: Inputs, grab: Callable[[bool], None]):
        self.inputs, self.grab, self.taken = inputs, grab, False
        does = {b.keys[0]: b for b in inputs.control.keymap if len(b.keys) == 1}
        hands = hands_of(inputs.control)
        two = len(hands) > 1 and inputs.control.space == "Box"
        self.axes = tuple(does[hands[-1][role][0]] for role in ("right", "down")) if two else ()

    def handle(self, event: pygame.event.Event, now: float) -> bool:
        """Take one event of the mouse; whether it was one."""
        if not self.axes:
            return False
        if event.type == pygame.MOUSEBUTTONDOWN and event.button == 1:
            self.take(True)
        elif event.type == pygame.MOUSEMOTION and self.taken:
            for binding, counts in zip(self.axes, event.rel, strict=True):
                sign = 1 if binding.value > 0 else -1
                self.inputs.nudge(binding.index, sign * counts / TRAVEL, now)
        else:
            return False
        return True

    def take(self, on: bool) -> None:
        """Take the mouse, or give it back."""
        if on != self.taken:
            self.taken = on
            self.grab(on)
