"""Episodes of a world, side by side: all that the Env and the vector env share."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aapt_env import checkpoint as checkpoints
from aapt_env import snapshot
from aapt_env.device import pick
from aapt_env.fast import AUTO, Fast
from aapt_env.paths import find_checkpoint
from aapt_env.snapshot import Snapshot
from aapt_env.starts import Start, choose
from aapt_env.world import World

RewardFn = Callable[[Tensor, Tensor], Any]
SOURCES = ("none", "learned", "reward_fn")
OPTIONS = ("start", "scene")  # of a reset
BOOK = ("begun", "over", "elapsed", "start", "scene")  # what is kept per row beside the world


def options_of(options: Any, known: Sequence[str] = OPTIONS) -> dict[str, Any]:
    """A reset's options. Raises ValueError: no dict, or with one that is not among `known`."""
    if options is not None and not isinstance(options, dict):
        raise ValueError(f"reset options {options!r}; expected {{'start': ..., 'scene': ...}}")
    unknown = sorted(set(options or {}) - set(known), key=str)
    if unknown:
        names = [repr(name) for name in known]
        raise ValueError(
            f"reset options {unknown} unknown; expected {', '.join(names[:-1])} and {names[-1]}"
        )
    return options or {}


@dataclass(frozen=True)
class Made:
    """What one step made, on the device; the caller's own."""

    frames: Tensor  # uint8 [N, k, H, W, 3]
    rewards: Tensor  # float32 [N]
    ended: Tensor  # bool [N]
    ending: Tensor  # float32 [N], the probability that the outcome head gives


