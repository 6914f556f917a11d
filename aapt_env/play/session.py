"""One player's run through an environment: resets, steps, the policy and the twin. No window, no threads."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import gymnasium as gym
import numpy as np

from aapt_env.play.hands import Hands
from aapt_env.play.inputs import Sample
from aapt_env.spec import WorldSpec
from aapt_env.twin import Twin, frames_of, told_by

CATCH_UP = 180  # latents that a twin follows at once when it is switched on: half a minute of play


class Driver(Protocol):
    """Whoever can be handed the wheel."""

    def begin(self, seed: int) -> None:
        """An episode begins; the environment was just reset."""

    def __call__(self, obs: np.ndarray, info: dict) -> Any:
        """The action for the next latent."""


@dataclass(frozen=True, kw_only=True)
class Latent:
    """What one reset or step made, ready to be shown and recorded."""

    frames: np.ndarray  # uint8 [F, H, W, 3]; F = 1 at a reset, k at a step
    row: np.ndarray  # float32 [width], the control that made the frames
    number: int  # latents since the reset, 0 at the reset itself
    seed: int
    scene: dict[str, str] = field(default_factory=dict)
    paid: bool = True  # whether the world tells rewards at all
    twin: np.ndarray | None = None  # uint8 [F, H', W', 3], the game's frames for the same control
    twin_over: bool = False
    held: frozenset[str] = frozenset()
    rewards: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))  # one per frame
    carried: np.ndarray | None = None  # float32 [F, names], of a world that has such numbers
    real: int = 1  # of the frames, how many were made: fewer when the game ended in mid-latent
    score: float = 0.0  # sum of rewards since the reset
    terminated: bool = False
    truncated: bool = False
    by: str = "you"  # or "policy", "script"
    since: float | None = None  # when the key that this latent answers was pressed
    seconds: float = 0.0  # the model's time for it, twin not counted
    busy: float = 0.0  # all of the time it took, twin included

    @property
    def over(self) -> bool:
        """The episode ends with this latent."""
        return self.terminated or self.truncated


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What a session is made of; `aapt_env.play.opening` fills it for a game's name."""

    env: gym.Env
    spec: WorldSpec
    dream: bool = True  # a world rather than a game
    device: str = ""  # for the HUD: "cuda", "cpu"
    scene: dict[str, str] = field(default_factory=dict)  # attributes the player fixed
    start: int | np.ndarray | None = None  # of a world: which start, or one RGB frame
    policy: Driver | None = None
    script: Driver | None = None  # drives where there is no policy
    make_twin: Callable[[], gym.Env] | None = None  # the game at frame rhythm
    hands: Hands | None = None  # the game's own way from keys to controls


