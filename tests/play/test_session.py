import dataclasses

import numpy as np
import pytest

from aapt_env.play.inputs import Sample
from aapt_env.twin import Twin, frames_of

from .conftest import Counting


def sample(*row):
    return Sample(row=np.array(row, np.float32))


def test_the_twin_starts_where_the_dream_does_and_gets_the_same_controls(make_session, spec):
    game = Counting(spec)
    session = make_session(make_twin=lambda: game)
    session.reset()
    session.step(sample(1, 0, 0, 0))
    session.step(sample(0, 0, 1, 0))
    assert "Twin on" in session.toggle_twin()
    latent = session.step(sample(0, 1, 0, 0))
    assert game.resets == [(7, {"scene": {"time": "day"}})]
    controls = [list(a) for a in game.actions]
    assert controls[:2] == [[0] * 4] * 2  # the start's, one per frame
    held = [[1, 0, 0, 0]] * 4 + [[0, 0, 1, 0]] * 4 + [[0, 1, 0, 0]] * 4
    assert controls[2:] == held
    assert latent.twin.shape == latent.frames.shape


def test_the_twin_follows_a_reset(make_session, spec):
    game = Counting(spec)
    session = make_session(make_twin=lambda: game)
    session.reset()
    session.toggle_twin()
    assert session.reset().twin.shape == (1, 16, 16, 3)
    assert len(game.resets) == 2
    assert session.toggle_twin() == "Twin off"
    assert session.step(sample(0, 0, 0, 0)).twin is None


def test_a_twin_that_ended_stands_on_its_last_frame(spec):
    twin = Twin(Counting(spec, length=1), spec)
    twin.stand({"seed": 0, "controls": np.zeros((0, 4))}, [])
    twin.step(np.zeros(4))
    last = twin.frames[-1]
    twin.step(np.zeros(4))
    assert twin.over and (twin.frames == last).all() and len(twin.frames) == spec.k


@pytest.mark.parametrize(
    "case, expected",
    [
        ({"dream": False}, "the game itself"),
        ({}, "No game is installed"),
        ({"make_twin": lambda: None, "start": False}, "does not say where"),
    ],
)
def test_where_there_can_be_no_twin_the_player_is_told_why(make_session, case, expected):
    session = make_session(**case)
    session.reset()
    assert expected in session.toggle_twin()
    assert session.twin is None


def test_scores_add_up_and_rewards_lie_at_the_last_frame_of_a_latent(make_session):
    session = make_session()
    session.reset()
    session.step(sample(0, 0, 0, 0))
    latent = session.step(sample(0, 0, 0, 0))
    assert latent.score == 2.0
    assert latent.rewards.tolist() == [0, 0, 0, 1]


def test_a_plain_env_without_frames_shows_its_observation(spec):
    env = Counting(spec)
    picture = np.zeros((8, 8, 3), np.uint8)
    assert frames_of(env, picture, {}).shape == (1, 8, 8, 3)
    env.render = lambda: None
    with pytest.raises(ValueError, match="gives no RGB picture"):
        frames_of(env, np.zeros(4), {})


def test_a_twin_far_behind_makes_both_begin_again(make_session, spec, monkeypatch):
    monkeypatch.setattr("aapt_env.play.session.CATCH_UP", 2)
    game = Counting(spec)
    session = make_session(make_twin=lambda: game)
    session.reset()
    for _ in range(3):
        session.step(sample(0, 0, 1, 0))
    assert "begin again" in session.toggle_twin() and game.resets == []
    session.reset()
    assert len(game.resets) == 1 and not session.far


def test_a_new_seed_leaves_the_start_that_was_asked_for_and_a_reset_keeps_it(make_session):
    session = make_session()
    session = type(session)(dataclasses.replace(session.setup, start=5), 3)
    session.reset()
    session.reset()
    session.reset(4)
    asked = [options.get("start") for _, options in session.setup.env.resets]
    assert asked == [5, 5, None]
