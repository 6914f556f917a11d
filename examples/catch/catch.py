"""A game of one's own: catch what falls. Copy this folder, rename, `pip install -e .`; see docs/your-own-game.md."""

from dataclasses import replace

import gymnasium as gym
import numpy as np


class Catch(gym.Env):
    """Catch the falling ball with the paddle: a point for each, the round ends after ten."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 24}
    control_names = ("left", "right")
    keymap = [(("left",), 0, 1.0), (("right",), 1, 1.0)]  # keys, element, value
    driver_entry = "catch:Catcher"  # who plays while it is recorded
    action_space = gym.spaces.MultiBinary(2)

    def __init__(self, height=64, width=64, render_mode="rgb_array"):
        self.height, self.width, self.render_mode = height, width, render_mode
        self.observation_space = gym.spaces.Box(0, 255, (height, width, 3), np.uint8)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.balls, self.paddle, self.x, self.y = 0, 0.5, self.np_random.uniform(0.1, 0.9), 0.0
        return self.render(), {}

    def step(self, action):
        self.paddle = np.clip(self.paddle + 0.03 * (int(action[1]) - int(action[0])), 0.1, 0.9)
        self.y, reward = self.y + 0.02, 0.0
        if self.y >= 0.95:
            reward, self.balls = float(abs(self.x - self.paddle) < 0.12), self.balls + 1
            self.x, self.y = self.np_random.uniform(0.1, 0.9), 0.0
        return self.render(), reward, self.balls >= 10, False, {}

    def render(self):
        y, x = np.mgrid[: self.height, : self.width] / np.array([[[self.height]], [[self.width]]])
        frame = np.stack([30 + 60 * y, 40 + 40 * y, 150 - 60 * y], axis=-1)
        frame[np.hypot(x - self.x, y - self.y) < 0.06] = (250, 200, 60)
        frame[(np.abs(x - self.paddle) < 0.1) & (y > 0.93)] = (240, 240, 250)
        return frame.astype(np.uint8)


class Catcher:  # goes where the ball will be, and wanders, so that the world learns both keys everywhere
    def __init__(self, seed):
        self.rng, self.game = np.random.default_rng(seed), None

    def reset(self, game):
        self.game = game

    def __call__(self, observation, info):
        ahead = self.game.x - self.game.paddle if self.rng.random() < 0.7 else self.rng.normal()
        return np.array([ahead < -0.04, ahead > 0.04], np.int8)


def recipe():
    from aapt_env.train.recipes import cpu

    return replace(cpu(), name="catch", frames=60_000, dim=192, depth=3, heads=3, budget=3600)
