"""The native vector env as Stable-Baselines3 wants it: `DreamVecEnv("driving", num_envs=64)`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode

from aapt_env.dreams import options_of
from aapt_env.vector import AAPTVectorEnv

try:
    from stable_baselines3.common.vec_env import VecEnv
except ImportError as error:
    raise ImportError("aapt_env.sb3 needs Stable-Baselines3: pip install 'aapt-env[rl]'") from error


class DreamVecEnv(VecEnv):
    """N dreams, one batched forward per step, as an SB3 `VecEnv`: numpy arrays, episodes begin anew at once.

    `infos[i]` holds `terminal_observation` and `TimeLimit.truncated` where an episode ended, and, with `keep_frames`,
    the `frames` [k, H, W, 3] that the step made, an episode's last ones too. `set_options` may give every row a
    `start` of its own; a `scene` is that of all.

    Args:
        game: whose world.
        num_envs: N.
        max_episode_steps: truncates there.
        keep_frames: whether infos hold all k frames of each step.
        **kwargs: of `AAPTVectorEnv`: checkpoint, device, reward_fn, render_mode.

    Example:
        >>> from stable_baselines3 import PPO  # doctest: +SKIP
        >>> PPO("CnnPolicy", DreamVecEnv("driving", num_envs=64)).learn(100_000)  # doctest: +SKIP
    """

    def __init__(
        self,
        game: str = "driving",
        num_envs: int = 16,
        max_episode_steps: int = 360,
        keep_frames: bool = False,
        **kwargs: Any,
    ):
        self.envs = AAPTVectorEnv(
            num_envs, game, max_episode_steps=max_episode_steps, autoreset_mode=AutoresetMode.SAME_STEP, **kwargs
        )  # fmt: skip
        self.render_mode, self.keep_frames = self.envs.render_mode, keep_frames
        self._actions = np.zeros(0)
        super().__init__(
            num_envs, self.envs.single_observation_space, self.envs.single_action_space
        )

    def reset(self) -> np.ndarray:
        """Begin all episodes; uint8 [N, H, W, 3]."""
        given = any(seed is not None for seed in self._seeds)
        seeds = self._seeds if given else None
        observations, _ = self.envs.reset(seed=seeds, options=self._joined(self._options))
        self._reset_seeds()
        self._reset_options()
        return observations.cpu().numpy()

    def _joined(self, options: list[dict[str, Any]]) -> dict[str, Any]:
        """Options of all rows as those of the vector env. Raises ValueError: an unknown one, or scenes that differ."""
        each = [options_of(own) for own in options]
        scenes = [own.get("scene") for own in each]
        if any(scene != scenes[0] for scene in scenes):
            raise ValueError(f"options with scenes {scenes}; expected one scene for all rows")
        return {"start": [own.get("start") for own in each], "scene": scenes[0]}

    def step_async(self, actions: np.ndarray) -> None:
        """Keep the actions for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict]]:
        """One batched forward."""
        observations, rewards, terminated, truncated, infos = self.envs.step(self._actions)
        ended, late = terminated.cpu().numpy(), truncated.cpu().numpy()
        dones = ended | late
        each: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if self.keep_frames:
            made = infos["final_info"]["frames"] if dones.any() else infos["frames"]
            for info, frames in zip(each, made.cpu().numpy(), strict=True):
                info["frames"] = frames
        for i in np.flatnonzero(dones):
            each[i]["terminal_observation"] = infos["final_obs"][i].cpu().numpy()
            each[i]["TimeLimit.truncated"] = bool(late[i] and not ended[i])
        return observations.cpu().numpy(), rewards.cpu().numpy(), dones, each

    def close(self) -> None:
        """Release the world."""
        self.envs.close()

    def get_images(self) -> Sequence[np.ndarray | None]:
        """The last frames."""
        return self.envs.render() or [None] * self.num_envs

    def get_attr(self, attr_name: str, indices=None) -> list[Any]:
        """An attribute of the vector env, once per row; spaces are those of a row."""
        single = {
            "action_space": "single_action_space",
            "observation_space": "single_observation_space",
        }
        value = getattr(self.envs, single.get(attr_name, attr_name))
        return [value] * len(self._rows(indices))

    def set_attr(self, attr_name: str, value: Any, indices=None) -> None:
        """Set an attribute of the vector env. Raises ValueError for some rows only: they have none of their own."""
        self._all(indices, f"set {attr_name} of")
        setattr(self.envs, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices=None, **kwargs: Any) -> list[Any]:
        """Call a method of the vector env; the same answer for each row. Raises ValueError for some rows only."""
        self._all(indices, f"call {method_name} of")
        return [getattr(self.envs, method_name)(*args, **kwargs)] * self.num_envs

    def env_is_wrapped(self, wrapper_class, indices=None) -> list[bool]:
        """Rows are never wrapped."""
        return [False] * len(self._rows(indices))

    def _rows(self, indices) -> list[int]:
        if indices is None:
            return list(range(self.num_envs))
        return [int(i) for i in np.atleast_1d(indices)]

    def _all(self, indices, what: str) -> None:
        """Raises ValueError unless all rows are meant."""
        if sorted(self._rows(indices)) != list(range(self.num_envs)):
            raise ValueError(
                f"cannot {what} rows {self._rows(indices)} alone: all rows are one env; leave indices out"
            )
