"""Calibration of learned reward and ending: right where the head is right, worse where it is not."""

import dataclasses

import numpy as np
import pytest
import torch

from aapt_env import checkpoint
from aapt_env.evaluate import outcome, rollouts
from aapt_env.evaluate.course import Course
from aapt_env.evaluate.parts import Parts
from aapt_env.evaluate.summary import Window
from aapt_env.model.outcome import OutcomeHead

SPANS = [Window(0, 1, 24, 4), Window(1, 2, 24, 4)]


@pytest.fixture
def part():
    """Four starts of twelve latents; the game of the last ends after the eighth, and the head knows all."""
    rng = np.random.default_rng(0)
    rewards = rng.normal(size=(4, 12)).astype(np.float32)
    ended = np.zeros((4, 12), bool)
    ended[3, 7] = True
    alive = np.ones((4, 12), bool)
    alive[3, 8:] = False
    rewards[~alive] = 0
    return {
        "game_reward": rewards, "game_ended": ended, "alive": alive,
        "dream_reward": rewards.copy(), "dream_ending": ended * 0.9,
    }  # fmt: skip


def test_who_knows_all_errs_nowhere(part):
    found = outcome.metrics(part, SPANS, 0.5)
    for window in ("0-1s", "1-2s"):
        assert found["reward_error"][window]["value"] == found["return_error"][window]["value"] == 0
        assert found["reward_error_of_the_mean"][window]["value"] > 0.3
    assert found["termination_precision"] == {"1-2s": {"value": 1.0, "n": 1}}
    assert found["termination_recall"] == {"1-2s": {"value": 1.0, "n": 1}}


def test_what_comes_after_the_games_end_does_not_count(part):
    changed = part | {"dream_reward": np.where(part["alive"], part["dream_reward"], 99)}
    assert outcome.metrics(changed, SPANS, 0.5)["reward_error"]["1-2s"]["value"] == 0


def test_errors_and_false_endings_are_told(part):
    part["dream_reward"] = part["dream_reward"] + 0.5
    part["dream_ending"][0, 2] = 0.8
    found = outcome.metrics(part, SPANS, 0.5)
    assert found["reward_error"]["0-1s"]["value"] == pytest.approx(0.5, abs=1e-5)
    assert found["return_error"]["0-1s"]["value"] == pytest.approx(3, abs=1e-4)
    assert found["termination_precision"]["0-1s"]["value"] == 0
    assert found["termination_precision"]["1-2s"]["value"] == 0.5
    assert "0-1s" not in found["termination_recall"], "nothing ended there"


def test_a_game_that_was_called_off_contradicts_no_later_ending(part):
    part["alive"][2, 8:] = False
    part["dream_ending"][2, 9] = part["dream_ending"][3, 9] = 0.8
    assert outcome.metrics(part, SPANS, 0.5)["termination_precision"]["1-2s"]["value"] == 1
    part["dream_ending"][2, 7] = 0.8
    assert outcome.metrics(part, SPANS, 0.5)["termination_precision"]["1-2s"]["value"] == 0.5


def test_a_dream_that_pays_whoever_plays_is_told(part):
    part["game_reward"][:, :] = -1
    part["dream_reward"][:, :] = np.where(part["alive"], 2, 99)
    found = outcome.elsewhere(part, SPANS)
    for window in ("0-1s", "1-2s"):
        assert found["elsewhere_reward_game"][window]["value"] == -1
        assert found["elsewhere_reward_dream"][window]["value"] == 2, "not what comes after the end"


def test_game_and_dream_are_played_on_the_same_controls(world, tmp_path):
    loaded = checkpoint.read(world)
    head = OutcomeHead(loaded.generator.config, 8)
    loaded = dataclasses.replace(loaded, outcome=head)
    twin, _ = rollouts.find_game(loaded.spec)
    parts = Parts(tmp_path, {})
    course = Course(loaded, twin, None, parts, 2, 1.0, 0, torch.device("cpu"))
    part = outcome.collect(course)
    assert all(value.shape == (2, 6) for value in part.values())
    assert part["alive"].all() and not part["game_ended"].any() and not part["game_reward"].any()
    assert (0 < part["dream_ending"]).all() and (part["dream_ending"] < 0.1).all()
    assert np.allclose(part["dream_reward"], 0, atol=1e-5)


def test_hands_from_elsewhere_are_those_of_another_start(world, tmp_path, monkeypatch):
    loaded = checkpoint.read(world)
    loaded = dataclasses.replace(loaded, outcome=OutcomeHead(loaded.generator.config, 8))
    twin, _ = rollouts.find_game(loaded.spec)
    course = Course(loaded, twin, None, Parts(tmp_path, {}), 3, 1.0, 0, torch.device("cpu"))
    rows = rollouts.random_rows(loaded.spec.control, 3, 6, 0)
    seen = []
    real = outcome.play
    monkeypatch.setattr(outcome, "play", lambda *a: seen.append(real(*a)) or seen[-1])
    outcome.collect_elsewhere(course, rows)
    assert np.array_equal(np.stack([played[0] for played in seen]), rows[[2, 0, 1]])
