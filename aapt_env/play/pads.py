"""Gamepads, plugged in and out at any time; SDL's controller mapping gives every make the same buttons."""

from __future__ import annotations

import pygame
from pygame._sdl2 import controller

from aapt_env.play.inputs import DEAD_ZONE, Inputs, hands_of, other_keys

DPAD = {
    pygame.CONTROLLER_BUTTON_DPAD_LEFT: "left",
    pygame.CONTROLLER_BUTTON_DPAD_RIGHT: "right",
    pygame.CONTROLLER_BUTTON_DPAD_UP: "up",
    pygame.CONTROLLER_BUTTON_DPAD_DOWN: "down",
}
FACE = (
    pygame.CONTROLLER_BUTTON_A,
    pygame.CONTROLLER_BUTTON_B,
    pygame.CONTROLLER_BUTTON_X,
    pygame.CONTROLLER_BUTTON_Y,
)
STICKS = {  # axis -> the roles of its negative and positive side
    pygame.CONTROLLER_AXIS_LEFTX: ("left", "right"),
    pygame.CONTROLLER_AXIS_LEFTY: ("up", "down"),
    pygame.CONTROLLER_AXIS_TRIGGERLEFT: (None, "down"),
    pygame.CONTROLLER_AXIS_TRIGGERRIGHT: (None, "up"),
}
LOOK = {  # the right stick, for the second hand
    pygame.CONTROLLER_AXIS_RIGHTX: ("left", "right"),
    pygame.CONTROLLER_AXIS_RIGHTY: ("up", "down"),
}
COMMANDS = {pygame.CONTROLLER_BUTTON_START: "pause", pygame.CONTROLLER_BUTTON_BACK: "reset"}


class Pads:
    """Turns pad events into `Inputs`. Sticks and triggers are analog where the control is a Box."""

    def __init__(self, inputs: Inputs):
        self.inputs = inputs
        self.open: dict[int, controller.Controller] = {}  # by instance id
        hands = [{role: keys[0] for role, keys in h.items()} for h in hands_of(inputs.control)]
        self._roles = hands[0]
        self._axes = {axis: (hands[0], roles) for axis, roles in STICKS.items()}
        if len(hands) > 1:
            self._axes |= {axis: (hands[1], roles) for axis, roles in LOOK.items()}
        pedals = [self._roles[role] for role in ("up", "down") if role in self._roles]
        self._buttons = dict(zip(FACE, other_keys(inputs.control) or pedals, strict=False))

    def handle(self, event: pygame.event.Event, now: float) -> str | None:
        """Take one event; returns a window command ("pause", "reset") or None."""
        if event.type == pygame.CONTROLLERDEVICEADDED:
            pad = controller.Controller(event.device_index)
            self.open[pad.as_joystick().get_instance_id()] = pad
        elif event.type == pygame.CONTROLLERDEVICEREMOVED:
            self.open.pop(event.instance_id, None)
            self.inputs.release_all(now)
        elif event.type == pygame.CONTROLLERAXISMOTION:
            self._axis(event.axis, event.value / 32767, now)
        elif event.type == pygame.CONTROLLERBUTTONDOWN:
            return self._button(event.button, True, now)
        elif event.type == pygame.CONTROLLERBUTTONUP:
            self._button(event.button, False, now)
        return None

    def _axis(self, axis: int, value: float, now: float) -> None:
        amount = max(0.0, abs(value) - DEAD_ZONE) / (1 - DEAD_ZONE)
        hand, roles = self._axes.get(axis, ({}, ()))
        for role, side in zip(roles, (-1, 1), strict=False):
            key = hand.get(role) if role else None
            if key:
                self.inputs.push(key, min(amount, 1.0) if value * side > 0 else 0.0, now)

    def _button(self, button: int, down: bool, now: float) -> str | None:
        key = self._buttons.get(button) or self._roles.get(DPAD.get(button, ""))
        if key:
            (self.inputs.press if down else self.inputs.release)(key, now)
        return COMMANDS.get(button) if down else None
