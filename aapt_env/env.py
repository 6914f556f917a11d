"""The dream as an ordinary Gymnasium Env: `gym.make("AAPT-World-v0", game="driving")`."""

from __future__ import annotations

import copy
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.error import ResetNeeded
from gymnasium.wrappers import TimeLimit

from aapt_env import checkpoint as checkpoints
from aapt_env.dreams import Dreams, RewardFn, options_of
from aapt_env.fast import Fast
from aapt_env.model.policy import Player
from aapt_env.snapshot import Snapshot
from aapt_env.vector import AAPTVectorEnv, branch, limit_of
from aapt_env.world import World


class AAPTEnv(gym.Env):
    """A world that a neural network makes up, one latent of k frames per step, in one forward pass.

    Observation: the last RGB frame, uint8 [H, W, 3]; all k frames of the step are in `info["frames"]` [k, H, W, 3]
    (at reset the one that is there, k times). Action: the game's own control, held for the k frames.
    `metadata["render_fps"]` counts steps per second. It is one row of what `AAPTVectorEnv` has many of.

    Reward and termination come from the outcome head that was trained with the world, or from `reward_fn`;
    `info["reward_source"]` says "learned" or "reward_fn". A world without either never invents a reward: it is 0.0,
    terminated is False and `info["reward_source"]` is "none".

    Args:
        game: whose world, looked up in checkpoints/ and then in runs/.
        checkpoint: a checkpoint folder instead, or a repository on a Hub (`org/name`).
        device: auto, cpu, cuda or cuda:N.
        render_mode: "rgb_array" or None.
        reward_fn: pays instead of the learned head: (frames uint8 [1, k, H, W, 3], controls float32 [1, width]), torch
            tensors on the device, -> rewards [1], or (rewards [1], ended [1]).
        fast: how a step is run: auto (CUDA graphs on a GPU), plain, compile (torch.compile) or graphs.
        kernels: run fused Triton kernels on a GPU.
        weights: full, or fp8 for the generator's blocks, which costs some quality.
        cache: full, or fp8 for what it remembers: half the memory of bf16, for some quality.

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
        reward_fn: RewardFn | None = None,
        fast: str = "auto",
        kernels: bool = False,
        weights: str = "full",
        cache: str = "full",
    ):
        if render_mode not in (None, "rgb_array"):
            raise ValueError(
                f"render_mode={render_mode!r}; expected None or 'rgb_array' (wrap in HumanRendering)"
            )
        wanted = Fast(way=fast, kernels=kernels, weights=weights, cache=cache)
        self.dreams = Dreams(game, checkpoint, device, 1, reward_fn, wanted)
        spec = self.spec_world = self.dreams.spec
        self.checkpoint_hash, self.folder = self.dreams.hash, self.dreams.folder
        self.metadata = {**self.metadata, "render_fps": spec.steps_per_second}
        self.frame_fps, self.render_mode = spec.frame_fps, render_mode
        self.control_names = spec.control.names
        self.action_space = spec.control.action_space()
        self.observation_space = gym.spaces.Box(0, 255, (spec.height, spec.width, 3), np.uint8)

    @property
    def world(self) -> World:
        """The networks and their memory."""
        return self.dreams.world

    @property
    def making(self) -> dict[str, str]:
        """All beside seed, start and controls that a frame's bits depend on: checkpoint, device, dtype, fast path."""
        return self.dreams.making

    @property
    def latent(self) -> np.ndarray:
        """float32 [C, h, w], the last latent; after a reset, the start's."""
        self.need("latent")
        return self.world.previous[0].float().cpu().numpy().copy()

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
            The last frame of the start, and info with "frames" [k, H, W, 3], all alike, "scene", "seed" (of the noise),
            "reward_source", in a world that carries numbers "carried" [names], float32, and, for an indexed start,
            "start": its index, the game's seed, scene and controls so far, m rows of [width] in a list (vector envs
            stack arrays, and m differs from start to start), for a twin.

        Raises:
            ValueError: an unknown option, an index out of range, a picture of another size, a scene that no start has.
        """
        options = options_of(options)
        wanted, scene = options.get("start"), options.get("scene")
        before = copy.deepcopy(self._np_random), self._np_random_seed
        super().reset(seed=seed)
        try:
            frames = self.dreams.begin([0], [self.np_random], [wanted], scene)[0]
        except BaseException:  # a reset that is refused changes nothing
            self._np_random, self._np_random_seed = before
            raise
        info = self.info(frames.repeat(self.spec_world.k, axis=0))
        index = int(self.dreams.start[0])
        if index >= 0:
            start = self.world.starts[index]
            info["start"] = {
                "index": index, "seed": start.seed, "scene": dict(start.scene), "controls": start.controls.tolist(),
            }  # fmt: skip
        return frames[-1].copy(), info

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Advance by one latent: k frames under one control.

        Raises:
            ResetNeeded: before the first reset, or after an episode has terminated.
            ValueError: the action is outside the space.
        """
        self.need("step")
        if self.dreams.over[0]:
            raise ResetNeeded("step after the episode has terminated; call env.reset() first")
        row = self.spec_world.control.to_row(action)
        made = self.dreams.step(torch.from_numpy(row[None]).to(self.world.device))
        frames, over = made.frames[0].cpu().numpy(), bool(made.ended[0])
        self.dreams.over[0] = over
        info = self.info(frames)
        if self.world.outcome is not None:
            info["termination_probability"] = float(made.ending[0])
        return frames[-1].copy(), float(made.rewards[0]), over, False, info

    def need(self, verb: str) -> None:
        """Raises ResetNeeded before the first reset."""
        if not self.dreams.begun[0]:
            raise ResetNeeded(f"{verb} before reset; call env.reset(seed=...) first")

    def info(self, frames: np.ndarray) -> dict[str, Any]:
        """What every reset and step tell."""
        told = self.world.carried
        carried = {} if told is None else {"carried": told[0].cpu().numpy()}
        return carried | {
            "frames": frames.copy(),
            "scene": self.spec_world.scene_of(self.dreams.scene[0]),
            "seed": int(self.world.seeds[0]),
            "reward_source": self.dreams.source,
        }

    def render(self) -> np.ndarray | None:
        """The last frame, uint8 [H, W, 3], with render_mode="rgb_array"."""
        if self.render_mode is None:
            return None
        self.need("render")
        return self.dreams.shown[0].cpu().numpy().copy()

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

    def clone_state(self, include_rng: bool = True) -> Snapshot:
        """All that the future depends on, as ALE names it; `restore_state` goes back to it exactly.

        Its `save(path)` writes a safetensors file, which `Snapshot.load(path)` reads in another process. Through
        wrappers: `env.unwrapped.clone_state()`.
        """
        return self.dreams.snapshot([self.np_random] if include_rng else [])

    def restore_state(self, state: Snapshot) -> None:
        """Go back to what `clone_state` gave; on a CPU the frames that follow are the same to the bit.

        Wrappers know nothing of it: `restore(env, state)` takes the steps that `TimeLimit` counted back, too.

        Raises:
            ValueError: a state of another checkpoint, batch size or precision, a damaged one, or none.
        """
        for rng in self.dreams.restore(state):
            self.np_random = rng

    def fork(
        self, n: int, noise: str = "same", max_episode_steps: int | None = None
    ) -> AAPTVectorEnv:
        """A vector env of n rows that all go on from this very moment; this env stays where it is.

        Args:
            n: futures, 1 or more.
            noise: "same": equal controls, equal futures. "split": every row makes up its own, whatever n is.
            max_episode_steps: truncates there, counted from the beginning of the episode; None for never, since the
                limit that `gym.make` sets is a wrapper's.

        Raises:
            ResetNeeded: before the first reset.
            ValueError: n, noise or max_episode_steps make no sense.
        """
        self.need("fork")
        limit = limit_of(max_episode_steps)
        return branch(self.dreams, 0, self.np_random, n, noise, self.render_mode, limit)


