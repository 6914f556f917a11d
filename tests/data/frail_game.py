"""Games that fail, each in its way."""

import os
import sys
from pathlib import Path

import gymnasium as gym
from colour_game import Colour

from aapt_env.data.player import episode_seeds


class Frail(Colour):
    """Fails in the fifth step of episode 2 of a recording with seed 0, whoever plays it."""

    def reset(self, *, seed=None, options=None):
        told = super().reset(seed=seed, options=options)
        self.fails, self.ends = seed == episode_seeds(0, 2)[0], 30
        return told

    def step(self, action):
        obs, reward, *rest = super().step(action)
        return obs, self.fail() if self.fails and self.count == 5 else reward, *rest


class Breaks(Frail):
    def fail(self):
        raise RuntimeError("engine\nexploded")


class Leaves(Frail):
    def fail(self):
        sys.exit(0)


class Unpaid(Frail):
    def fail(self):
        return None


class NoNumber(Frail):
    def fail(self):
        return float("nan")


class Endless(Frail):
    def fail(self):
        return float("inf")


class Unmade(Colour):
    def __init__(self, render_mode=None):
        raise RuntimeError("no licence")


class Unset(Colour):
    def reset(self, **how):
        raise KeyError("map")


class Once(Colour):
    """Can be made once: the second one finds the port taken."""

    def __init__(self, render_mode=None):
        super().__init__(render_mode)
        port = Path(os.environ["ENGINES"], "port")
        if port.exists():
            raise RuntimeError("the port is taken")
        port.touch()


class Wrapped(Colour):
    """Pays in arrays of one number."""

    def step(self, action):
        obs, reward, *rest = super().step(action)
        return obs, [reward], *rest


class Chatty(Colour):
    """Has no scenes, and says things of its own under names that dreams and games with scenes use."""

    scenes = {}

    def reset(self, **how):
        return super().reset(**how)[0], {"scene": 5, "start": "left"}


class Unlike(Colour):
    scenes = ["sky"]


class Hasty(Colour):
    metadata = {"render_modes": ["rgb_array"], "render_fps": "fast"}


class Unbound(Colour):
    keymap = {"left": 99}


class Spaceless(Colour):
    @property
    def action_space(self):
        raise RuntimeError("no controls yet")

    @action_space.setter
    def action_space(self, space): ...


for game in list(globals().values()):
    if isinstance(game, type) and issubclass(game, Colour) and game not in (Colour, Frail):
        gym.register(f"{game.__name__}-v0", game)
