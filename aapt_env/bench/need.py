"""How much memory a world needs, counted without taking any, and how much the machine has to give."""

from __future__ import annotations

import os
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from aapt_env.world import GROUP, World

META = torch.device("meta")
SCORES = 3  # matrices of attention that a CPU holds at once: scores, scores with their bias, their softmax
GROUPS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/memory"))  # a container's limits, v2 and v1
FILES = ("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")


@dataclass(frozen=True)
class Need:
    """Bytes that a world takes."""

    weights: int  # of all networks
    memory: int  # cache, decoder state, previous latents
    step: int  # the most that a step, or a beginning, holds besides

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.memory + self.step


class Alive(TorchDispatchMode):
    """Counts the bytes of all tensors that are made while it is on, and the most that were alive at once."""

    def __init__(self):
        super().__init__()
        self.now = self.peak = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        known = {id_of(each) for each in strided((args, kwargs))}
        for each in strided(out):
            if id_of(each) not in known:
                self.add(each.untyped_storage())
        return out

    def add(self, storage: torch.UntypedStorage) -> None:
        """Take note of new memory, and of its end."""
        size = storage.nbytes()
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self.drop, size)

    def drop(self, size: int) -> None:
        """Memory was given back."""
        self.now -= size


def strided(values: Any) -> list[Tensor]:
    """The tensors among values whose memory can be seen; blocked weights keep theirs to themselves."""
    tensors = [each for each in tree_leaves(values) if isinstance(each, Tensor)]
    return [each for each in tensors if each.layout == torch.strided]


def id_of(tensor: Tensor) -> int:
    """What tells one memory from another, also where there is none."""
    return tensor.untyped_storage()._cdata


def still(plan: World) -> Tensor:
    """Controls of a step that take no memory either, [B, width]."""
    return torch.zeros(plan.batch, plan.spec.control.width, device=META)


def count(plan: World, device: torch.device) -> Need:
    """What a world will need on a device.

    Args:
        plan: the same world on the meta device, where tensors have shapes and no memory.
        device: where it will run. On a CPU the scores of attention are held; a GPU's kernels hold none.
    """
    networks = [each for each in (plan.generator, plan.vae, plan.outcome) if each is not None]
    weights = [t for each in networks for t in (*each.parameters(), *each.buffers())]
    memory = list(plan.parts().values())
    with Alive() as alive:
        plan.advance(still(plan))
        plan.show()
    cache, sizes = plan.cache, plan.generator.config
    begun = sum(t.nbytes for t in cache.memory) * min(GROUP, plan.batch) // plan.batch  # its ring
    scores = plan.batch * sizes.heads * sizes.tokens * cache.keys.shape[3] * plan.dtype.itemsize
    held = SCORES * scores if device.type == "cpu" else 0
    return Need(
        sum(t.nbytes for t in weights), sum(t.nbytes for t in memory), max(alive.peak + held, begun)
    )


def free(device: torch.device) -> int | None:
    """Bytes that can still be taken on a device; None where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        found = [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable")]
    except OSError:
        pages = "SC_AVPHYS_PAGES"  # other Unixes; Windows has no sysconf
        known = hasattr(os, "sysconf") and pages in os.sysconf_names
        found = [os.sysconf(pages) * os.sysconf("SC_PAGE_SIZE")] if known else []
    return min([*found, *left_in_group()], default=None)


def left_in_group() -> list[int]:
    """What the limits of a container leave, where there are any."""
    left = []
    for folder in GROUPS:
        for most, used in FILES:
            try:
                left.append(int((folder / most).read_text()) - int((folder / used).read_text()))
            except (OSError, ValueError):  # no such limit: no file, or "max"
                continue
    return left


def check(need: Need, device: torch.device) -> None:
    """Raises ValueError where the need is more than the device has left; nothing has been taken then."""
    there = free(device)
    if there is not None and need.total > there:
        raise ValueError(
            f"not enough memory on {device}: this needs {size(need.total)} ({size(need.weights)} weights, "
            f"{size(need.memory)} cache and state, {size(need.step)} for a step), {size(there)} are free; "
            "try fewer rows (--batch), or --count-only"
        )


def size(count: int) -> str:
    """Bytes for people: '12 kB', '820 MB', '23.4 GB'."""
    for unit, scale, places in (("GB", 1e9, 1), ("MB", 1e6, 0)):
        if count >= scale:
            return f"{count / scale:,.{places}f} {unit}"
    return f"{count / 1e3:,.0f} kB"