class Dreams:
    """N episodes of one world.

    Args:
        game: whose world, looked up in checkpoints/ and then in runs/.
        checkpoint: a checkpoint folder instead.
        device: auto, cpu, cuda or cuda:N.
        count: N.
        reward_fn: pays instead of the learned head. (frames uint8 [N, k, H, W, 3], controls float32 [N, width]), both
            on the device, -> rewards [N], or (rewards [N], ended [N]).
        fast: how a step is run; frames are the same to rounding.

    Attributes:
        shown: uint8 [N, H, W, 3], the last frames, on the device.
        begun, over: [N] bool, whether a row has an episode, and whether that has ended.
        elapsed: [N], steps of the episode.
        start: [N], the index of its start; -1 for a picture.
        scene: [N, attributes], as `WorldSpec.scene_row` gives it.
    """

    # Tensors are written to later, so that none is made in the inference mode of a caller.
    @torch.inference_mode(False)
    def __init__(
        self,
        game: str,
        checkpoint: str | None,
        device: str,
        count: int,
        reward_fn: RewardFn | None = None,
        fast: Fast = AUTO,
    ):
        if reward_fn is not None and not callable(reward_fn):
            raise ValueError(
                f"reward_fn {reward_fn!r}; expected a function (frames, controls) -> rewards [N]"
            )
        loaded = checkpoints.read(find_checkpoint(game if checkpoint is None else checkpoint))
        self.world = World(loaded, count, pick(device), fast=fast)
        self.spec, self.hash, self.folder = loaded.spec, loaded.hash, loaded.folder
        self.reward_fn, self.weights, self.fast = reward_fn, fast.weights, fast
        shape = count, self.spec.height, self.spec.width, 3
        self.shown = torch.zeros(shape, dtype=torch.uint8, device=self.world.device)
        self.begun, self.over = np.zeros(count, bool), np.zeros(count, bool)
        self.elapsed, self.start = np.zeros(count, np.int64), np.full(count, -1)
        self.scene = np.zeros((count, len(self.spec.scenes)), np.int64)

    @property
    def source(self) -> str:
        """Where rewards come from: none, learned or reward_fn."""
        if self.reward_fn is not None:
            return "reward_fn"
        return "none" if self.world.outcome is None else "learned"

    @property
    def making(self) -> dict[str, str]:
        """All beside seed, start and controls that a frame's bits depend on; in JSON types."""
        device = self.world.device
        on_gpu = device.type == "cuda"
        about = (
            torch.cuda.get_device_name(device)
            if on_gpu
            else torch.backends.cpu.get_cpu_capability()
        )
        return {
            "checkpoint": self.hash, "device": device.type, "processor": about,
            "dtype": str(self.world.dtype).removeprefix("torch."), "fast": self.fast.way,
            "kernels": "fused" if self.fast.kernels else "torch", "weights": self.fast.weights,
            "cache": self.fast.cache, "torch": torch.__version__,
        }  # fmt: skip

    @torch.inference_mode(False)
    def begin(
        self,
        rows: list[int],
        rngs: Sequence[np.random.Generator],
        wanted: Sequence[Any],
        scene: Any,
    ) -> np.ndarray:
        """Begin an episode in each of `rows`.

        Args:
            rows: different ones.
            rngs: one per row; draws its start and the seed of its noise.
            wanted: one per row: a start's index, a picture, or None.
            scene: {attribute: value} of all of them, or None.

        Returns:
            uint8 [n, 1, H, W, 3], the last frame of each start.

        Raises:
            ValueError: as `starts.choose`.
        """
        spec, own = self.spec, self.world.starts
        chosen: list[tuple[Start, int]] = [
            choose(want, scene, own, spec, rng) for want, rng in zip(wanted, rngs, strict=True)
        ]
        seeds = [int(rng.integers(2**62)) for rng in rngs]
        frames = self.world.reset_rows(rows, [start for start, _ in chosen], seeds)
        self.shown[rows] = torch.from_numpy(frames[:, 0]).to(self.shown.device)
        self.begun[rows], self.over[rows], self.elapsed[rows] = True, False, 0
        self.start[rows] = [index for _, index in chosen]
        self.scene[rows] = [spec.scene_row(start.scene) for start, _ in chosen]
        return frames

    @torch.inference_mode(False)  # clones are tensors like any other
    def step(self, controls: Tensor) -> Made:
        """Advance all rows by one latent under float32 [N, width] controls on the device.

        Raises:
            ValueError: `reward_fn` gave something else than rewards. The step is made then, as it is where that raises.
        """
        frames = self.world.step(controls).clone()
        self.shown = frames[:, -1].clone()
        self.elapsed += 1
        rewards, ending = self.world.reward.clone(), self.world.ending.clone()
        head = self.world.outcome
        ended = (
            torch.zeros_like(ending, dtype=torch.bool) if head is None else ending >= head.threshold
        )
        if self.reward_fn is not None:
            given = self.reward_fn(frames.clone(), controls.clone())
            given = given if isinstance(given, tuple) else (given,)
            if len(given) not in (1, 2):
                raise ValueError(
                    f"reward_fn gave {len(given)} values; expected rewards, or (rewards, ended)"
                )
            rewards = self.paid(given[0], "rewards")
            ended = ended if len(given) < 2 else self.paid(given[1], "ended") > 0
        return Made(frames, rewards, ended, ending)

    def paid(self, values: Any, name: str) -> Tensor:
        """What `reward_fn` gave, as a tensor float32 [N] on the device; endings are 0 or 1."""
        try:
            given = torch.as_tensor(values, device=self.shown.device).detach()
            if given.is_complex():
                raise TypeError("complex numbers")
            given = given.to(torch.float32, copy=True)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ValueError(
                f"reward_fn gave {name} {values!r:.80}; expected numbers [N]"
            ) from error
        if given.shape != self.begun.shape or not torch.isfinite(given).all():
            raise ValueError(
                f"reward_fn gave {name} {tuple(given.shape)}; expected {self.begun.shape} finite values"
            )
        if name == "ended" and not ((given == 0) | (given == 1)).all():
            raise ValueError(
                "reward_fn gave ended with values between no and yes; expected booleans [N]: compare with a threshold"
            )
        return given

    def snapshot(self, rngs: Sequence[np.random.Generator]) -> Snapshot:
        """A copy of all that the future depends on; `rngs` may be empty."""
        tensors = {f"world/{name}": value for name, value in self.world.state().items()}
        tensors |= {name: torch.from_numpy(getattr(self, name).copy()) for name in BOOK}
        states = [copy.deepcopy(rng.bit_generator.state) for rng in rngs]
        return Snapshot(self.hash, tensors | {"shown": self.shown.clone()}, states, self.weights)

    @torch.inference_mode(False)
    def restore(self, state: Snapshot) -> list[np.random.Generator]:
        """Go back to a snapshot; returns the generators it holds.

        Raises:
            ValueError: of another checkpoint, batch size or precision, or damaged. Nothing has changed then.
        """
        snapshot.check(state, self.hash, len(self.begun), self.weights)
        if len(state.rngs) not in (0, len(self.begun)):
            raise ValueError("the state lacks generators; clone or save it again")
        mine = {name: torch.from_numpy(getattr(self, name)) for name in BOOK}
        for name, own in (mine | {"shown": self.shown}).items():
            given = state.tensors.get(name)
            if given is None or given.shape != own.shape or given.dtype != own.dtype:
                got = None if given is None else f"{tuple(given.shape)} {given.dtype}"
                raise ValueError(
                    f"state {name}: expected {tuple(own.shape)} {own.dtype}, got {got}; clone or save it again"
                )
        counts = torch.tensor([len(values) for values in self.spec.scenes.values()])
        if ((state.tensors["scene"] < 0) | (state.tensors["scene"] >= counts)).any():
            raise ValueError("the state has scenes that this world has not; clone or save it again")
        rngs = [snapshot.generator_of(each) for each in state.rngs]
        parts = {n: v for n, v in state.tensors.items() if n.startswith("world/")}
        self.world.load({name.removeprefix("world/"): value for name, value in parts.items()})
        for name in BOOK:
            setattr(self, name, state.tensors[name].cpu().numpy().copy())
        self.shown = state.tensors["shown"].to(self.shown.device, copy=True)
        return rngs

    @torch.inference_mode(False)
    def fork(self, rows: list[int], seeds: list[int] | None) -> Dreams:
        """Dreams that go on from copies of `rows`, repeats allowed; with noise of `seeds`, or of their own."""
        other = copy.copy(self)
        other.world = self.world.fork(rows)
        other.shown = self.shown[rows]
        for name in BOOK:
            setattr(other, name, getattr(self, name)[rows].copy())
        if seeds is not None:
            other.world.seeds = torch.tensor(seeds, device=self.shown.device)
        return other
