"""What all games have in common: a size, the scene option, one frame a step; and, where we compute them, a state."""

from __future__ import annotations

import copy
from numbers import Integral
from typing import Any

import gymnasium
import numpy as np

from aapt_games.scenes import Scenes, asked_for, draw_scene


class Game(gymnasium.Env):
    """Frames of a size that the game can draw, one control per frame.

    A game states its action space, `control_names` and `scenes`, and says with `_begin`, `_advance`, `_draw` and
    `_info` how an episode begins, goes on, looks and is told.

    Args:
        height: rows of the frame, `smallest` to `largest`.
        width: columns of the frame, the same.
        render_mode: "rgb_array" or None.

    Raises:
        ValueError: a size that cannot be drawn.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 24}
    smallest, largest = 64, 256  # pixels
    scenes: Scenes = {}
    control_names: tuple[str, ...] = ()

    def __init__(self, height: int = 64, width: int = 64, render_mode: str | None = "rgb_array"):
        low, high = self.smallest, self.largest
        if not all(isinstance(n, Integral) and low <= n <= high for n in (height, width)):
            raise ValueError(
                f"height and width must be {low} to {high} pixels, got {height!r} x {width!r}"
            )
        self.height, self.width, self.render_mode = height, width, render_mode
        self.observation_space = gymnasium.spaces.Box(0, 255, (height, width, 3), np.uint8)
        self.image: np.ndarray | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Begin an episode somewhere new; see Gymnasium."""
        super().reset(seed=seed)
        wanted = asked_for(self.scenes, options or {})
        self.frame = 0
        self._begin(wanted)
        return self._observe(), self._info()

    def step(self, action):
        """Advance one frame; see Gymnasium."""
        self._need_reset("step")
        reward, ended = self._advance(self._control(action))
        self.frame += 1
        off = not ended and self._called_off()
        return self._observe(), float(reward), bool(ended), off, self._info()

    def render(self) -> np.ndarray | None:
        """The current frame, [H, W, 3] uint8."""
        return None if self.render_mode is None or self.image is None else self.image.copy()

    def _need_reset(self, verb: str) -> None:
        """Raise ResetNeeded before the first reset."""
        if self.image is None:
            raise gymnasium.error.ResetNeeded(f"call reset() before {verb}()")

    def _control(self, action) -> Any:
        """The action, if it is one. Raises ValueError otherwise."""
        if not self.action_space.contains(np.asarray(action)):
            raise self._outside(action)
        return action

    def _outside(self, action) -> ValueError:
        return ValueError(
            f"action {action!r} is outside {self.action_space}; controls are {self.control_names}"
        )

    def _observe(self) -> np.ndarray:
        self.image = self._draw()
        return self.image.copy()

    def _begin(self, wanted: dict[str, str]) -> None:
        """Begin an episode, in a scene of which some attributes are fixed."""
        raise NotImplementedError

    def _advance(self, control: Any) -> tuple[float, bool]:
        """Go on by one frame: the reward, and whether the episode has ended in the game itself."""
        raise NotImplementedError

    def _called_off(self) -> bool:
        """Whether a limit of the clock's kind cuts the episode short here: what would have followed still counts."""
        return False

    def _draw(self) -> np.ndarray:
        """The frame, [H, W, 3] uint8."""
        raise NotImplementedError

    def _info(self) -> dict[str, Any]:
        """Exact state."""
        raise NotImplementedError


class Simulator(Game):
    """A game that is computed here: its place is a function of a seed and a scene, and its state can be cloned.

    It names in `kept` the attributes that change during an episode, and overrides `_enter` and `_start` instead of
    `_begin`.

    Attributes:
        drawn: False for whoever plays by the state alone and wants to be fast: every step then shows again what the
            reset showed.
    """

    drawn = True

    kept: tuple[str, ...] = ()
    place: tuple[int, dict[str, str]] | None = None  # seed and scene of the place it is in

    @property
    def scene(self) -> dict[str, str]:
        """Attribute -> value, of the place it is in."""
        assert self.place is not None, "reset() comes first"
        return self.place[1]

    def _begin(self, wanted: dict[str, str]) -> None:
        rng = self.np_random
        seed, scene = int(rng.integers(2**62)), draw_scene(self.scenes, rng) | wanted
        self._go(self._where(seed, scene), scene)
        self._start(rng)

    def _go(self, seed: int, scene: dict[str, str]) -> None:
        self._enter(seed, scene)
        self.place = seed, dict(scene)

    def _where(self, seed: int, scene: dict[str, str]) -> int:
        """The place's seed: the one that was drawn, unless there are only so many places."""
        return seed

    def _enter(self, seed: int, scene: dict[str, str]) -> None:
        """Make all that stands still in a place."""
        raise NotImplementedError

    def _start(self, rng: np.random.Generator) -> None:
        """Draw all that moves."""
        raise NotImplementedError

    def _observe(self) -> np.ndarray:
        if self.drawn or self.frame == 0 or self.image is None:
            return super()._observe()
        return self.image.copy()

    def clone_state(self, include_rng: bool = True) -> dict[str, Any]:
        """Everything that decides the future, small and picklable.

        Args:
            include_rng: whether places of later episodes are part of it.
        """
        self._need_reset("clone_state")
        state = {name: getattr(self, name) for name in ("place", "frame", *self.kept)}
        if include_rng:
            state["rng"] = self.np_random.bit_generator.state
        return copy.deepcopy(state)

    def restore_state(self, state: dict[str, Any]) -> None:
        """Continue from a state of `clone_state`, of this or another instance."""
        state = copy.deepcopy(state)
        if self.place != state["place"]:
            self._go(*state["place"])
        for name in ("frame", *self.kept):
            setattr(self, name, state[name])
        if "rng" in state:
            self.np_random.bit_generator.state = state["rng"]
        self._observe()
