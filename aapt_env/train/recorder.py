"""Updates as CUDA graphs: losses and gradients of a turn in one launch instead of thousands of small ones."""

from __future__ import annotations

import dataclasses
import traceback
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aapt_env.fast.ways import Pool, Replay, capture
from aapt_env.train.stage import Turn

Metrics = dict[str, Any]
Work = Callable[[], Metrics]  # losses and gradients of a turn
Record = Callable[[Work], Replay]


def mapped(change: Callable[[Tensor], Tensor], value: Any) -> Any:
    """The same dataclasses, tuples and dicts with other tensors."""
    if isinstance(value, Tensor):
        return change(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: mapped(change, getattr(value, f.name)) for f in dataclasses.fields(value)}
        return dataclasses.replace(value, **fields)
    if isinstance(value, tuple):
        return tuple(mapped(change, each) for each in value)
    if isinstance(value, dict):
        return {name: mapped(change, each) for name, each in value.items()}
    return value


def leaves(batch: Any) -> tuple[Hashable, list[Tensor]]:
    """What a batch is but for the values of its tensors, and the tensors."""
    tensors: list[Tensor] = []

    def take(tensor: Tensor) -> Any:
        tensors.append(tensor)
        return (tuple(tensor.shape), tensor.dtype)

    return repr(mapped(take, batch)), tensors


class NotRecorded(RuntimeError):
    """Updates could not be recorded."""


def cause(error: BaseException) -> str:
    """The first error behind one that recording ends with, and the line of ours where it was."""
    while error.__context__ is not None:
        error = error.__context__
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "aapt_env" in f.filename]
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return " ".join(str(error).split())[:200] + where


class Recorder:
    """Records the turns of a stage, once for every kind of batch, and launches them from then on.

    A kind's first batch is not recorded: whatever is compiled or chosen once, is so by then. A graph reads its batch
    and the weights where they lie, and leaves gradients where it left them before. Optimizers are no part of it.

    Args:
        generator: of the numbers that turns draw, seeded before each step.
        record: work -> its replay; a CUDA graph, or in tests a tape of operations.
    """

    def __init__(self, generator: torch.Generator, record: Record | None = None):
        self.generator, self.record = generator, record
        self.new = 0  # batches so far of a kind that had not been recorded yet
        self.doubts: list[tuple[str, Tensor, int]] = []  # norms not looked at: name, value, step
        self.pool = Pool()
        self.seen: set[Hashable] = set()
        self.places: dict[Hashable, tuple[Any, list[Tensor]]] = {}  # a batch, and its tensors
        self.replays: dict[Hashable, tuple[Replay, list[tuple[Tensor, Tensor]]]] = {}

    @classmethod
    def of(cls, device: torch.device) -> Recorder | None:
        """For a GPU; None for a CPU, which does not wait for Python."""
        return cls(torch.Generator(device)) if device.type == "cuda" else None

    def settle(self, batch: Any) -> tuple[Hashable | None, Any]:
        """The batch where graphs find it, and its kind; as it is, and None, where its turns are not recorded yet."""
        kind, tensors = leaves(batch)
        self.new += kind not in self.places
        if kind not in self.seen:
            self.seen.add(kind)
            return None, batch
        if kind not in self.places:
            placed = mapped(Tensor.clone, batch)
            self.places[kind] = placed, leaves(placed)[1]
            return kind, placed
        placed, places = self.places[kind]
        for place, new in zip(places, tensors, strict=True):
            place.copy_(new)
        return kind, placed

    def run(self, kind: Hashable, turn: Turn, work: Work) -> Metrics:
        """The work on a batch that is settled: metrics, and gradients of the turn's modules.

        Raises:
            NotRecorded: it cannot be; says why and how to go on.
        """
        if (kind, turn.name) not in self.replays:
            try:
                replay = self.graph(work) if self.record is None else self.record(work)
            except RuntimeError as error:
                raise NotRecorded(
                    f"updates of {turn.name} cannot be recorded as a CUDA graph ({cause(error)}); "
                    "the same with --resume --plain goes on without"
                ) from error
            weights = [p for module in turn.modules for p in module.parameters()]
            with_gradient = [(p, p.grad) for p in weights if p.grad is not None]
            self.replays[kind, turn.name] = replay, with_gradient
        replay, gradients = self.replays[kind, turn.name]
        found = replay()
        for weight, gradient in gradients:
            weight.grad = gradient
        return found

    def graph(self, work: Work) -> Replay:
        """A CUDA graph."""
        return capture(work, pool=self.pool, warmup=0, generator=self.generator)
