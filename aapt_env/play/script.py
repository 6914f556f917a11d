"""A driver that needs no eyes: key presses drawn from a seed, for worlds that carry no policy."""

from __future__ import annotations

from typing import Any

import numpy as np

from aapt_env.play.inputs import hands_of, other_keys
from aapt_env.spec import ControlSpec


class KeyScript:
    """Presses keys like a careful beginner: mostly forward, short taps to the side, then back.

    Each call is one latent. The same seed gives the same presses.
    """

    def __init__(self, control: ControlSpec, seed: int = 0):
        self.control = control
        hands = hands_of(control)  # the first goes, the last turns
        self._roles = {**hands[-1], "up": hands[0].get("up", ())}
        self._others = other_keys(control)
        self.begin(seed)

    def begin(self, seed: int) -> None:
        """Start over with another seed."""
        self._rng = np.random.default_rng(seed)
        self._plan: list[set[str]] = []
        self._side = "left"

    def __call__(self, obs: Any, info: dict) -> Any:
        """The next action; the observation is not looked at."""
        if not self.control.keymap:
            return self.control.neutral()
        if not self._plan:
            self._plan = self._phrase()
        return self.control.from_keys(self._plan.pop(0))

    def _phrase(self) -> list[set[str]]:
        """One to two seconds: go, sometimes coast, tap one side and then the other."""
        rng, ahead = self._rng, self._keys("up")
        straight = [ahead if rng.random() < 0.75 else set() for _ in range(rng.integers(3, 8))]
        turn: list[set[str]] = []
        if rng.random() < 0.7:
            tap = [self._keys(self._side) | ahead] * int(rng.integers(1, 3))
            self._side = "right" if self._side == "left" else "left"
            turn = [*tap, ahead, *[self._keys(self._side)] * len(tap)]
        if self._others and rng.random() < 0.3:
            turn.append({self._others[int(rng.integers(len(self._others)))]})
        return [*straight, *turn] if ahead else [*turn, *straight]

    def _keys(self, role: str) -> set[str]:
        return set(self._roles.get(role, ())[:1])
