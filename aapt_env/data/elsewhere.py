"""A policy whose hands are in another race for seconds at a time."""

from __future__ import annotations

from collections.abc import Callable

import gymnasium as gym
import numpy as np

from aapt_env.games import HoldControl, world_spec

HERE = (3.0, 9.0)  # seconds that the policy answers its own game, at least and below
AWAY = (3.0, 8.0)  # seconds that it answers the other one; after more, a car is far out in a field
OFF = 0.25  # share of these in which nothing is touched: drivers seldom let go for as long, players do


class Race:
    """A game played to its end, then the next, by the same kind of player: what a recording of it would be.

    Args:
        own: the factory of the player; each game has a fresh one.
        game: at the dream's rhythm; it is reset with seeds drawn here, so what it did before changes nothing.
        rng: draws all seeds.
    """

    def __init__(self, own: Callable, game: gym.Env, rng: np.random.Generator):
        self._own, self._game, self._rng = own, game, rng
        self._over = True

    def next(self):
        """Play one latent; returns the control it was played with."""
        if self._over:
            self._begin()
        action = self._player(self._observation, self._info)
        self._observation, _, terminated, truncated, self._info = self._game.step(action)
        self._over = terminated or truncated
        return action

    def _begin(self) -> None:
        game_seed, player_seed = map(int, self._rng.integers(2**31, size=2))
        self._player = self._own(player_seed)
        self._observation, self._info = self._game.reset(seed=game_seed)
        if hasattr(self._player, "reset"):
            self._player.reset(self._game.unwrapped)


class Elsewhere:
    """A policy that answers its game for some seconds, then another race of the same game, in turns.

    Who plays answers what is seen, so that in recordings the road always bends where the wheel is turned, and a world
    learns to bend it there. Controls of another race have the policy's habits to the last, and say nothing about the
    road at hand. That is so for as long as a world is judged on, where an `Echo` is over in two seconds.

    In some of the turns away nothing is touched at all, which is what a world has to know when a player lets go.

    The other race stands still while the policy is at home or its hands are off, and the policy is asked all along, so
    that it can take over at any time.

    Args:
        own: the factory of the policy.
        game: the one that is played. Its `second` is the other: one such policy at a time plays a game.
        seed: same seed, same controls.
    """

    def __init__(self, own: Callable, game: HoldControl, seed: int):
        self._own = own(seed)
        self._rng = np.random.default_rng([seed, 2])
        self._race = Race(own, game.second(), np.random.default_rng([seed, 3]))
        self._rate = game.frame_fps / game.k  # latents per second
        self._rest = world_spec(game, game.name or "", game.k).control.neutral()
        self._away, self._off, self._left = False, False, self._draw(HERE)

    @property
    def away(self) -> bool:
        """Whether the last control was one for the other race, or none."""
        return self._away

    @property
    def off(self) -> bool:
        """Whether nothing was touched."""
        return self._off

    def reset(self, game: gym.Env) -> None:
        """Take a seat."""
        if hasattr(self._own, "reset"):
            self._own.reset(game)

    def __call__(self, observation: np.ndarray, info: dict):
        """The control for the next latent."""
        action = self._own(observation, info)
        if self._left == 0:
            self._away = not self._away
            self._off = self._away and self._rng.random() < OFF
            self._left = self._draw(AWAY if self._away else HERE)
        self._left -= 1
        if self._off:
            return self._rest
        return self._race.next() if self._away else action

    def _draw(self, seconds: tuple[float, float]) -> int:
        """A time in latents, one at least."""
        return max(1, round(self._rate * self._rng.uniform(*seconds)))
