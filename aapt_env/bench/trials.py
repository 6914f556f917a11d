"""What can be asked of a world: count it, time it, dream long, grow it, play it. Each answers in words and as data."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import torch

from aapt_env.bench import clock, floor, growth, machine, need, report, rollout, subject
from aapt_env.bench import each as kernels
from aapt_env.checkpoint import Checkpoint
from aapt_env.fast import Fast, fit
from aapt_env.fast.ways import WAIT
from aapt_env.world import World

CONTROLS = 256  # random controls, used again and again
Found = tuple[str, dict[str, Any]]  # words, and the same for --json


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What a trial stands on."""

    loaded: Checkpoint  # of a shape: on the meta device, until it is known to fit
    shape: bool  # a named shape, with random weights
    device: torch.device
    bf16: bool
    batch: int
    fast: Fast  # how a step is run
    steps: int
    warmup: int

    @property
    def dtype(self) -> str:
        """Of the networks."""
        return "bf16" if self.bf16 else "float32"

    @property
    def sizes(self) -> subject.Sizes:
        """Spec, trunk and VAE."""
        return self.loaded.spec, self.loaded.generator.config, self.loaded.vae.config

    @property
    def settling(self) -> int:
        """Steps that do not count: at least until all that is compiled or recorded is, when the ring has been full."""
        made = self.device.type == "cuda" or self.fast.way == "compile"
        return max(self.warmup, self.loaded.generator.config.window + 2 + WAIT if made else 0)

    def plan(self) -> World:
        """The world without memory."""
        return subject.plan(self.loaded, self.batch, self.bf16, self.fast)

    def work(self) -> tuple[floor.Work, floor.Work]:
        """Of generator and decoder, as the plain step does it."""
        plan = self.plan()
        return floor.count(plan, need.still(plan))

    def world(self) -> World:
        """The world, an episode begun in every row.

        Raises:
            ValueError: it does not fit into memory; says what it needs and what there is, and has taken none.
        """
        need.check(need.count(self.plan(), self.device), self.device)
        loaded = self.loaded
        if self.shape:
            dtype = torch.bfloat16 if self.bf16 else torch.float32
            loaded = subject.random_weights(self.sizes, self.device, dtype, latents=0)
        return subject.begin(loaded, self.batch, self.device, self.bf16, self.fast)


def counts(ground: Ground) -> Found:
    """FLOPs, bytes and memory; nothing is measured, so it need not fit."""
    plan = ground.plan()
    needed, work = need.count(plan, ground.device), floor.count(plan, need.still(plan))
    parts = dict(zip(("generator", "decoder"), map(dataclasses.asdict, work), strict=True))
    return report.counted(work, needed), {"need": dataclasses.asdict(needed), "work": parts}


def speed(ground: Ground, about: report.Subject) -> Found:
    """Time the steps, then the machine."""
    world = ground.world()
    rows = subject.controls(world, min(ground.steps, CONTROLS))
    times = clock.measure(world, rows, ground.settling, ground.steps)
    cuda = world.device.type == "cuda"
    peak_cuda = torch.cuda.max_memory_allocated(world.device) if cuda else None
    peaks = machine.peak_resident(), peak_cuda  # before large matrices are multiplied
    work = ground.work()
    rates = floor.rates(world.device)
    found = report.Speed.of(times, work, rates, ground.dtype, peaks, world.ran)
    data = dataclasses.asdict(found) | {"steady": found.steady}
    return report.table(found, about), {"speed": data}


def each(ground: Ground) -> Found:
    """Every fused kernel beside its twin.

    Raises:
        ValueError: there is no GPU, or no Triton.
    """
    if ground.device.type != "cuda" or not fit.triton():
        raise ValueError(
            "--each times kernels on a CUDA GPU with Triton installed; give --device cuda"
        )
    world = dataclasses.replace(ground, fast=Fast(way="plain")).world()
    rows = kernels.measure(world, floor.rates(world.device))
    return kernels.text(rows), {"each": [dataclasses.asdict(row) for row in rows]}


def dream(ground: Ground, steps: int) -> Found:
    """The memory test: a long dream."""
    return long_words(roll(ground, steps))


def long_words(long: rollout.Rollout) -> Found:
    """What a long dream showed."""
    flat = {"memory_flat": long.memory_flat, "time_flat": long.time_flat}
    return report.long_dream(long), {"rollout": dataclasses.asdict(long) | flat}


def roll(ground: Ground, steps: int) -> rollout.Rollout:
    """Warm up, then dream."""
    world = ground.world()
    rows = subject.controls(world, CONTROLS)
    if ground.warmup:
        clock.measure(world, rows, 0, ground.warmup)
    return rollout.roll(world, rows, steps)


def grow(ground: Ground, picture: Path, steps: int | None) -> Found:
    """Cost against window, tokens and batch beside the formula; with `steps`, also along a dream so long."""
    rates = floor.rates(ground.device)
    points = []
    for name, label, sizes, batch in growth.cases(ground.sizes):
        loaded = subject.random_weights(sizes, need.META)
        changed = dataclasses.replace(ground, loaded=loaded, shape=True, batch=batch)
        points.append(point(changed, name, label, rates))
    long = None if steps is None else roll(ground, steps)
    data = {"growth": [dataclasses.asdict(each) for each in points]}
    words = [growth.table(points), f"figure: {picture}"]
    if long is not None:
        said, rolled = long_words(long)
        words, data = [words[0], said, words[1]], data | rolled
    image = growth.figure(points, long)
    if not cv2.imwrite(str(picture), image[..., ::-1]):
        raise ValueError(f"--growth {picture}: cannot be written; expected a file ending in .png")
    return "\n\n".join(words), data


def point(ground: Ground, name: str, label: str, rates: floor.Rates) -> growth.Point:
    """The generator's median time at one size, beside what it has to do."""
    world = ground.world()
    rows = subject.controls(world, min(ground.steps, CONTROLS))
    times = clock.measure(world, rows, ground.settling, ground.steps)
    work = ground.work()[0]
    low, half, high = growth.quartiles(times.generator)
    return growth.Point(
        name=name,
        label=label,
        median=half,
        low=low,
        high=high,
        flops=work.flops,
        formula=ground.batch * growth.formula(*ground.sizes[:2]),
        floor=rates.floor(work, ground.dtype),
    )