class Session:
    """Steps the environment. Every call comes from one thread."""

    def __init__(self, setup: Setup, seed: int):
        self.setup = setup
        self.spec = setup.spec
        self.seed = seed
        self.driver: str = "you"
        self.last: Latent | None = None
        self.steps = 0  # since the session began
        self.twin: Twin | None = None
        self._wanted_start = setup.start
        self._obs: Any = None
        self._info: dict = {}
        self._start: dict | None = None  # where the reset stands in the game
        self._rows: list[np.ndarray] = []  # controls since the reset

    def reset(self, seed: int | None = None) -> Latent:
        """Begin an episode; without a seed, the same one again, from the same start."""
        if seed is not None and self.last is not None:
            self._wanted_start = None  # a new seed goes to a new place
        self.seed = self.seed if seed is None else seed
        began = time.perf_counter()
        self._obs, self._info = self.setup.env.reset(seed=self.seed, options=self._options())
        seconds = time.perf_counter() - began
        self._start, self._rows = self._info.get("start"), []
        for driver in (self.setup.policy, self.setup.script):
            if driver is not None:
                driver.begin(self.seed)
        if self.setup.hands is not None:
            self.setup.hands.begin(self._standing())
        if self.twin is not None and self._start is not None:
            self.twin.stand(self._start, [])
        return self._keep(
            frames=self._frames()[-1:],
            row=self.spec.control.to_row(self.spec.control.neutral()),
            number=0,
            seconds=seconds,
            busy=time.perf_counter() - began,
        )

    def step(self, sample: Sample) -> Latent:
        """One latent, made by the player's sample or by the driver that was handed the wheel."""
        assert self.last is not None and not self.last.over, "reset before stepping"
        began = time.perf_counter()
        action, by = self._choose(sample)
        self._obs, reward, terminated, truncated, self._info = self.setup.env.step(action)
        seconds = time.perf_counter() - began
        row = self.spec.control.to_row(action)
        self._rows.append(row)
        self.steps += 1
        if self.twin is not None:
            self.twin.step(row)
        return self._keep(
            frames=self._frames(),
            row=row,
            number=self.last.number + 1,
            held=sample.held if by == "you" else frozenset(),
            rewards=self._rewards(float(reward)),
            real=int(self._info.get("frames_real", self.spec.k)),
            score=self.last.score + float(reward),
            terminated=bool(terminated),
            truncated=bool(truncated),
            by=by,
            since=sample.since if by == "you" else None,
            seconds=seconds,
            busy=time.perf_counter() - began,
        )

    def hand_over(self) -> str:
        """Give the wheel to the policy, or take it back; returns what to tell the player."""
        if self.driver != "you":
            self.driver = "you"
            return "You drive"
        if self.setup.policy is not None:
            self.driver = "policy"
            return "The policy drives. M takes the controls back"
        if self.setup.script is not None:
            self.driver = "script"
            return (
                "There is no policy here: a script of key presses drives. M takes the controls back"
            )
        return "There is no policy here to hand over to"

    def toggle_twin(self) -> str:
        """Run the game beside the dream, or stop; returns what to tell the player."""
        if self.twin is not None:
            self.twin.close()
            self.twin = None
            return "Twin off"
        if not self.setup.dream:
            return "This is the game itself: a twin would show the same picture"
        if self.setup.make_twin is None:
            return "No game is installed for this world, so it has no twin"
        if self._start is None:
            return "This world does not say where its starts stand in the game, so it has no twin"
        self.twin = Twin(self.setup.make_twin(), self.spec)
        if self.far:
            return "Twin on: both begin again, because the game would need long to catch up"
        self.twin.stand(self._start, self._rows)
        return "Twin on: the game, from the same start, with the same controls"

    @property
    def warm(self) -> bool:
        """Whether the last step was not the first of all, which may have compiled and allocated."""
        return self.steps > 1

    @property
    def far(self) -> bool:
        """Whether the reset is so long ago that a twin cannot catch up in a second or two."""
        return len(self._rows) > CATCH_UP

    def close(self) -> None:
        """Release the environment and the twin."""
        if self.twin is not None:
            self.twin.close()
        self.setup.env.close()

    def _standing(self) -> Any:
        """The control that stands after a reset: the start's last, or what the game tells; None when nobody knows."""
        controls = (self._start or {}).get("controls")
        return controls[-1] if controls is not None and len(controls) else self._info.get("control")

    def _options(self) -> dict:
        options: dict[str, Any] = {}
        if self.setup.scene:
            options["scene"] = dict(self.setup.scene)
        if self._wanted_start is not None:
            options["start"] = self._wanted_start
        return options

    def _frames(self) -> np.ndarray:
        return frames_of(self.setup.env, self._obs, self._info)

    def _rewards(self, total: float) -> np.ndarray:
        """One per frame; a world pays for the whole latent, at its last frame."""
        if "rewards" in self._info:
            return np.asarray(self._info["rewards"], np.float32)
        rewards = np.zeros(len(self._frames()), np.float32)
        rewards[-1] = total
        return rewards

    def _choose(self, sample: Sample) -> tuple[Any, str]:
        policy = {"policy": self.setup.policy, "script": self.setup.script}.get(self.driver)
        if policy is None:
            return self.spec.control.from_row(sample.row), "you"
        return policy(self._obs, self._info), self.driver

    def _keep(self, *, frames: np.ndarray, **parts) -> Latent:
        twin = None
        if self.twin is not None:
            short = max(len(frames) - len(self.twin.frames), 0)
            tail = np.repeat(self.twin.frames[-1:], short, axis=0)
            twin = np.concatenate([self.twin.frames, tail])[-len(frames) :]
        self.last = Latent(
            frames=frames,
            seed=self.seed,
            paid=self._info.get("reward_source") != "none",
            scene=dict(self._info.get("scene", {})),
            carried=told_by(self._info, self.spec.k)[-len(frames) :] if self.spec.carried else None,
            twin=twin,
            twin_over=self.twin is not None and self.twin.over,
            **parts,
        )
        return self.last