def restore(env: gym.Env, state: Snapshot) -> None:
    """`restore_state` through wrappers: the steps that `TimeLimit` counted go back, too.

    Args:
        env: what `gym.make` gave, or wrappers around it; reset first where it never was. Those that keep something
            else of an episode (a video, its return) know nothing of it.
        state: what `env.unwrapped.clone_state()` gave.

    Raises:
        ValueError: as `AAPTEnv.restore_state`.
    """
    own = env.unwrapped
    if not isinstance(own, AAPTEnv):
        raise ValueError(f"{type(own).__name__} is no AAPTEnv; expected gym.make('AAPT-World-v0')")
    if not own.dreams.begun[0]:
        env.reset()  # wrappers want to have seen one
    own.restore_state(state)
    while isinstance(env, gym.Wrapper):
        if isinstance(env, TimeLimit):
            env._elapsed_steps = int(own.dreams.elapsed[0])
        env = env.env


def key_code(name: str) -> int:
    """`pygame.key.key_code` for keys that keymaps use, without the window that it needs: "a", "left", "left shift"."""
    import pygame  # here: an env that nobody plays needs none

    short = name.upper().replace("LEFT ", "L").replace("RIGHT ", "R")
    return ord(name) if len(name) == 1 else getattr(pygame, f"K_{short}")
