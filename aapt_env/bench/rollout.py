"""The memory test: a long dream, with memory and speed along the way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from aapt_env.bench.clock import Clock, one_step
from aapt_env.bench.machine import resident
from aapt_env.world import World

TENTHS = 10
GROWTH = 8 * 2**20  # bytes: what an allocator may come to hold by the way, and a leak soon exceeds
SLOWING = 1.1  # last tenth's median over the first's: what a machine's mood may do


@dataclass(frozen=True)
class Mark:
    """The state of things after so many steps."""

    steps: int
    resident: int | None  # bytes, process
    allocated: int  # bytes, tensors on the GPU; 0 on a CPU


@dataclass(frozen=True)
class Rollout:
    """Memory at every tenth of a long dream, and the median step in each tenth."""

    marks: list[Mark]  # after 0, 1, ... 10 tenths
    medians: list[float]  # milliseconds, of each tenth

    @property
    def growth(self) -> int | None:
        """Bytes between the end of the first tenth, when all is warm, and the end."""
        first, last = self.marks[1], self.marks[-1]
        if first.resident is None or last.resident is None:
            return None
        return max(last.resident - first.resident, last.allocated - first.allocated)

    @property
    def memory_flat(self) -> bool | None:
        """Whether memory grew by less than `GROWTH`; None where the system does not tell."""
        return None if self.growth is None else self.growth < GROWTH

    @property
    def slowing(self) -> float:
        """The last tenth's median step over the first's."""
        return self.medians[-1] / self.medians[0]

    @property
    def time_flat(self) -> bool:
        """Whether the last tenth's median step is below `SLOWING` times the first's."""
        return self.slowing < SLOWING


def roll(world: World, rows: np.ndarray, steps: int) -> Rollout:
    """Dream for `steps` steps, a tenth of them at a time, over the controls rows [n, B, width] again and again."""
    clock = Clock(world.device)
    marks, medians = [mark(world.device, 0)], []
    edges = [steps * tenth // TENTHS for tenth in range(TENTHS + 1)]
    for first, last in zip(edges, edges[1:], strict=False):
        times = [one_step(world, rows[i % len(rows)], clock)[0] for i in range(first, last)]
        marks.append(mark(world.device, last))
        medians.append(float(np.median(times)))
    return Rollout(marks, medians)


def mark(device: torch.device, steps: int) -> Mark:
    """Memory now."""
    allocated = torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
    return Mark(steps, resident(), allocated)
