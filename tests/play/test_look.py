"""Two hands: W, A, S, D move, the mouse, the arrows and the right stick look; jumps are tamed and told once."""

import numpy as np
import pygame
import pytest

from aapt_env.play import inputs as module
from aapt_env.play.inputs import NO_NUMBER, TOO_FAR, Inputs, hands_of, other_keys
from aapt_env.play.look import TRAVEL, Look
from aapt_env.play.pads import Pads
from aapt_env.play.script import KeyScript
from aapt_env.spec import ControlSpec, KeyBinding

from .conftest import counting_spec

KEYS = (
    ("w", 0, 1.0), ("s", 0, -1.0), ("d", 1, 1.0), ("a", 1, -1.0),
    ("right", 2, 0.5), ("left", 2, -0.5), ("up", 3, 0.5), ("down", 3, -0.5),
)  # fmt: skip
CAMERA = ControlSpec(
    kind="camera",
    space="Box",
    size=4,
    names=("forward", "strafe", "yaw", "pitch"),
    keymap=tuple(KeyBinding(keys=(k,), index=i, value=v) for k, i, v in KEYS),
    settings={"metres": 0.1, "degrees": 6.0, "fov": 80.0},
)


@pytest.fixture
def inputs():
    return Inputs(CAMERA)


@pytest.fixture
def look(inputs):
    grabbed = []
    look = Look(inputs, grabbed.append)
    look.grabbed = grabbed
    return look


def row(inputs):
    return inputs.sample().row.tolist()


def moved(dx, dy):
    return pygame.event.Event(pygame.MOUSEMOTION, rel=(dx, dy), pos=(0, 0), buttons=(0, 0, 0))


CLICK = pygame.event.Event(pygame.MOUSEBUTTONDOWN, button=1, pos=(5, 5))


def test_two_hands_only_where_letters_and_arrows_differ():
    assert [hand["up"] for hand in hands_of(CAMERA)] == [("w",), ("up",)]
    assert other_keys(CAMERA) == []
    assert len(hands_of(counting_spec().control)) == 1


def test_a_mouse_looks_once_it_was_taken_and_walking_goes_on(inputs, look):
    assert look.handle(moved(80, 0), 0.0) is False and row(inputs) == [0, 0, 0, 0]
    look.handle(CLICK, 0.1)
    inputs.press("w", 0.2)
    look.handle(moved(TRAVEL / 2, 0), 0.3)
    look.handle(moved(0, TRAVEL / 4), 0.4)
    assert row(inputs) == [1, 0, 0.5, -0.25]
    assert row(inputs) == [1, 0, 0, 0]
    look.take(False)
    assert look.grabbed == [True, False]
    assert look.handle(moved(80, 0), 0.5) is False


def test_a_flick_ends_in_the_next_latent_and_what_is_beyond_is_dropped_and_told_once(inputs, look):
    look.handle(CLICK, 0.0)
    look.handle(moved(1.5 * TRAVEL, 0), 0.1)
    first = inputs.sample()
    assert first.row.tolist() == [0, 0, 1, 0] and first.note == ""
    assert row(inputs) == [0, 0, 0.5, 0]
    for note in (TOO_FAR, ""):
        look.handle(moved(50 * TRAVEL, 0), 0.2)
        sample = inputs.sample()
        assert sample.row.tolist() == [0, 0, 1, 0] and sample.note == note
        assert row(inputs) == [0, 0, 1, 0] and row(inputs) == [0, 0, 0, 0]


def test_numbers_that_are_none_are_no_motion(inputs):
    inputs.nudge(2, float("nan"), 0.0)
    inputs.push("w", float("nan"), 0.0)
    sample = inputs.sample()
    assert sample.row.tolist() == [0, 0, 0, 0] and sample.note == NO_NUMBER
    inputs.nudge(2, float("inf"), 0.0)
    assert inputs.sample().note == ""


def test_losing_the_window_forgets_the_mouse(inputs):
    inputs.nudge(2, 0.7, 0.0)
    inputs.release_all(0.1)
    assert row(inputs) == [0, 0, 0, 0]


def test_one_handed_controls_have_no_mouse():
    assert not Look(Inputs(counting_spec("Box").control), lambda on: None).handle(CLICK, 0.0)


def test_left_stick_moves_and_right_stick_looks(inputs):
    pads = Pads(inputs)
    for axis, value in (
        (pygame.CONTROLLER_AXIS_LEFTY, -32767),
        (pygame.CONTROLLER_AXIS_RIGHTX, 32767),
    ):
        pads.handle(pygame.event.Event(pygame.CONTROLLERAXISMOTION, axis=axis, value=value), 0.0)
    assert row(inputs) == [1, 0, 0.5, 0]


def test_the_script_walks_and_turns():
    script = KeyScript(CAMERA, 0)
    rows = np.stack([script(None, {}) for _ in range(80)])
    assert rows[:, 0].mean() > 0.3 and (rows[:, 2] > 0).any() and (rows[:, 2] < 0).any()
    assert not rows[:, 3].any()


class Fickle:
    """A device that does what its list says."""

    def __init__(self, *says):
        self.says = list(says)

    def read(self):
        said = self.says.pop(0)
        if isinstance(said, Exception):
            raise said
        return said


def test_a_device_adds_to_the_keys_and_may_fail_in_mid_play(monkeypatch):
    says = ([0, 0, 0.5, 0], [9, 0, 0, 0], [np.nan, 0, 0, 0.5], OSError("pulled out"))
    monkeypatch.setitem(module.DEVICES, "camera", lambda control: Fickle(*says))
    inputs = Inputs(CAMERA)
    inputs.press("w", 0.0)
    assert row(inputs) == [1, 0, 0.5, 0]
    inputs.release("w", 0.1)
    assert row(inputs) == [1, 0, 0, 0]
    assert row(inputs) == [0, 0, 0, 0.5]
    notes = [inputs.sample().note for _ in range(4)]
    assert row(inputs) == [0, 0, 0, 0]
    assert any("pulled out" in note for note in notes)


def test_a_device_that_is_not_there_is_told_and_play_goes_on(monkeypatch):
    def missing(control):
        raise OSError("no such port")

    monkeypatch.setitem(module.DEVICES, "camera", missing)
    sample = Inputs(CAMERA).sample()
    assert "no such port" in sample.note and not sample.row.any()
