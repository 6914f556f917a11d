import numpy as np
import pygame
import pytest

from aapt_env.play.inputs import Inputs, other_keys, roles_of
from aapt_env.play.pads import Pads
from aapt_env.spec import ControlSpec, KeyBinding

from .conftest import counting_spec


@pytest.fixture
def inputs(spec):
    return Inputs(spec.control)


def row(inputs):
    return inputs.sample().row.tolist()


def test_two_keys_held_at_once_arrows_and_wasd(inputs):
    inputs.press("left", 0.0)
    inputs.press("w", 0.0)
    assert row(inputs) == [1, 0, 1, 0]
    inputs.release("left", 0.1)
    assert row(inputs) == [0, 0, 1, 0]


@pytest.mark.parametrize("first, second", [("left", "right"), ("d", "a"), ("up", "s")])
def test_the_newest_of_two_opposite_keys_wins_and_the_older_one_comes_back(inputs, first, second):
    inputs.press(first, 0.0)
    before = row(inputs)
    inputs.press(second, 0.1)
    assert row(inputs) != before and sum(row(inputs)) == 1
    inputs.release(second, 0.2)
    assert row(inputs) == before


def test_a_tap_between_two_samples_counts_once(inputs):
    inputs.press("up", 0.0)
    inputs.release("up", 0.01)
    assert row(inputs) == [0, 0, 1, 0]
    assert row(inputs) == [0, 0, 0, 0]


def test_a_tap_does_not_beat_a_key_pressed_after_it(inputs):
    inputs.press("left", 0.0)
    inputs.release("left", 0.01)
    inputs.press("right", 0.02)
    assert row(inputs) == [0, 1, 0, 0]


def test_since_is_the_first_change_that_nobody_sampled(inputs):
    assert inputs.sample().since is None
    inputs.press("up", 1.0)
    inputs.press("left", 2.0)
    assert inputs.sample().since == 1.0
    assert inputs.sample().since is None
    inputs.release("up", 3.0)
    assert inputs.sample().since == 3.0


def test_losing_the_keyboard_releases_everything(inputs):
    inputs.press("up", 0.0)
    inputs.sample()
    inputs.release_all(1.0)
    assert row(inputs) == [0, 0, 0, 0]


def test_discrete_the_newest_key_wins_and_combinations_still_work():
    bindings = ((("left",), 1), (("right",), 2), (("right", "up"), 3), (("up",), 4))
    keymap = tuple(KeyBinding(keys=keys, index=index) for keys, index in bindings)
    inputs = Inputs(ControlSpec(space="Discrete", size=5, keymap=keymap))
    inputs.press("left", 0.0)
    inputs.press("right", 0.1)
    assert row(inputs) == [2]
    inputs.press("up", 0.2)
    assert row(inputs) == [3]
    inputs.release("right", 0.3)
    assert row(inputs) == [4]


def test_roles_and_other_keys_find_the_keymap(spec):
    assert roles_of(spec.control) == {
        "left": ("left", "a"),
        "right": ("right", "d"),
        "up": ("up", "w"),
        "down": ("down", "s"),
    }
    keymap = (
        KeyBinding(keys=("a",), index=0),
        KeyBinding(keys=("space",), index=1),
        KeyBinding(keys=("e",), index=2),
        KeyBinding(keys=("return",), index=1),
    )
    control = ControlSpec(space="MultiBinary", size=3, keymap=keymap)
    assert roles_of(control) == {"left": ("a",)}
    assert other_keys(control) == ["space", "e"]  # return does what space does


def test_turning_left_while_strafing_right_is_no_contradiction():
    bindings = (("left", 0), ("right", 1), ("a", 2), ("d", 3))
    keymap = tuple(KeyBinding(keys=(key,), index=index) for key, index in bindings)
    inputs = Inputs(ControlSpec(space="MultiBinary", size=4, keymap=keymap))
    inputs.press("left", 0.0)
    inputs.press("d", 0.1)
    assert row(inputs) == [1, 0, 0, 1]
    inputs.press("right", 0.2)
    assert row(inputs) == [0, 1, 0, 1]


def axis(axis, value):
    return pygame.event.Event(pygame.CONTROLLERAXISMOTION, axis=axis, value=round(value * 32767))


def test_sticks_and_triggers_are_analog_for_a_box():
    inputs = Inputs(counting_spec("Box").control)
    pads = Pads(inputs)
    pads.handle(axis(pygame.CONTROLLER_AXIS_LEFTX, -0.575), 0.0)
    pads.handle(axis(pygame.CONTROLLER_AXIS_TRIGGERRIGHT, 1.0), 0.1)
    assert np.allclose(row(inputs), [-0.5, 1.0], atol=0.01)
    pads.handle(axis(pygame.CONTROLLER_AXIS_LEFTX, 0.05), 0.2)
    assert np.allclose(row(inputs), [0.0, 1.0])


def test_a_stick_stands_for_keys_where_the_control_is_not_analog(inputs):
    pads = Pads(inputs)
    pads.handle(axis(pygame.CONTROLLER_AXIS_LEFTX, 0.9), 0.0)
    assert row(inputs) == [0, 1, 0, 0]
    pads.handle(axis(pygame.CONTROLLER_AXIS_LEFTX, -0.9), 0.1)
    assert row(inputs) == [1, 0, 0, 0]
    pads.handle(axis(pygame.CONTROLLER_AXIS_LEFTX, 0.0), 0.2)
    assert row(inputs) == [0, 0, 0, 0]


def test_pad_buttons_drive_and_start_pauses(inputs):
    pads = Pads(inputs)

    def button(kind, number):
        return pads.handle(pygame.event.Event(kind, button=number), 0.0)

    button(pygame.CONTROLLERBUTTONDOWN, pygame.CONTROLLER_BUTTON_A)
    button(pygame.CONTROLLERBUTTONDOWN, pygame.CONTROLLER_BUTTON_DPAD_LEFT)
    assert row(inputs) == [1, 0, 1, 0]
    button(pygame.CONTROLLERBUTTONUP, pygame.CONTROLLER_BUTTON_A)
    assert row(inputs) == [1, 0, 0, 0]
    assert button(pygame.CONTROLLERBUTTONDOWN, pygame.CONTROLLER_BUTTON_START) == "pause"
