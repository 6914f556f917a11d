"""Any game at the dream's rhythm: one step holds the control for the frames of one latent."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import gymnasium as gym
import numpy as np

from aapt_env.guard import STRANGE, guarded, told
from aapt_env.spec import CarriedSpec, array_of

USUAL = 24  # frames per second of a game that says nothing


class HoldControl(gym.Wrapper):
    """The dream's rhythm for any game: one step holds the control for the k frames of one latent.

    The observation is the last frame. `info` is the game's own plus

    | key | what |
    |---|---|
    | `frames` | uint8 [k, H, W, 3], all frames of the latent; at reset the one that is there, k times |
    | `rewards` | float32 [k], reward of each frame; their sum is the step's reward |
    | `carried_frames` | float32 [k, names], `info["carried"]` at each of them, of a game that has such numbers |
    | `frames_real` | how many of `frames` the game made: k, or fewer when it ended in mid-latent; 1 at reset |

    Shapes are the same at reset and in steps: Gymnasium's vector envs stack what is in `info`.

    When the game ends in mid-latent, its last frame is repeated to fill the latent, with reward 0.

    Args:
        env: a game at frame rhythm, observations uint8 [H, W, 3].
        k: frames per latent.
        name: of the game, where another one shall be made of it.
    """

    def __init__(self, env: gym.Env, k: int = 4, name: str | None = None):
        super().__init__(env)
        self.k, self.name = k, name
        self._whose = name or type(env.unwrapped).__name__
        self._since, self._steps = "", 0  # the last reset, and frames since then
        self._second: HoldControl | None = None
        with guarded(self._whose, "when it was asked what it is", passing=(ValueError,)):
            self.carried = CarriedSpec.of(env)
            self.frame_fps = max(1, round(fps_of(env, self._whose)))
            self.metadata = {**env.metadata, "render_fps": max(1, round(self.frame_fps / k))}

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        """Reset the game; `info["frames"]` holds its first frame, k times.

        Raises:
            Failed: the game raised something, as `frame` and `step` say it too.
        """
        self._since, self._steps = "" if seed is None else f" with seed {seed}", 0
        with guarded(self._whose, f"at reset{self._since}"):
            obs, info = self.env.reset(seed=seed, options=options)
            frames = np.repeat(np.array(obs)[None], self.k, axis=0)
            extra = {"frames": frames, "rewards": np.zeros(self.k, np.float32)}
            extra |= self._filled([self._told(info)])
            return np.array(obs), {**info, **extra, "frames_real": 1}

    def frame(self, action) -> tuple[np.ndarray, float, bool, bool, dict]:
        """One step of the game itself: its frame, reward, whether it terminated or was truncated, and its info."""
        self._steps += 1
        with self._stepping():
            obs, reward, terminated, truncated, info = self.env.step(action)
            return np.array(obs), reward_of(reward), bool(terminated), bool(truncated), info

    def step(self, action):
        """Hold `action` for k frames, or until the game ends."""
        frames, rewards = [], np.zeros(self.k, np.float32)
        terminated = truncated = False
        info: dict = {}
        told: list[np.ndarray] = []
        while len(frames) < self.k and not (terminated or truncated):
            obs, rewards[len(frames)], terminated, truncated, info = self.frame(action)
            with self._stepping():
                told.append(self._told(info))
            frames.append(obs)
        real = len(frames)
        frames += [frames[-1]] * (self.k - real)
        with self._stepping():
            extra = {"frames": np.stack(frames), "rewards": rewards, "frames_real": real}
            info = {**info, **extra, **self._filled(told)}
        return frames[-1], float(rewards.sum()), terminated, truncated, info

    def _stepping(self) -> contextlib.AbstractContextManager:
        """Names the step, counted from 1, and the seed of whatever fails."""
        after = f" after reset{self._since}" if self._since else ""
        return guarded(self._whose, f"in step {self._steps}{after}")

    def _told(self, info: dict) -> np.ndarray:
        """float32 [names], the numbers of a frame; none of a game without.

        Raises:
            ValueError: the game says that it has some, and they are not there, or are none.
        """
        names = self.carried.names if self.carried is not None else ()
        try:
            told = np.asarray(info["carried"] if names else (), np.float32)
        except (KeyError, TypeError, ValueError):
            told = np.full(len(names), np.nan, np.float32)
        if told.shape != (len(names),) or not np.isfinite(told).all():
            raise ValueError(
                f"the game has info['carried'] {info.get('carried')!r:.80}; expected finite numbers for {names}, "
                "as its attribute `carried` says"
            )
        return told

    def _filled(self, told: list[np.ndarray]) -> dict[str, np.ndarray]:
        """The numbers of k frames, the last ones repeated where there are fewer; nothing of a game without."""
        if self.carried is None:
            return {}
        return {"carried_frames": np.stack(told + [told[-1]] * (self.k - len(told)))}

    def second(self) -> HoldControl:
        """The same game once more, for whoever plays in both: made when first asked for, closed with this one.

        Where a game says what its `smallest` size is, it has that; where it has a switch `drawn`, it draws nothing
        but its first frame, since whoever plays it sees its state.
        """
        if self._second is None:
            assert self.name is not None, "a game without a name cannot be made twice"
            height, width, _ = self.observation_space.shape or (64, 64, 3)
            smallest = getattr(self.unwrapped, "smallest", None)
            if isinstance(smallest, int):
                height = width = smallest
            from aapt_env.games import make_game  # here: that module imports this one

            game = make_game(self.name, height, width)
            if getattr(game.unwrapped, "drawn", None) is True:
                game.unwrapped.drawn = False
            self._second = HoldControl(game, self.k, self.name)
        return self._second

    def close(self) -> None:
        """Close the game, and the second one; a game that cannot be closed is told of and left alone."""
        if self._second is not None:
            self._second.close()
        try:
            super().close()
        except STRANGE as error:
            print(f"{self._whose} failed when it was closed: {told(error)}", file=sys.stderr)


def fps_of(env: gym.Env, whose: str) -> float:
    """Frames per second of a game, as its metadata has them; 24 where it says nothing.

    Raises:
        ValueError: it says something that is no number.
    """
    said = env.metadata.get("render_fps")
    value = array_of(0 if said is None else said)
    if value.shape or value.dtype.kind not in "fiu" or not 0 <= value < np.inf:
        raise ValueError(
            f"{whose} has {said!r:.80} for render_fps in its metadata; expected frames per second, such as {USUAL}"
        )
    return float(value) or USUAL


def reward_of(reward: Any) -> float:
    """A step's reward as a number; an array of one number is that number.

    Raises:
        ValueError: it is no number.
    """
    if type(reward) is float:
        return reward
    value = array_of(reward)
    if value.size != 1 or value.dtype.kind not in "fiub":
        raise ValueError(f"the reward is {reward!r:.80}; expected a number")
    return float(value.item())
