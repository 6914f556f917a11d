"""Who plays while a game is recorded.

A policy is made for each episode by a factory, `factory(seed) -> policy`. It is called once per latent,
`policy(observation, info) -> action`; where it has a `reset(game)`, that is called first, with the unwrapped game just
reset.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable

import gymnasium as gym
import numpy as np

from aapt_env.data.elsewhere import Elsewhere
from aapt_env.entries import load_entry, load_own
from aapt_env.hold import HoldControl
from aapt_env.spec import ControlSpec

LONGEST_HOLD = 10  # latents
ECHO = (3, 14)  # latents that an echo lasts, at least and below
GAP = 8  # latents between echoes, on average
FACTORY = "expected a function that takes a seed and returns a policy"


class RandomControl:
    """Sticky random: each control, drawn uniformly, is held for 1 to 10 latents.

    Args:
        control: what is drawn from.
        seed: same seed, same controls.
    """

    def __init__(self, control: ControlSpec, seed: int):
        self._control = control
        self._rng = np.random.default_rng(seed)
        self._left = 0

    def __call__(self, observation: np.ndarray, info: dict):
        """The control for the next latent."""
        if self._left == 0:
            self._row = self._draw()
            self._left = int(self._rng.integers(1, LONGEST_HOLD + 1))
        self._left -= 1
        return self._control.from_row(self._row)

    def _draw(self) -> np.ndarray:
        """Float32 [width], uniform over the control space."""
        control = self._control
        if control.space == "Discrete":
            return self._rng.integers(control.size, size=1).astype(np.float32)
        if control.space == "MultiBinary":
            return self._rng.integers(2, size=control.size).astype(np.float32)
        return self._rng.uniform(-1, 1, control.size).astype(np.float32)


class Echo:
    """A policy whose hands now and then do once more what they did a while ago, whatever is ahead by now.

    Who plays answers what is seen, so that in recordings the road always bends where the wheel is turned, and a world
    learns to bend it there. Echoes have the controls and the rhythm of the policy, and answer nothing.

    Args:
        own: the factory of the policy.
        seed: same seed, same controls.
    """

    def __init__(self, own: Callable, seed: int):
        self._own = own(seed)
        self._rng = np.random.default_rng([seed, 1])
        self._past: list = []
        self._again: list = []

    def reset(self, game: gym.Env) -> None:
        """Take a seat."""
        if hasattr(self._own, "reset"):
            self._own.reset(game)

    def __call__(self, observation: np.ndarray, info: dict):
        """The control for the next latent."""
        action = self._own(observation, info)
        if self._again:
            return self._again.pop(0)
        self._past.append(action)
        length = int(self._rng.integers(*ECHO))
        if len(self._past) > 2 * length and self._rng.random() < 1 / GAP:
            begin = int(self._rng.integers(len(self._past) - length))
            self._again = self._past[begin : begin + length]
        return action


def resolve(policy: str | None, env: gym.Env) -> str:
    """A policy's name as it is recorded: None becomes the game's own, or random where it has none.

    Raises:
        ValueError: an unknown policy, or one that takes no seed; says which there are.
    """
    if policy is None:
        policy = "scripted" if _own(env) else "random"
    for name in policy.split("+"):
        _check(name, load(name, env))
    return policy


def _check(name: str, factory: Callable) -> None:
    """Raises ValueError where a factory cannot be called with a seed."""
    try:
        signature = inspect.signature(factory)
    except ValueError:
        return  # some that are written in C do not tell
    except TypeError as error:
        raise ValueError(f"policy {name!r}: {error}; {FACTORY}") from error
    try:
        signature.bind(0)
    except TypeError as error:
        raise ValueError(
            f"policy {name!r} cannot be called with a seed: {error}; {FACTORY}"
        ) from error


def load(policy: str, env: gym.Env) -> Callable:
    """The factory of a policy: `factory(seed) -> policy`.

    Args:
        policy: `scripted` (the game's own; of a dream, the player that its checkpoint carries), `echo` and
            `elsewhere` (the same in `Echo` and in `Elsewhere`), `random`, or `module:function`, a factory of yours;
            the current folder is searched first.
        env: the game.

    Raises:
        ValueError: there is no such policy, or not for this game; says which there are.
    """
    if policy == "random":
        return functools.partial(RandomControl, ControlSpec.of(env))
    if policy in ("scripted", "echo", "elsewhere"):
        own = _own(env)
        if own is None:
            raise ValueError(
                f"policy {policy!r}: {type(env.unwrapped).__name__} has no scripted policy of its own; "
                "use 'random', or 'module:function' for one of yours"
            )
        if policy == "elsewhere":
            return functools.partial(Elsewhere, own, _with_second(env))
        return own if policy == "scripted" else functools.partial(Echo, own)
    if ":" not in policy:
        raise ValueError(
            f"unknown policy {policy!r}; expected 'scripted', 'echo', 'elsewhere', 'random' or 'module:function', "
            "a function of yours that takes a seed and returns a policy; several joined by '+' take turns"
        )
    return load_own(policy)


def _with_second(env: gym.Env) -> HoldControl:
    """A game that can be made once more. Raises ValueError: a dream, or one that does not know its name."""
    if not isinstance(env, HoldControl) or env.name is None:
        raise ValueError(
            "policy 'elsewhere' plays a second game beside the first, and only a game that is made by its name can "
            "be made twice, no dream; use 'echo'"
        )
    return env


def _own(env: gym.Env) -> Callable | None:
    """The factory of a game's own policy, or of the player that a dream's checkpoint carries."""
    game = env.unwrapped
    entry = getattr(game, "driver_entry", None)
    if entry is not None:
        return load_entry(entry)
    carried = game.policy() if hasattr(game, "spec_world") and hasattr(game, "policy") else None
    if carried is None:
        return None

    def begun(seed: int) -> Callable:
        """The world's player in a new episode."""
        if hasattr(carried, "begin"):
            carried.begin(seed)
        return carried

    return begun
