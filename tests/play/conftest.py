"""A tiny world for the player: a counter in every frame, keys as control, no game and no network behind it."""

import time
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

from aapt_env.play.script import KeyScript
from aapt_env.play.session import Session, Setup
from aapt_env.spec import CarriedSpec, ControlSpec, KeyBinding, WorldSpec

COUNT = CarriedSpec(names=("count",), middle=(50.0,), spread=(50.0,), reach=(9.0,))
KEYS = (("left", 0), ("a", 0), ("right", 1), ("d", 1), ("up", 2), ("w", 2), ("down", 3), ("s", 3))


def counting_spec(space: str = "MultiBinary") -> WorldSpec:
    keymap = tuple(KeyBinding(keys=(key,), index=index) for key, index in KEYS)
    names = ("left", "right", "throttle", "brake")
    if space == "Box":
        pushes = (("left", 0, -1.0), ("right", 0, 1.0), ("up", 1, 1.0), ("down", 1, -1.0))
        keymap = tuple(KeyBinding(keys=(k,), index=i, value=v) for k, i, v in pushes)
        names = ("steer", "pedals")
    size = 2 if space == "Box" else 4
    control = ControlSpec(space=space, size=size, names=names, keymap=keymap)
    scenes = {"time": ("day", "night")}
    return WorldSpec(game="counting", height=16, width=16, control=control, scenes=scenes)


class Counting(gym.Env):
    """Frame n since the reset is filled with the value n; pixel [0, 0] holds the throttle."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 6}

    def __init__(
        self, spec: WorldSpec, *, seconds=0.0, length=10**9, fail_at=None, start=True, told=None
    ):
        self.spec_world, self.seconds, self.length = spec, seconds, length
        self.fail_at, self.start, self.told = fail_at, start, told
        self.action_space = spec.control.action_space()
        self.observation_space = gym.spaces.Box(0, 255, (spec.height, spec.width, 3), np.uint8)
        self.actions, self.resets = [], []
        self.count = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        self.resets.append((seed, options))
        scene = {"time": "day", **(options or {}).get("scene", {})}
        info = {"frames": self._frames(1), "scene": scene, "seed": seed}
        info |= self._told(info["frames"])
        if self.start:
            controls = np.zeros((2, self.spec_world.control.width), np.float32)
            info["start"] = {"seed": 7, "scene": scene, "controls": controls}
        return info["frames"][-1], info

    def step(self, action):
        self.actions.append(np.array(action))
        if self.fail_at is not None and len(self.actions) >= self.fail_at:
            raise RuntimeError("the engine caught fire")
        time.sleep(self.seconds)
        frames = self._frames(self.spec_world.k)
        over = len(self.actions) % self.length == 0
        info = {"frames": frames, "scene": {"time": "day"}, "seed": 0} | self._told(frames)
        return frames[-1], 1.0, over, False, info

    def _told(self, frames):
        """The count itself, as a dream tells it (of its latent) or a game (of each frame)."""
        counts = frames[:, 8, 8, :1].astype(np.float32)
        each = {"carried_frames": counts} if self.told == "frames" else {"carried": counts[-1]}
        return each if self.told else {}

    def _frames(self, n):
        made = [np.full((16, 16, 3), (self.count + i) % 256, np.uint8) for i in range(n)]
        self.count += n
        return np.stack(made)


@pytest.fixture
def spec():
    return counting_spec()


@pytest.fixture
def make_session(spec):
    def make(seed=3, policy=None, make_twin=None, dream=True, space=None, **env):
        its = counting_spec(space) if space else spec
        if env.get("told"):
            its = replace(its, carried=COUNT)
        setup = Setup(
            env=Counting(its, **env),
            spec=its,
            dream=dream,
            policy=policy,
            script=KeyScript(its.control),
            make_twin=make_twin,
        )
        return Session(setup, seed)

    return make
