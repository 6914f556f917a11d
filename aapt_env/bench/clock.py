"""The time of a step, generator and decoder apart."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch

from aapt_env.bench.machine import pages
from aapt_env.world import World


class Clock:
    """Marks in time: the time of day on a CPU, events on a GPU, which count once the GPU has come so far."""

    def __init__(self, device: torch.device):
        self.cuda = device.type == "cuda"

    def mark(self) -> float | torch.cuda.Event:
        """Now, on the device."""
        if not self.cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def between(self, first, second) -> float:
        """Milliseconds from one mark to another; on a GPU both must have been reached."""
        return first.elapsed_time(second) if self.cuda else 1000 * (second - first)


@dataclass(frozen=True)
class Times:
    """Milliseconds of each step."""

    step: np.ndarray  # control in, all k frames in the CPU's memory
    generator: np.ndarray  # noise, forward pass, cache
    decoder: np.ndarray  # latent to RGB
    ready: float = 0.0  # seconds by which as many steps before took longer: compiling, recording
    pages: float | None = None  # of memory, new from the system, per step


def one_step(world: World, rows: np.ndarray, clock: Clock) -> tuple[float, float, float]:
    """Step as play does, to frames in the CPU's memory: milliseconds of step, generator, decoder."""
    begun = time.perf_counter()
    first = clock.mark()
    world.advance(rows)
    second = clock.mark()
    frames = world.show()
    third = clock.mark()
    frames.cpu()  # waits for the device
    whole = 1000 * (time.perf_counter() - begun)
    return whole, clock.between(first, second), clock.between(second, third)


def measure(world: World, rows: np.ndarray, warmup: int, steps: int) -> Times:
    """Time `steps` steps after `warmup` more, over the controls rows [n, B, width] again and again."""
    clock = Clock(world.device)
    before = [one_step(world, rows[i % len(rows)], clock) for i in range(warmup)]
    had = pages()
    counted = [one_step(world, rows[(warmup + i) % len(rows)], clock) for i in range(steps)]
    has = pages()
    new = None if had is None or has is None else (has - had) / steps
    times = np.asarray(counted).T
    late = sum(whole for whole, *_ in before) - warmup * float(np.median(times[0]))
    return Times(*times, ready=max(0.0, late) / 1000, pages=new)
