"""Randomness is a function of (seed, stage, step)."""

import numpy as np
import torch

from aapt_env.train.dice import Dice


def roll(*key):
    dice = Dice.of(*key)
    return dice.pick.integers(1 << 40, size=4).tolist(), dice.normal(3, 2), dice.uniform(5)


def test_same_key_same_throw():
    a, b = roll(1, "diffusion", 7), roll(1, "diffusion", 7)
    assert a[0] == b[0] and torch.equal(a[1], b[1]) and torch.equal(a[2], b[2])


def test_seed_stage_and_step_all_matter():
    reference = roll(1, "diffusion", 7)
    for key in ((2, "diffusion", 7), (1, "adversarial", 7), (1, "diffusion", 8)):
        other = roll(*key)
        assert other[0] != reference[0] and not torch.equal(other[1], reference[1])


def test_no_other_randomness_is_used_or_disturbed():
    torch.manual_seed(0)
    np.random.seed(0)
    expected = torch.rand(3), np.random.rand(3)
    reference = roll(1, "x", 0)
    torch.manual_seed(0)
    np.random.seed(0)
    again = roll(1, "x", 0)
    assert torch.equal(reference[1], again[1])
    assert torch.equal(torch.rand(3), expected[0]) and (np.random.rand(3) == expected[1]).all()


def test_these_throws_are_for_ever():
    """A run that was begun before goes on as it would have: the streams must not change."""
    dice = Dice.of(0, "diffusion", 3)
    assert dice.pick.integers(1000, size=4).tolist() == PICKS
    torch.testing.assert_close(dice.uniform(3), torch.tensor(UNIFORM), rtol=0, atol=1e-6)


def test_noise_is_normal():
    noise = Dice.of(0, "x", 0).normal(20_000)
    assert abs(noise.mean()) < 0.03 and abs(noise.std() - 1) < 0.03


PICKS = [113, 345, 81, 280]
UNIFORM = [0.898746, 0.983148, 0.517287]
