"""A game that fails at the dream's rhythm: whose it is, in which step after which seed, and with what."""

import gymnasium as gym
import numpy as np
import pytest

from aapt_env.guard import Failed
from aapt_env.hold import HoldControl, fps_of, reward_of


class Frail(gym.Env):
    """Does in step `when`, counted from 1, what `how` does, and pays what that gives."""

    observation_space = gym.spaces.Box(0, 255, (8, 16, 3), np.uint8)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, how=lambda env: 1.0, when=6):
        self.how, self.when = how, when

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return np.zeros((8, 16, 3), np.uint8), {}

    def step(self, action):
        self.count += 1
        paid = self.how(self) if self.count == self.when else 0.0
        return np.zeros((8, 16, 3), np.uint8), paid, False, False, {}


def leave(env=None):
    raise SystemExit(0)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (lambda env: 1 / 0, "ZeroDivisionError: division by zero"),
        (leave, "SystemExit: 0"),
        (lambda env: None, "the reward is None; expected a number"),
        (lambda env: "much", "the reward is 'much'; expected a number"),
        (lambda env: [1.0, 2.0], r"the reward is \[1.0, 2.0\]; expected a number"),
        (lambda env: 1j, "the reward is 1j; expected a number"),
    ],
)
def test_the_step_that_fails_is_named(how, said):
    env = HoldControl(Frail(how), 4, "frail")
    env.reset(seed=17)
    env.step(0)
    with pytest.raises(Failed, match=f"^frail failed in step 6 after reset with seed 17: {said}"):
        env.step(0)
    env.reset(seed=18)
    assert env.step(0)[4]["frames_real"] == 4, "the next episode counts anew"


def test_a_reset_that_fails_is_named_and_steps_that_give_something_else():
    env = HoldControl(Frail(), 4)
    env.env.reset = lambda **_: 1 / 0
    with pytest.raises(Failed, match="^Frail failed at reset with seed 3: ZeroDivisionError"):
        env.reset(seed=3)
    with pytest.raises(Failed, match="^Frail failed at reset: ZeroDivisionError"):
        env.reset()
    env.env.step = lambda action: (None, 0.0, False)
    with pytest.raises(Failed, match="^Frail failed in step 1: not enough values to unpack"):
        env.step(0)


@pytest.mark.parametrize(
    "reward", [2, 2.0, True + 1, np.float32(2), np.array(2), np.array([2.0]), [2], np.int8(2)]
)
def test_rewards_are_numbers_however_they_are_wrapped(reward):
    assert reward_of(reward) == 2.0 and type(reward_of(reward)) is float
    env = HoldControl(Frail(lambda env: reward, when=2), 4)
    env.reset()
    assert env.step(0)[4]["rewards"].tolist() == [0, 2, 0, 0]


@pytest.mark.parametrize(
    ("said", "fps"), [(None, 24), (0, 24), (30, 30), (12.5, 12.5), (np.int64(8), 8)]
)
def test_frames_per_second(said, fps):
    game = Frail()
    game.metadata = {"render_fps": said}
    assert fps_of(game, "frail") == fps


@pytest.mark.parametrize("said", ["fast", [30], float("nan"), float("inf"), -5, {}])
def test_frames_per_second_that_are_none(said):
    game = Frail()
    game.metadata = {"render_fps": said}
    with pytest.raises(ValueError, match="^frail has .* for render_fps.*; expected frames per"):
        HoldControl(game, 4, "frail")


def test_a_game_that_cannot_be_closed_hides_no_other_failure(capsys):
    env = HoldControl(Frail(), 4, "frail")
    env.env.close = leave
    env.close()
    assert capsys.readouterr().err == "frail failed when it was closed: SystemExit: 0\n"
