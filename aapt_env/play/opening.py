"""From a game's name to a session: the world or the game, its twin, and who else can drive."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import gymnasium as gym
import numpy as np

from aapt_env import games, keymap, paths
from aapt_env.entries import load_entry
from aapt_env.fast import AUTO, Fast
from aapt_env.play.hands import Hands, HandScript
from aapt_env.play.script import KeyScript
from aapt_env.play.session import Driver, Setup
from aapt_env.spec import ControlSpec, WorldSpec

if TYPE_CHECKING:  # a window opens before torch
    from aapt_env.model.policy import Player


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the player asked for, before anything is loaded."""

    game: str = "driving"  # driving, dream:driving or gym:ID
    real: bool = False  # the game itself rather than its dream
    checkpoint: str | None = None
    device: str = "auto"
    fast: Fast = AUTO
    scene: dict[str, str] | None = None
    start: str | None = None  # number of a start, or an image file
    size: int = 256  # pixels of the game itself
    keys: str | None = None  # a keymap file, or "ask"
    seed: int = 0
    pose: str | None = None  # a file of poses to replay, or "webcam"

    @property
    def itself(self) -> bool:
        """Whether a game is opened rather than a world."""
        return self.real

    @property
    def name(self) -> str:
        """The game's name without `dream:`."""
        return self.game.removeprefix("dream:")


def check(wanted: Wanted) -> None:
    """Find what can be found wrong without loading anything.

    Raises:
        ValueError: no such game or checkpoint, or a device that is not there; says what to do.
    """
    if wanted.device.startswith("cuda"):
        from aapt_env.device import pick  # here, because only a world needs torch

        pick(wanted.device)
    if wanted.itself:
        for flag in ("start", "checkpoint"):
            if getattr(wanted, flag) is not None:
                raise ValueError(f"--{flag} is for a dream; leave it out to play the game itself")
        if wanted.fast != AUTO:
            raise ValueError(
                "--fast, --kernels and --weights are for a dream; leave them out to play the game itself"
            )
        known = games.known_games()
        if not wanted.game.startswith("gym:") and wanted.name not in known:
            names = ", ".join(sorted(known)) or "none: the package aapt_games is not installed"
            raise ValueError(f"unknown game {wanted.name!r}; known: {names}, and gym:ID")
        return
    try:
        paths.find_checkpoint(wanted.checkpoint or wanted.name)
    except ValueError as error:
        if wanted.checkpoint is None and games.replayable(wanted.name):
            raise ValueError(f"{error}; --real plays the game itself") from error
        raise


def open_setup(wanted: Wanted) -> Setup:
    """Load the world, or make the game.

    Raises:
        ValueError: it cannot be opened; says why.
    """
    return _open_game(wanted) if wanted.itself else _open_dream(wanted)


class GameDriver:
    """The scripted driver that a game names in `driver_entry`: it sees the game's state, so it drives only the game."""

    def __init__(self, env: gym.Env):
        self.env: Any = env.unwrapped
        self._driver: Any = None

    def begin(self, seed: int) -> None:
        """Take a seat after a reset."""
        self._driver = load_entry(self.env.driver_entry)(seed)
        self._driver.reset(self.env)

    def __call__(self, obs: np.ndarray, info: dict) -> Any:
        """The keys for the next latent."""
        return self._driver(obs, info)


class WorldPolicy:
    """The player that a checkpoint carries: it sees frames only, so it drives the dream."""

    def __init__(self, player: Player):
        self.player = player  # (observation, info) -> action

    def begin(self, seed: int) -> None:
        """A new episode."""
        self.player.begin(seed)

    def __call__(self, obs: np.ndarray, info: dict) -> Any:
        """The action for the next latent."""
        return self.player(obs, info)


