"""Controls as classes: guessing scores no more than chance, however rare a key is."""

import numpy as np
import pytest
import torch

from aapt_env.evaluate import reading
from aapt_env.spec import ControlSpec

KEYS = ControlSpec(space="MultiBinary", size=2, names=("left", "brake"))
MOVES = ControlSpec(space="Discrete", size=3)
WHEEL = ControlSpec(kind="vector", space="Box", size=1, names=("wheel",))


def test_classes_of_every_space():
    assert reading.classes(KEYS, np.float32([[1, 0]])).tolist() == [[1, 0]]
    assert reading.classes(MOVES, np.float32([[2]])).tolist() == [[2]]
    assert reading.classes(WHEEL, np.float32([[-1], [0.2], [0.9]])).ravel().tolist() == [0, 1, 2]
    assert [reading.count(c) for c in (KEYS, MOVES, WHEEL)] == [2, 3, 3]
    assert reading.elements(KEYS) == ["left", "brake"] and reading.elements(MOVES) == ["action"]


def test_logits_are_read_as_controls_are_written():
    assert reading.read(KEYS, torch.tensor([[2.0, -1.0]])).tolist() == [[1, 0]]
    assert reading.read(MOVES, torch.tensor([[0.0, 3.0, 1.0]])).tolist() == [[1]]
    assert reading.read(WHEEL, torch.tensor([[2.0], [-2.0]])).ravel().tolist() == [2, 0]


def test_who_never_brakes_gains_nothing_from_brakes_being_rare():
    """Plain accuracy would give 95 % to a world that ignores the brake."""
    truth = np.zeros((4, 100, 1), np.int8)
    truth[:, :5] = 1
    never, always = np.zeros_like(truth), truth.copy()
    assert reading.accuracy(reading.tally(truth, never, 2).sum(0)) == pytest.approx(0.5)
    assert reading.accuracy(reading.tally(truth, always, 2).sum(0)) == pytest.approx(1)


def test_classes_that_did_not_occur_do_not_count():
    truth = np.full((2, 10, 2), 1, np.int8)
    truth[:, :5, 1] = 0
    tally = reading.tally(truth, truth, 2)
    assert reading.accuracy(tally.sum(0)).tolist() == [1, 1]
    assert reading.varied(tally).tolist() == [False, True]


@pytest.mark.parametrize("control", [KEYS, MOVES, WHEEL], ids=lambda c: c.space)
def test_loss_is_lowest_for_the_right_answer(control):
    rows = {"MultiBinary": [[1, 0]], "Discrete": [[2]], "Box": [[0.9]]}[control.space]
    rows = torch.tensor(rows, dtype=torch.float32)
    right = {"MultiBinary": [[5, -5]], "Discrete": [[0, 0, 5]], "Box": [[1.5]]}[control.space]
    weight = reading.weights(control, rows.numpy())
    right, wrong = (sign * torch.tensor(right, dtype=torch.float32) for sign in (1, -1))
    good, bad = (reading.loss(control, x, rows, weight) for x in (right, wrong))
    assert good < 0.1 < bad
    assert (weight <= 20).all()
