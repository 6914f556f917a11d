"""Many dreams in one batched forward per step: `gym.make_vec("AAPT-World-v0", game="driving", num_envs=256)`."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.error import ResetNeeded
from gymnasium.utils.seeding import np_random
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from torch import Tensor

from aapt_env.controls import batch_rows
from aapt_env.dreams import OPTIONS, SOURCES, Dreams, RewardFn, options_of
from aapt_env.fast import Fast
from aapt_env.snapshot import Snapshot
from aapt_env.spec import array_of
from aapt_env.world import World

Step = tuple[Tensor, Tensor, Tensor, Tensor, dict[str, Any]]


class AAPTVectorEnv(VectorEnv):
    """N dreams, one forward pass per step for all of them; torch tensors on the device, which are the caller's own.

    Observations uint8 [N, H, W, 3], rewards float32 [N], terminations and truncations bool [N]. Infos, all [N, ...]:

    | key | what |
    |---|---|
    | `frames` | uint8 [N, k, H, W, 3]; a row that begins shows its first frame k times |
    | `seed` | int64, of the noise |
    | `start` | int64, the index of the episode's start; -1 for a picture |
    | `scene` | int64 [N, attributes], indices into `spec_world.scenes` |
    | `elapsed` | int64, steps of the episode |
    | `reward_source` | int64: 0 none, 1 learned, 2 reward_fn; the property `reward_source` says it in a word |
    | `termination_probability` | float32, in a world with an outcome head |
    | `carried` | float32 [N, names], the numbers that a dream carries (`spec_world.carried`), where it does |

    Row i depends on its own seed and controls only: at one N its frames are the same to the bit, whoever else is in the
    batch and whenever they begin. Another N adds in another order: against `AAPTEnv` frames differ by a grey level here
    and there, and where a world is chaotic they part in the course of a long episode.

    An episode that ends begins anew by `autoreset_mode`, as Gymnasium defines it: NEXT_STEP (that step's action goes
    unused), SAME_STEP (`infos["final_obs"]` and `infos["final_info"]` with their masks), or DISABLED, where
    `reset(options={"reset_mask": mask})` begins those rows. For numpy: `gymnasium.wrappers.vector.ArrayConversion`.

    Args:
        num_envs: N.
        game: whose world, looked up in checkpoints/ and then in runs/.
        checkpoint: a checkpoint folder instead.
        device: auto, cpu, cuda or cuda:N.
        render_mode: "rgb_array" or None.
        max_episode_steps: truncates there; None or -1 for never. `gym.make_vec` gives the registered 360.
        autoreset_mode: an AutoresetMode, or its value.
        reward_fn: as `AAPTEnv`'s, for N rows.
        fast, kernels, weights, cache: as `AAPTEnv`'s.

    Raises:
        ValueError: a number or mode that makes no sense, no checkpoint or a damaged one, no GPU for cuda.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 6, "autoreset_mode": AutoresetMode.NEXT_STEP}  # fmt: skip

    def __init__(
        self,
        num_envs: int = 1,
        game: str = "driving",
        checkpoint: str | None = None,
        device: str = "auto",
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        reward_fn: RewardFn | None = None,
        fast: str = "auto",
        kernels: bool = False,
        weights: str = "full",
        cache: str = "full",
    ):
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode={render_mode!r}; expected None or 'rgb_array'")
        if not isinstance(num_envs, (int, np.integer)) or num_envs < 1:
            raise ValueError(f"num_envs={num_envs!r}; expected a whole number >= 1")
        limit = limit_of(max_episode_steps)
        try:
            mode = AutoresetMode(autoreset_mode)
        except ValueError as error:
            known = [each.value for each in AutoresetMode]
            raise ValueError(
                f"autoreset_mode={autoreset_mode!r}; expected one of {known}"
            ) from error
        wanted = Fast(way=fast, kernels=kernels, weights=weights, cache=cache)
        dreams = Dreams(game, checkpoint, device, int(num_envs), reward_fn, wanted)
        self._settle(dreams, [np_random()[0] for _ in range(num_envs)], mode, limit, render_mode)

    def _settle(
        self, dreams: Dreams, rngs: list, mode: AutoresetMode, limit: int, render_mode: str | None
    ) -> None:
        """What an env made anew and one that was forked have in common."""
        self.dreams, self.rngs, self.autoreset_mode, self.limit = dreams, rngs, mode, limit
        self.render_mode, self.num_envs = render_mode, len(rngs)
        spec = self.spec_world = dreams.spec
        self.metadata = {
            **self.metadata, "render_fps": spec.steps_per_second, "autoreset_mode": mode,
        }  # fmt: skip
        self.single_action_space = spec.control.action_space()
        self.single_observation_space = gym.spaces.Box(
            0, 255, (spec.height, spec.width, 3), np.uint8
        )
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)

    @property
    def world(self) -> World:
        """The networks and their memory."""
        return self.dreams.world

    @property
    def device(self) -> torch.device:
        """Where tensors are, with its number: cuda:0."""
        return self.dreams.shown.device

    @property
    def checkpoint_hash(self) -> str:
        """Of the world."""
        return self.dreams.hash

    @property
    def reward_source(self) -> str:
        """none, learned or reward_fn."""
        return self.dreams.source

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Tensor, dict[str, Any]]:
        """Begin an episode in every row, or in those of a mask; the others stay where they are.

        Args:
            seed: of row 0, row i has seed + i; or one per row. A row's episode is the one that `AAPTEnv` begins.
            options: "start" and "scene" as in `AAPTEnv.reset`, "start" also as a list of one per row; "reset_mask":
                bool [N].

        Raises:
            ValueError: an unknown option, or one that makes no sense.
        """
        options = options_of(options, (*OPTIONS, "reset_mask"))
        seeds = self._seeds(seed)
        rows = self._masked(options["reset_mask"]) if "reset_mask" in options else None
        rows = list(range(self.num_envs)) if rows is None else rows
        wanted = options.get("start")
        several = isinstance(wanted, list) or getattr(wanted, "ndim", 0) == 1
        each = list(wanted) if several else [wanted] * self.num_envs
        if len(each) != self.num_envs:
            raise ValueError(f"{len(each)} starts; expected one per env, {self.num_envs}")
        before = self.rngs
        self.rngs = list(before)
        for row in rows:
            own = seeds[row]
            self.rngs[row] = copy.deepcopy(before[row]) if own is None else np_random(own)[0]
        try:
            self._begin(rows, [each[row] for row in rows], options.get("scene"))
        except BaseException:
            self.rngs = before  # a reset that is refused changes nothing
            raise
        shown = self.dreams.shown
        frames = shown[:, None].repeat(1, self.spec_world.k, 1, 1, 1)
        return shown.clone(), self._infos(frames, None)

    def _begin(self, rows: list[int], wanted: list | None = None, scene: Any = None) -> None:
        rngs = [self.rngs[row] for row in rows]
        self.dreams.begin(rows, rngs, [None] * len(rows) if wanted is None else wanted, scene)

    def _seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        """One per row. Raises ValueError: another number of them, or one that is no whole number >= 0."""
        given = array_of(seed)
        counts = not given.ndim and given.dtype.kind in "iu"
        alone = [int(given) + i if counts else seed for i in range(self.num_envs)]
        seeds = given.tolist() if given.ndim else alone
        if len(seeds) != self.num_envs:
            raise ValueError(f"{len(seeds)} seeds; expected one per env, {self.num_envs}")
        whole = (int, np.integer)
        wrong = [s for s in seeds if s is not None and (not isinstance(s, whole) or s < 0)]
        if wrong:
            raise ValueError(f"seed {wrong[0]!r}; expected whole numbers >= 0, or None")
        return [None if s is None else int(s) for s in seeds]

    def _masked(self, mask: Any) -> list[int]:
        """The rows of a reset mask."""
        given = mask.cpu().numpy() if isinstance(mask, Tensor) else np.asarray(mask)
        if given.shape != (self.num_envs,) or given.dtype != bool or not given.any():
            raise ValueError(
                f"reset_mask {given.shape} {given.dtype}; expected bool ({self.num_envs},) with at least one True"
            )
        return np.flatnonzero(given).tolist()

    def step(self, actions: Any) -> Step:
        """Advance every row by one latent: one forward pass.

        Args:
            actions: one per row, a tensor on the device or a numpy array.

        Raises:
            ResetNeeded: a row has no episode; with DISABLED also: it has ended.
            ValueError: actions of another shape, type or device, or outside the space.
        """
        dreams, mode = self.dreams, self.autoreset_mode
        if not dreams.begun.all():
            raise ResetNeeded("step before reset; call envs.reset(seed=...) first")
        due = np.flatnonzero(dreams.over).tolist()
        if due and mode is AutoresetMode.DISABLED:
            raise ResetNeeded(
                f"the episodes of rows {due} have ended; call envs.reset(options={{'reset_mask': mask}}) first"
            )
        made = dreams.step(batch_rows(actions, self.spec_world.control, self.num_envs, self.device))
        frames, rewards, terminated, ending = made.frames, made.rewards, made.ended, made.ending
        if due:  # NEXT_STEP: these rows' part of the pass goes unused
            self._begin(due)
            frames[due] = dreams.shown[due][:, None]
            rewards[due], terminated[due], ending[due] = 0.0, False, 0.0
        late = dreams.elapsed >= self.limit if self.limit > 0 else np.zeros(self.num_envs, bool)
        truncated = torch.from_numpy(late).to(self.device)
        dreams.over = terminated.cpu().numpy() | late
        infos, over = self._infos(frames, ending), np.flatnonzero(dreams.over).tolist()
        if over and mode is AutoresetMode.SAME_STEP:
            infos = self._begin_at_once(over, infos)
        return dreams.shown.clone(), rewards, terminated, truncated, infos

    def _begin_at_once(self, over: list[int], infos: dict[str, Any]) -> dict[str, Any]:
        """Begin the rows whose episode ended; infos of the new episodes with those of the old ones' last step."""
        mask = torch.from_numpy(self.dreams.over.copy()).to(self.device)
        final = {"final_obs": self.dreams.shown.clone(), "final_info": infos}
        self._begin(over)
        frames, ending = infos["frames"].clone(), infos.get("termination_probability")
        frames[over] = self.dreams.shown[over][:, None]
        new = self._infos(frames, None if ending is None else ending.clone())
        return new | final | {"_final_obs": mask, "_final_info": mask.clone()}

    def _infos(self, frames: Tensor, ending: Tensor | None) -> dict[str, Any]:
        """What every reset and step tell; tensors of their own."""
        source = np.full(self.num_envs, SOURCES.index(self.dreams.source))
        kept = {
            "start": self.dreams.start, "scene": self.dreams.scene, "elapsed": self.dreams.elapsed,
            "reward_source": source,
        }  # fmt: skip
        infos: dict[str, Any] = {"frames": frames, "seed": self.world.seeds.clone()}
        infos |= {name: torch.from_numpy(v.copy()).to(self.device) for name, v in kept.items()}
        told = self.world.carried
        if told is not None:
            infos["carried"] = told.clone()
        if self.world.outcome is not None:
            infos["termination_probability"] = (
                torch.zeros_like(self.world.ending) if ending is None else ending
            )
        return infos

    def render(self) -> tuple[np.ndarray, ...] | None:
        """The last frames, N times uint8 [H, W, 3], with render_mode="rgb_array"."""
        if self.render_mode is None:
            return None
        if not self.dreams.begun.all():
            raise ResetNeeded("render before reset; call envs.reset(seed=...) first")
        return tuple(self.dreams.shown.cpu().numpy().copy())

    def clone_state(self, include_rng: bool = True) -> Snapshot:
        """All that the future of all rows depends on; as `AAPTEnv.clone_state`."""
        return self.dreams.snapshot(self.rngs if include_rng else [])

    def restore_state(self, state: Snapshot) -> None:
        """Go back to what `clone_state` gave; as `AAPTEnv.restore_state`."""
        self.rngs = self.dreams.restore(state) or self.rngs

    def fork(self, n: int, noise: str = "same", row: int = 0) -> AAPTVectorEnv:
        """A vector env of n rows that all go on from row `row`; as `AAPTEnv.fork`, with this env's time limit."""
        known = isinstance(row, (int, np.integer)) and not isinstance(row, bool)
        if not known or not 0 <= row < self.num_envs:
            raise ValueError(f"row {row!r}; expected 0 to {self.num_envs - 1}")
        if not self.dreams.begun[row]:
            raise ResetNeeded("fork before reset; call envs.reset(seed=...) first")
        return branch(self.dreams, int(row), self.rngs[row], n, noise, self.render_mode, self.limit)


