"""A game whose colour is its last control: what was recorded can be read off the frames."""

import os
import subprocess
import time
from pathlib import Path

import gymnasium as gym
import numpy as np

COLOURS = np.array([[0, 0, 0], [250, 20, 20], [20, 250, 20], [20, 20, 250]], np.uint8)
START = (128, 128, 128)


class Colour(gym.Env):
    """Pays the number of the control; ends by chance, about every 50 frames."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 8}
    control_names = ("black", "red", "green", "blue")
    scenes = {"sky": ("clear", "grey")}
    observation_space = gym.spaces.Box(0, 255, (16, 24, 3), np.uint8)
    action_space = gym.spaces.Discrete(4)

    def __init__(self, render_mode=None, pause=0.0):
        self.render_mode, self.pause = render_mode, pause

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.ends = int(self.np_random.integers(3, 100))
        self.count = 0
        sky = ("clear", "grey")[self.np_random.integers(2)]
        return np.full((16, 24, 3), START, np.uint8), {"scene": {"sky": sky}}

    def step(self, action):
        time.sleep(self.pause)
        self.count += 1
        obs = np.broadcast_to(COLOURS[action], (16, 24, 3)).copy()
        return obs, float(action), self.count >= self.ends, False, {}


class Engine(Colour):
    """Runs in a process of its own, as Doom does, which `close` ends; its pid is a file in $ENGINES."""

    def __init__(self, render_mode=None):
        super().__init__(render_mode, pause=0.002)
        self.engine = subprocess.Popen(
            ["sleep", "600"], start_new_session=True, stderr=subprocess.DEVNULL
        )
        Path(os.environ["ENGINES"], str(self.engine.pid)).touch()

    def close(self):
        self.engine.kill()
        self.engine.wait()


class Stepper:
    """A policy of the user's: counts up."""

    def __init__(self, seed):
        self.next = seed % 4

    def reset(self, game):
        assert isinstance(game, Colour)

    def __call__(self, obs, info):
        self.next = (self.next + 1) % 4
        return self.next


def always_red(seed):
    return lambda obs, info: 1


gym.register("Colour-v0", Colour)
gym.register("Engine-v0", Engine)
gym.register("SlowColour-v0", Colour, kwargs={"pause": 0.002})


class Driven(Colour):
    """The same with a player of its own."""

    driver_entry = "colour_game:Stepper"


gym.register("Driven-v0", Driven)