def _hands(wanted: Wanted, game: str, k: int, fps: int) -> Hands | None:
    """The hands that a game of ours brings; told what to replay.

    Raises:
        ValueError: --pose for a game without them, or a file that cannot be replayed.
    """
    entry = games.known_games().get(game)
    named = entry and getattr(load_entry(entry.entry), "hands_entry", None)
    if not named:
        if wanted.pose is not None:
            raise ValueError(
                f"--pose is for worlds whose control is a pose, such as puppet; this is {game}"
            )
        return None
    hands = load_entry(named)()
    if wanted.pose is not None:
        hands.replay(wanted.pose, fps / k)
    return hands


def _script(control: ControlSpec, hands: Hands | None, seed: int) -> Driver:
    return KeyScript(control, seed) if hands is None else HandScript(hands, control, seed)


def _policy_of(world: Any) -> WorldPolicy | None:
    policy = world.policy()
    return None if policy is None else WorldPolicy(policy)


def _open_dream(wanted: Wanted) -> Setup:
    import aapt_env  # noqa: F401 - registers AAPT-World-v0

    env = gym.make(
        "AAPT-World-v0",
        game=wanted.name,
        checkpoint=wanted.checkpoint,
        device=wanted.device,
        fast=wanted.fast.way,
        kernels=wanted.fast.kernels,
        weights=wanted.fast.weights,
        max_episode_steps=-1,  # whoever plays decides when it is over
        disable_env_checker=True,
    )
    world: Any = env.unwrapped
    spec = _with_keys(world.spec_world, wanted.keys)
    scene = _scene(wanted, spec)

    def make_twin() -> gym.Env:
        return games.make_game(spec.game, spec.height, spec.width)

    hands = _hands(wanted, spec.game, spec.k, spec.frame_fps)
    return Setup(
        env=env,
        spec=spec,
        hands=hands,
        device=str(world.world.device),
        scene=scene,
        start=_start(wanted.start, spec),
        policy=_policy_of(world) if hands is None else None,
        script=_script(spec.control, hands, wanted.seed),
        make_twin=make_twin if games.replayable(spec.game) else None,
    )


def _open_game(wanted: Wanted) -> Setup:
    k = 4
    env = games.make_held(wanted.name, wanted.size, wanted.size, k)
    spec = _with_keys(games.world_spec(env, wanted.name, k), wanted.keys)
    hands = _hands(wanted, wanted.name, k, spec.frame_fps)
    own = hasattr(env.unwrapped, "driver_entry") and wanted.pose is None
    return Setup(
        env=env,
        spec=spec,
        hands=hands,
        dream=False,
        scene=_scene(wanted, spec),
        policy=GameDriver(env) if own else None,
        script=_script(spec.control, hands, wanted.seed),
    )


def _with_keys(spec: WorldSpec, keys: str | None) -> WorldSpec:
    """The spec with the player's own keys."""
    return dataclasses.replace(spec, control=keymap.chosen(keys, spec.control))


def _scene(wanted: Wanted, spec: WorldSpec) -> dict[str, str]:
    """The attributes that the player fixed, held against those that the world knows."""
    scene = wanted.scene or {}
    for name, value in scene.items():
        if name not in spec.scenes:
            known = ", ".join(spec.scenes) or "none"
            raise ValueError(f"--scene {name}={value}: {spec.game} has no {name!r}; known: {known}")
        if value not in spec.scenes[name]:
            known = ", ".join(spec.scenes[name])
            raise ValueError(f"--scene {name}={value}: expected one of {known}")
    return scene


def _start(text: str | None, spec: WorldSpec) -> int | np.ndarray | None:
    """A start's number, or an image: its middle, at the size of the world's frames, in RGB."""
    if text is None or text.isdecimal():
        return None if text is None else int(text)
    image = cv2.imread(text) if Path(text).is_file() else None
    if image is None:
        raise ValueError(f"--start {text}: expected the number of a start, or an image file")
    zoom = min(image.shape[0] / spec.height, image.shape[1] / spec.width)
    size = (max(1, round(spec.width * zoom)), max(1, round(spec.height * zoom)))
    middle = cv2.getRectSubPix(image, size, ((image.shape[1] - 1) / 2, (image.shape[0] - 1) / 2))
    small = cv2.resize(middle, (spec.width, spec.height), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(small[..., ::-1])
