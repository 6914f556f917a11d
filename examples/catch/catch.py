"""A game of one's own in one file: catch what falls. Copy this folder, rename, `pip install -e .`; then

aapt games;  aapt record catch --frames 60k;  aapt train catch --recipe catch:recipe;  aapt play catch
"""

from dataclasses import replace

import gymnasium as gym
import numpy as np


class Catch(gym.Env):
    """Catch the falling ball with the paddle: a point for each, the round ends after ten."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 24}
    control_names = ("left", "right")
    keymap = [(("left",), 0, 1.0), (("a",), 0, 1.0), (("right",), 1, 1.0), (("d",), 1, 1.0)]
    driver_entry = "catch:Catcher"  # who plays while it is recorded

    def __init__(self, height=64, width=64, render_mode="rgb_array"):
        self.height, self.width, self.render_mode = height, width, render_mode
        self.observation_space = gym.spaces.Box(0, 255, (height, width, 3), np.uint8)
        self.action_space = gym.spaces.MultiBinary(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.balls, self.paddle = 0, 0.5
        self.drop()
        return self.render(), {}

    def drop(self):
        self.ball = np.array([self.np_random.uniform(0.1, 0.9), 0.0])  # x, y in [0, 1]

    def step(self, action):
        self.paddle = np.clip(self.paddle + 0.03 * (int(action[1]) - int(action[0])), 0.1, 0.9)
        self.ball[1] += 0.02
        reward = 0.0
        if self.ball[1] >= 0.95:
            reward = float(abs(self.ball[0] - self.paddle) < 0.12)
            self.balls += 1
            self.drop()
        return self.render(), reward, self.balls >= 10, False, {}

    def render(self):
        y, x = np.mgrid[: self.height, : self.width] / [[[self.height]], [[self.width]]]
        frame = np.stack([30 + 60 * y, 40 + 40 * y, 90 + 60 * (1 - y)], axis=-1)
        frame[np.hypot(x - self.ball[0], y - self.ball[1]) < 0.06] = (250, 200, 60)
        frame[(np.abs(x - self.paddle) < 0.1) & (y > 0.93)] = (240, 240, 250)
        return frame.astype(np.uint8)


def Catcher(seed):
    """A policy: goes where the ball will be, and wanders, so that the world learns both keys."""
    rng, game = np.random.default_rng(seed), []

    def act(observation, info):
        ahead = game[-1].ball[0] - game[-1].paddle if rng.random() < 0.8 else rng.normal()
        return np.array([ahead < -0.04, ahead > 0.04], np.int8)

    act.reset = game.append  # called with the game, just reset
    return act


def recipe():
    """The CPU recipe, halved: the game is simple."""
    from aapt_env.train.recipes import cpu

    return replace(cpu(), name="catch", frames=60_000, dim=192, depth=3, heads=3, budget=3600)