def limit_of(max_episode_steps: int | None) -> int:
    """Steps after which an episode is truncated; -1 for never. Raises ValueError: no whole number >= 1, None or -1."""
    limit = -1 if max_episode_steps is None else max_episode_steps
    if not isinstance(limit, (int, np.integer)) or limit < -1 or not limit:
        raise ValueError(f"max_episode_steps={limit!r}; expected a whole number >= 1")
    return int(limit)


def branch(
    dreams: Dreams,
    row: int,
    rng: np.random.Generator,
    n: int,
    noise: str,
    render_mode: str | None,
    limit: int,
) -> AAPTVectorEnv:
    """A vector env of n copies of one row of `dreams`; arguments as `AAPTEnv.fork`."""
    if not isinstance(n, (int, np.integer)) or isinstance(n, bool) or n < 1:
        raise ValueError(f"fork to {n!r} rows; expected a whole number >= 1")
    if noise not in ("same", "split"):
        raise ValueError(f"noise={noise!r}; expected 'same' or 'split'")
    seed = int(dreams.world.seeds[row])
    own = [np.random.SeedSequence([seed, i]) for i in range(n)]
    split = noise == "split"
    seeds = [int(each.generate_state(1, np.uint64)[0] >> 2) for each in own] if split else None
    rngs = [np.random.Generator(np.random.PCG64(each)) for each in own]
    if not split:
        for each in rngs:
            each.bit_generator.state = rng.bit_generator.state
    env = AAPTVectorEnv.__new__(AAPTVectorEnv)
    env._settle(dreams.fork([row] * n, seeds), rngs, AutoresetMode.NEXT_STEP, limit, render_mode)
    return env
