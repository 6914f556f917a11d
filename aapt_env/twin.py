"""The twin: the game beside its dream, from the same start, with the same controls."""

from __future__ import annotations

import gymnasium as gym
import numpy as np

from aapt_env.hold import HoldControl
from aapt_env.spec import WorldSpec


class Twin:
    """Follows a dream's episode in the game that the dream was trained on.

    Args:
        game: the game at frame rhythm, one frame per step.
        spec: the dream's spec.
    """

    def __init__(self, game: gym.Env, spec: WorldSpec):
        self.game = HoldControl(game, spec.k, spec.game)
        self.control = spec.control
        self.frames = np.zeros((1, 1, 1, 3), np.uint8)  # [F, H, W, 3] of the last step
        self.info: dict = {}  # the game's own, of the last step
        self.reward, self.terminated = 0.0, False  # of the last step
        self.over = False

    def stand(self, start: dict, rows: list[np.ndarray]) -> None:
        """Go to a dream's start and follow the controls since then.

        Args:
            start: a dream's `info["start"]`: the game's seed, its scene, and the controls up to the start, one per
                frame, m rows of [width].
            rows: controls since the start, one per latent.
        """
        options = {"scene": dict(start["scene"])} if start.get("scene") else {}
        obs, self.info = self.game.reset(seed=int(start["seed"]), options=options)
        self.over = False
        for row in np.asarray(start["controls"]):
            action = self.control.from_row(row)
            obs, _, terminated, truncated, self.info = self.game.frame(action)
            self.over = self.over or terminated or truncated
        self.frames = np.array(obs)[None]
        for row in rows:
            self.step(row)

    def step(self, row: np.ndarray) -> None:
        """Advance by one latent; after its end the game stands on its last frame."""
        if self.over:
            self.frames = np.repeat(self.frames[-1:], len(self.frames), axis=0)
            self.reward, self.terminated = 0.0, False
            return
        _, self.reward, self.terminated, truncated, self.info = self.game.step(
            self.control.from_row(row)
        )
        self.frames = self.info["frames"]
        self.over = bool(self.terminated or truncated)

    def close(self) -> None:
        """Release the game."""
        self.game.close()


def frames_of(env: gym.Env, obs, info: dict) -> np.ndarray:
    """The RGB frames of a reset or a step, uint8 [F, H, W, 3]: all that the env made, or the one it shows.

    Raises:
        ValueError: the env gives no picture.
    """
    if "frames" in info:
        return np.asarray(info["frames"], np.uint8)
    picture = obs if _is_picture(obs) else env.render()
    if not _is_picture(picture):
        raise ValueError(
            f"{env.unwrapped} gives no RGB picture: expected observations or rgb_array renders that are uint8 "
            f"[H, W, 3]; make it with render_mode='rgb_array'"
        )
    return np.array(picture)[None]


def _is_picture(x) -> bool:
    return isinstance(x, np.ndarray) and x.ndim == 3 and x.shape[2] == 3 and x.dtype == np.uint8


def told_by(info: dict, k: int) -> np.ndarray:
    """float32 [k, names], the carried numbers of each frame of a step; a dream has those of the latent."""
    told = info.get("carried_frames")
    return np.repeat(info["carried"][None], k, axis=0) if told is None else told
