"""`python -m aapt_env.bench --game driving`: flags in, a report out."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import gymnasium as gym
import torch
import tyro
from tyro.conf import arg

from aapt_env.bench import clock, floor, machine, report, rollout, subject
from aapt_env.checkpoint import Checkpoint
from aapt_env.device import pick
from aapt_env.flags import sentence, unless
from aapt_env.world import World

BF16 = {"auto": None, "bf16": True, "float32": False}
CONTROLS = 256  # random controls, used again and again


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Measure a world's speed, step by step as in play, beside the floor of the machine.

    Example: aapt bench driving --steps 500
    """

    game: Annotated[str, arg(metavar="GAME")] = "driving"
    """Whose world, from checkpoints/ or runs/."""
    checkpoint: Annotated[str | None, unless("the game's", "DIR")] = None
    """Folder of a checkpoint or a run."""
    random: Annotated[str | None, unless("a trained world", "RECIPE")] = None
    """Random weights of this recipe's sizes instead: smoke, cpu or h100. Measures speed only."""
    device: Annotated[str, arg(metavar="NAME")] = "auto"
    """auto, cpu, cuda or cuda:1."""
    dtype: Literal["auto", "bf16", "float32"] = "auto"
    """Of the networks; auto takes bf16 where it is fast, as play does."""
    batch: Annotated[int, arg(metavar="N")] = 1
    """Dreams side by side; play has one."""
    steps: Annotated[int, arg(metavar="N")] = 300
    """Steps that count."""
    warmup: Annotated[int, arg(metavar="N")] = 30
    """Steps before them that do not."""
    threads: Annotated[int | None, unless("torch's own choice, as in play", "N")] = None
    """CPU threads."""
    rollout: Annotated[int | None, unless("the speed test", "STEPS")] = None
    """Memory test instead: dream for so many steps (10000), and say whether memory and speed stay flat."""
    json: Annotated[Path | None, unless("none", "FILE")] = None
    """Write all figures to this file too."""

    def run(self, command: str) -> None:
        """Measure and print.

        Raises:
            ValueError: a request that cannot be met; says why.
        """
        self.check()
        device = pick(self.device)
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        if device.type == "cuda":
            torch.cuda.set_device(device)
            torch.cuda.reset_peak_memory_stats(device)
        where = machine.describe(device)
        loaded = self.load()
        world = subject.begin(loaded, self.batch, device, BF16[self.dtype])
        about = self.about(loaded, world, command)
        print(report.header(about, where), end="\n\n", flush=True)
        speed = dream = None
        if self.rollout is None:
            speed = self.speed(world)
            print(report.table(speed, about))
        else:
            dream = self.long_dream(world)
            print(report.long_dream(dream))
        if self.json is not None:
            self.json.write_text(json.dumps(report.to_json(about, where, speed, dream), indent=1))

    def check(self) -> None:
        """Numbers that make no sense, flags that contradict each other, a file that cannot be written."""
        cores = os.cpu_count() or 1
        least = {"batch": 1, "steps": 1, "warmup": 0, "threads": 1, "rollout": rollout.TENTHS}
        for name, low in least.items():
            value = getattr(self, name)
            if value is not None and value < low:
                raise ValueError(f"--{name} {value}: expected a whole number >= {low}")
        if self.threads is not None and self.threads > cores:
            raise ValueError(f"--threads {self.threads}: this machine has {cores} cores")
        if self.random is not None and self.checkpoint is not None:
            raise ValueError("--random measures random weights: leave --checkpoint out")
        if self.json is not None:
            if self.json.is_dir():
                raise ValueError(f"--json {self.json} is a folder; expected a file's name")
            self.json.parent.mkdir(parents=True, exist_ok=True)
            self.json.touch()

    def load(self) -> Checkpoint:
        """The world that the flags ask for."""
        if self.random is not None:
            return subject.random_weights(self.game, self.random)
        return subject.load(self.game, self.checkpoint)

    def about(self, loaded: Checkpoint, world: World, command: str) -> report.Subject:
        """What is measured, in words."""
        spec = loaded.spec
        return report.Subject(
            command=command,
            world=f"{spec.game} {spec.width}x{spec.height}, k={spec.k}",
            checkpoint=loaded.hash,
            batch=world.batch,
            dtype="bf16" if world.dtype == torch.bfloat16 else "float32",
            k=spec.k,
            frame_fps=spec.frame_fps,
        )

    def speed(self, world: World) -> report.Speed:
        """Time the steps, then the machine."""
        rows = subject.controls(world, min(self.steps, CONTROLS))
        times = clock.measure(world, rows, self.warmup, self.steps)
        cuda = world.device.type == "cuda"
        peak_cuda = torch.cuda.max_memory_allocated(world.device) if cuda else None
        peaks = machine.peak_resident(), peak_cuda  # before large matrices are multiplied
        work = floor.count(world, rows[0])
        dtype = "bf16" if world.dtype == torch.bfloat16 else "float32"
        return report.Speed.of(times, work, floor.rates(world.device), dtype, peaks)

    def long_dream(self, world: World) -> rollout.Rollout:
        """Warm up, then the memory test."""
        rows = subject.controls(world, CONTROLS)
        if self.warmup:
            clock.measure(world, rows, 0, self.warmup)
        return rollout.roll(world, rows, self.rollout or 0)


def main(argv: Sequence[str] | None = None) -> int:
    """0 when done, 2 after a sentence on stderr, 130 when interrupted. AAPT_DEBUG=1 shows tracebacks."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        asked = tyro.cli(
            Bench,
            prog="python -m aapt_env.bench",
            args=words,
            config=(tyro.conf.FlagCreatePairsOff,),
        )
        asked.run(shlex.join(["aapt", "bench", *words]))
        return 0
    except KeyboardInterrupt:
        print("aapt bench: stopped by Ctrl-C", file=sys.stderr)
        return 130
    except (ValueError, OSError, gym.error.Error) as error:
        if os.environ.get("AAPT_DEBUG"):
            raise
        print(f"aapt bench: {sentence(error)}", file=sys.stderr)
        return 2
