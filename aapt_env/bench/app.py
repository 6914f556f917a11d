"""`python -m aapt_env.bench --game driving`: flags in, a report out."""

from __future__ import annotations

import dataclasses
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

from aapt_env.bench import (
    agents,
    lag,
    machine,
    need,
    report,
    rollout,
    shapes,
    soak,
    subject,
    trials,
)
from aapt_env.checkpoint import Checkpoint
from aapt_env.device import fast_bf16, pick
from aapt_env.fast import AUTO, Fast
from aapt_env.flags import sentence, unless
from aapt_env.paths import writable

BF16 = {"auto": None, "bf16": True, "float32": False}
PLAYED = "lag", "agents", "soak"  # tests that step the env or the player instead of the bare world


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
    """Random weights of this recipe's sizes instead, such as cpu or h100. Measures speed only."""
    shape: Annotated[str | None, unless("a trained world", "NAME")] = None
    """Random weights of a larger world's or a peer's sizes: paper-8b, open-oasis, wan-1.3b or diamond-64."""
    count_only: bool = False
    """Count FLOPs, bytes and memory, and measure nothing: for what does not fit, in seconds."""
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
    lag: Annotated[float | None, unless("the speed test", "SECONDS")] = None
    """Input-to-frame test instead: play so long in an unseen window, keys pressed at random (60)."""
    growth: Annotated[Path | None, unless("the speed test", "FILE")] = None
    """Growth test instead: cost against window, tokens and batch beside the formula, and over a dream, as a PNG."""
    agents: bool = False
    """What an agent gets instead: steps per second by batch, beside the game and DIAMOND's shape; cost of copies."""
    soak: Annotated[int | None, unless("the speed test", "STEPS")] = None
    """Isolation test instead: so many steps (100000) of 16 dreams that begin at random, some dreamt again alone."""
    fast: Literal["auto", "plain", "compile", "graphs"] = "auto"
    """How a step is run; auto: CUDA graphs on a GPU, weights laid out once on a CPU. compile is torch.compile."""
    kernels: bool = False
    """Run fused Triton kernels, on a GPU."""
    weights: Literal["full", "fp8"] = "full"
    """Of the generator's blocks; fp8 costs some quality."""
    cache: Literal["full", "fp8"] = "full"
    """Of keys and values; fp8 takes half the memory of bf16 and costs some quality."""
    each: bool = False
    """Time every fused kernel beside its plain twin and its floor instead, on a GPU."""
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
        where, ground = machine.describe(device), self.ground(device)
        about = self.about(ground, command)
        print(report.header(about, where), end="\n\n", flush=True)
        words, found = self.trial(ground, about)
        print(words)
        if self.json is not None:
            parts = {"subject": dataclasses.asdict(about), "machine": dataclasses.asdict(where)}
            self.json.write_text(json.dumps(parts | found, indent=1))

    def trial(self, ground: trials.Ground, about: report.Subject) -> trials.Found:
        """The one that is asked for."""
        if self.count_only:
            return trials.counts(ground)
        played = self.game, self.checkpoint, self.device
        if self.lag is not None:
            answer = lag.measure(*played, self.lag)
            return lag.text(answer), {"lag": dataclasses.asdict(answer)}
        if self.agents:
            paces = agents.measure(*played, self.steps)
            return agents.text(paces), {"agents": dataclasses.asdict(paces)}
        if self.soak is not None:
            went = soak.soak(*played, self.soak)
            return soak.text(went), {"soak": dataclasses.asdict(went) | {"flat": went.flat}}
        if self.each:
            return trials.each(ground)
        if self.growth is not None:
            return trials.grow(ground, self.growth, self.rollout)
        if self.rollout is not None:
            return trials.dream(ground, self.rollout)
        return trials.speed(ground, about)

    def check(self) -> None:
        """Numbers that make no sense, flags that contradict each other, a file that cannot be written."""
        cores = os.cpu_count() or 1
        least = {
            "batch": 1,
            "steps": 1,
            "warmup": 0,
            "threads": 1,
            "rollout": rollout.TENTHS,
            "soak": 160,
        }
        for name, low in least.items():
            value = getattr(self, name)
            if value is not None and value < low:
                raise ValueError(f"--{name} {value}: expected a whole number >= {low}")
        if self.threads is not None and self.threads > cores:
            raise ValueError(f"--threads {self.threads}: this machine has {cores} cores")
        for name in ("random", "shape"):
            if getattr(self, name) is not None and self.checkpoint is not None:
                raise ValueError(f"--{name} measures random weights: leave --checkpoint out")
        if self.random is not None and self.shape is not None:
            raise ValueError("--random and --shape both say what sizes to measure: leave one out")
        for name in ("rollout", "growth", "each", *PLAYED):
            if self.count_only and self.asked(name):
                raise ValueError(f"--count-only measures nothing: leave --{name} out")
        alone = [name for name in ("rollout", "growth", "each") if self.asked(name)]
        if "each" in alone and (len(alone) > 1 or self.wanted != AUTO):
            others = [f"--{name}" for name in alone[:-1]] or [
                "--fast, --kernels, --weights and --cache"
            ]
            raise ValueError(f"--each is a test of its own: leave {others[0]} out")
        for name in PLAYED:
            if self.asked(name):
                self.check_played(name)
        for name in ("json", "growth"):
            file = getattr(self, name)
            if file is not None and file.is_dir():
                raise ValueError(f"--{name} {file} is a folder; expected a file's name")
            if file is not None:
                writable(file.parent, f"--{name} FILE")
        if self.growth is not None and self.growth.suffix.lower() != ".png":
            raise ValueError(f"--growth {self.growth}: expected a file ending in .png")

    def asked(self, name: str) -> bool:
        """Whether a flag that is off by default was given."""
        value = getattr(self, name)
        return value is not None and value is not False

    def check_played(self, chosen: str) -> None:
        """These step a trained world as it is played or trained in; their own sizes are fixed."""
        if self.lag is not None and not 1 <= self.lag <= 3600:
            raise ValueError(f"--lag {self.lag:g}: expected 1 to 3600 seconds")
        others = ("random", "shape", "rollout", "growth", "each", *PLAYED)
        for name in others:
            if name != chosen and self.asked(name):
                raise ValueError(f"--{chosen} steps a trained world as is: leave --{name} out")
        if self.batch != 1 or self.dtype != "auto":
            raise ValueError(
                f"--{chosen} steps a trained world as is: leave --batch and --dtype out"
            )
        if self.wanted != AUTO:
            raise ValueError(
                f"--{chosen} steps a trained world as is: leave --fast, --kernels, --weights and --cache out"
            )

    @property
    def wanted(self) -> Fast:
        """The fast paths that are asked for."""
        return Fast(way=self.fast, kernels=self.kernels, weights=self.weights, cache=self.cache)

    def load(self) -> Checkpoint:
        """The world that the flags ask for; a shape without memory, until it is known to fit."""
        if self.shape is not None:
            return subject.random_weights(shapes.shape(self.shape).sizes(self.shape), need.META)
        if self.random is not None:
            return subject.random_weights(
                subject.recipe_sizes(self.game, self.random), torch.device("cpu")
            )
        return subject.load(self.game, self.checkpoint)

    def ground(self, device: torch.device) -> trials.Ground:
        """What is measured, and how."""
        wanted = BF16[self.dtype]
        return trials.Ground(
            loaded=self.load(),
            shape=self.shape is not None,
            device=device,
            bf16=fast_bf16(device) if wanted is None else wanted,
            batch=self.batch,
            fast=self.wanted,
            steps=self.steps,
            warmup=self.warmup,
        )

    def about(self, ground: trials.Ground, command: str) -> report.Subject:
        """The same in words."""
        spec = ground.loaded.spec
        return report.Subject(
            command=command,
            world=f"{spec.game} {spec.width}x{spec.height}, k={spec.k}",
            checkpoint=ground.loaded.hash,
            batch=self.batch,
            dtype=ground.dtype + self.wanted.words,
            k=spec.k,
            frame_fps=spec.frame_fps,
            assumes=() if self.shape is None else shapes.shape(self.shape).assumes,
            counted=self.count_only,
        )


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
    except KeyboardInterrupt as asked:
        print(
            f"aapt bench: stopped by {asked.args[0] if asked.args else 'Ctrl-C'}", file=sys.stderr
        )
        return 130
    except (ValueError, OSError, gym.error.Error, RuntimeError, MemoryError) as error:
        if isinstance(error, RuntimeError | MemoryError) and not subject.out_of_memory(error):
            raise
        if os.environ.get("AAPT_DEBUG"):
            raise
        print(f"aapt bench: {sentence(error)}", file=sys.stderr)
        return 2
