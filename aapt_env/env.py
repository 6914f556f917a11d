"""The dream as an ordinary Gymnasium Env: `gym.make("AAPT-World-v0", game="driving")`."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded

from aapt_env import checkpoint as checkpoints
from aapt_env.device import pick
from aapt_env.model.policy import Player
from aapt_env.paths import find_checkpoint
from aapt_env.spec import array_of
from aapt_env.starts import Start
from aapt_env.world import World


class AAPTEnv(gym.Env):
    """A world that a neural network makes up, one latent of k frames per step, in one forward pass.

    Observation: the last RGB frame, uint8 [H, W, 3]; all k frames of the step are in `info["frames"]` [k, H, W, 3]
    ([1, H, W, 3] at reset). Action: the game's own control, held for the k frames. `metadata["render_fps"]` counts
    steps per second.

    Reward: a world without an outcome head never invents one: reward 0.0, terminated False and
    `info["reward_source"] = "none"`.

    Args:
        game: whose world, looked up in checkpoints/ and then in runs/.
        checkpoint: a checkpoint folder instead, or a repository on a Hub (`org/name`).
        device: auto, cpu, cuda or cuda:N.
        render_mode: "rgb_array" or None.

    Raises:
        ValueError: no checkpoint, or a damaged one; no GPU for cuda.

    Example:
        >>> env = gym.make("AAPT-World-v0", game="driving")  # doctest: +SKIP
        >>> observation, info = env.reset(seed=0)  # doctest: +SKIP
        >>> observation, reward, terminated, truncated, info = env.step([0, 0, 1, 0])  # doctest: +SKIP
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 6}

    def __init__(
        self,
        game: str = "driving",
        checkpoint: str | None = None,
        device: str = "auto",
        render_mode: str | None = None,
    ):
        if render_mode not in (None, "rgb_array"):
            raise ValueError(
                f"render_mode={render_mode!r}; expected None or 'rgb_array' (wrap in HumanRendering)"
            )
        loaded = checkpoints.read(find_checkpoint(checkpoint or game))
        self.world = World(loaded, 1, pick(device))
        self.spec_world, self.checkpoint_hash, self.folder = loaded.spec, loaded.hash, loaded.folder
        spec = loaded.spec
        self.metadata = {**self.metadata, "render_fps": spec.steps_per_second}
        self.frame_fps, self.render_mode = spec.frame_fps, render_mode
        self.control_names = spec.control.names
        self.action_space = spec.control.action_space()
        self.observation_space = gym.spaces.Box(0, 255, (spec.height, spec.width, 3), np.uint8)
        self.shown: np.ndarray | None = None  # the last frame
        self.scene: dict[str, str] = {}
        self.seed = 0

    @property
    def starts(self) -> int:
        """How many starts the checkpoint carries."""
        return len(self.world.starts)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode.

        Args:
            seed: same seed and controls, same frames.
            options: "start": a start's index or an RGB frame uint8 [H, W, 3]; "scene": {attribute: value} that the
                start must have (a picture takes it as its own; what is left out is the first value of its attribute).

        Returns:
            The last frame of the start, and info with "frames" [1, H, W, 3], "scene", "seed" (of the noise),
            "reward_source" and, for an indexed start, "start": its index, the game's seed, scene and controls so far,
            m rows of [width] in a list (vector envs stack arrays, and m differs from start to start), for a twin.

        Raises:
            ValueError: an unknown option, an index out of range, a picture of another size, a scene that no start has.
        """
        super().reset(seed=seed)
        options = options or {}
        if not isinstance(options, dict):
            raise ValueError(f"reset options {options!r}; expected {{'start': ..., 'scene': ...}}")
        unknown = sorted(set(options) - {"start", "scene"}, key=str)
        if unknown:
            raise ValueError(f"reset options {unknown} unknown; expected 'start' and 'scene'")
        scene = options.get("scene") or {}
        if not isinstance(scene, dict):
            raise ValueError(
                f"scene {scene!r}; expected {{attribute: value}} out of {self.spec_world.scenes}"
            )
        start, index = self.choose(options.get("start"), scene)
        self.seed = int(self.np_random.integers(2**62))
        frames = self.world.reset(0, start, self.seed)
        self.shown, self.scene = frames[-1], dict(start.scene)
        info = self.info(frames)
        if index is not None:
            info["start"] = {
                "index": index, "seed": start.seed, "scene": dict(start.scene), "controls": start.controls.tolist(),
            }  # fmt: skip
        return self.shown.copy(), info

    def choose(self, start: Any, scene: dict[str, str]) -> tuple[Start, int | None]:
        """The start that reset's options ask for, and its index."""
        spec, starts = self.spec_world, self.world.starts
        if start is not None and not isinstance(start, (int, np.integer)):
            picture = array_of(start)
            full = {name: values[0] for name, values in spec.scenes.items()} | scene
            spec.scene_row(full)
            shape = (spec.height, spec.width, 3)
            if picture.shape != shape or picture.dtype != np.uint8:
                raise ValueError(
                    f"start picture {picture.shape} {picture.dtype}; expected uint8 {shape}, "
                    f"or an index below {len(starts)}"
                )
            none = np.zeros((0, spec.control.width), np.float32)
            return Start(frames=picture[None], controls=none, seed=0, scene=full), None
        known = {name: values[0] for name, values in spec.scenes.items()}
        spec.scene_row(known | scene)
        if start is not None:
            if not 0 <= start < len(starts):
                raise ValueError(
                    f"start {start}; this checkpoint has starts 0 to {len(starts) - 1}"
                )
            wrong = {n: v for n, v in scene.items() if starts[start].scene[n] != v}
            if wrong:
                raise ValueError(
                    f"start {start} has scene {starts[start].scene}, which contradicts {wrong}; leave one out"
                )
            return starts[start], int(start)
        fits = [i for i, s in enumerate(starts) if scene.items() <= s.scene.items()]
        if not fits:
            raise ValueError(
                f"no start has scene {scene}; leave an attribute out, or give a picture as 'start'"
            )
        index = fits[int(self.np_random.integers(len(fits)))]
        return starts[index], index

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Advance by one latent: k frames under one control.

        Raises:
            ResetNeeded: before the first reset.
            ValueError: the action is outside the space.
        """
        if self.shown is None:
            raise ResetNeeded("step before reset; call env.reset(seed=...) first")
        row = self.spec_world.control.to_row(action)
        frames = self.world.step(row[None])[0].cpu().numpy()
        self.shown = frames[-1]
        return self.shown.copy(), 0.0, False, False, self.info(frames)

    def info(self, frames: np.ndarray) -> dict[str, Any]:
        """What every reset and step tell."""
        return {
            "frames": frames.copy(),
            "scene": dict(self.scene),
            "seed": self.seed,
            "reward_source": "none",
        }

    def render(self) -> np.ndarray | None:
        """The last frame, uint8 [H, W, 3], with render_mode="rgb_array"."""
        if self.render_mode is None:
            return None
        if self.shown is None:
            raise ResetNeeded("render before reset; call env.reset(seed=...) first")
        return self.shown.copy()

    def policy(self) -> Player | None:
        """The checkpoint's own player, (observation, info) -> action, from frames alone; None when it carries none."""
        policy = checkpoints.read_policy(self.folder, self.spec_world)
        return None if policy is None else Player(policy)

    def get_keys_to_action(self) -> dict[tuple[int, ...], Any]:
        """For `gymnasium.utils.play`, which knows arrows by code only; its `noop` is `spec_world.control.neutral()`."""
        table = self.spec_world.control.keys_to_action()
        return {
            tuple(sorted(map(key_code, keys))): action for keys, action in table.items() if keys
        }

    def clone_state(self, include_rng: bool = True) -> dict[str, Any]:
        """All that the future depends on, as ALE names it; `restore_state` goes back to it exactly."""
        state = {
            "checkpoint": self.checkpoint_hash, "world": self.world.state(),
            "shown": self.shown, "scene": dict(self.scene), "seed": self.seed,
        }  # fmt: skip
        if include_rng:
            state["rng"] = self.np_random.bit_generator.state
        return state

    def restore_state(self, state: dict[str, Any]) -> None:
        """Go back to what `clone_state` gave.

        Raises:
            ValueError: a state of another world, or no state.
        """
        made_by = state.get("checkpoint") if isinstance(state, dict) else None
        if made_by != self.checkpoint_hash:
            raise ValueError(
                f"the state is of checkpoint {made_by!s:.12}, this world is {self.checkpoint_hash:.12}; "
                "restore it in an env of the checkpoint that it was cloned from"
            )
        self.world.load(state["world"])
        self.shown, self.scene, self.seed = state["shown"], dict(state["scene"]), state["seed"]
        if "rng" in state:
            self.np_random.bit_generator.state = state["rng"]


def key_code(name: str) -> int:
    """`pygame.key.key_code` for keys that keymaps use, without the window that it needs: "a", "left", "left shift"."""
    import pygame  # here: an env that nobody plays needs none

    short = name.upper().replace("LEFT ", "L").replace("RIGHT ", "R")
    return ord(name) if len(name) == 1 else getattr(pygame, f"K_{short}")
