"""Verbs that train: a world, its meter, and the method without each of its parts."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

from aapt_env import flags, paths
from aapt_env.flags import Count, Game, MaybeSeconds, Seconds, unless


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a world, through all stages, to a playable checkpoint in RUN/checkpoint.

    Example: aapt train driving --recipe cpu --budget 2h
    """

    game: Game
    """The game whose episodes are learned; its dataset is recorded first where there is none."""
    recipe: Annotated[str, arg(metavar="NAME")] = "cpu"
    """smoke (seconds, for tests), tiny, cpu (64x64, 2 hours on two cores), gpu (64x64, minutes on a large one), h100
    (128x128, the same), auto (measures this machine for a minute and picks what fits --budget), or module:function,
    one of yours."""
    stage: Annotated[str | None, unless("the recipe's, in turn", "STAGE")] = None
    """Only this one: autoencode, polish, diffusion, consistency, follow, adversarial, long, outcome or imitate."""
    budget: Annotated[MaybeSeconds, unless("the recipe's", "TIME")] = None
    """Time for the whole training, shared out over the stages: 25m, 2h, 1h30m."""
    time_limit: Annotated[MaybeSeconds, unless("no limit", "TIME")] = None
    """Stop this command after so long, resumable and playable; the budget stays as it was: 90s, 9m."""
    resume: bool = False
    """Go on where the run in --out stopped."""
    data: Annotated[Path | None, unless("data/GAME", "DIR")] = None
    """Folder of the dataset."""
    out: Annotated[Path | None, unless("runs/GAME", "DIR")] = None
    """Folder of the run."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; auto takes CUDA where there is one."""
    seed: int = 0
    """Of weights, noise and the order of clips."""
    compile: bool = False
    """torch.compile for generator and critic: a minute of compiling per stage, then faster; needs a C++ compiler."""
    plain: bool = False
    """On a GPU, one operation at a time instead of CUDA graphs: slower, for finding out what is wrong."""
    begin_with: Annotated[str | None, unless("new ones", "WORLD")] = None
    """A world, by name or folder, with whose networks a new run begins: its VAE, for frames of any size, and its
    generator where that is as large. With --stage diffusion or adversarial the VAE is taken as it is; adversarial goes
    on against the critic beside a stage's own checkpoint (RUN/long/checkpoint), or where there is none, a new one. With
    --stage polish that world's decoder learns on, and all else of it stays."""
    dry_run: bool = False
    """With --recipe auto: print the plan and what to expect of it, and stop."""

    def run(self) -> None:
        """Train, by `aapt_env.train.run.train`."""
        settings = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        settings["data"] = self.data or paths.data_dir(self.game)
        settings["out"] = self.out or paths.run_dir(self.game)
        watch = flags.load("aapt_env.evaluate.meter").watcher
        flags.load("aapt_env.train.run").train(**settings, watch=watch)


@dataclass(frozen=True, kw_only=True)
class Meter:
    """Train the network with which `aapt eval` reads controls back from frames, on real recorded frames only.

    The same command goes on where one was stopped; `aapt ship runs/driving/meter` puts it beside the world.

    Example: aapt meter driving --budget 5m
    """

    game: Game
    """The game whose episodes it learns from."""
    budget: Annotated[Seconds, unless("5m", "TIME")] = 300.0
    """Time for all of it: 5m, 90s."""
    time_limit: Annotated[MaybeSeconds, unless("no limit", "TIME")] = None
    """Stop this command after so long, resumable."""
    data: Annotated[Path | None, unless("data/GAME", "DIR")] = None
    """Folder of the dataset."""
    out: Annotated[Path | None, unless("runs/GAME/meter", "DIR")] = None
    """Folder of the meter."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; auto takes CUDA where there is one."""
    seed: int = 0
    """Of weights and the order of frames."""

    def run(self) -> None:
        """Train, by `aapt_env.evaluate.learn.learn`."""
        settings = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        flags.load("aapt_env.evaluate.learn").learn(**settings)


@dataclass(frozen=True, kw_only=True)
class Ablate:
    """Train the method without each of its parts, at one budget, and print one table of what that did.

    Every row is kept as it ends; the same command goes on where one was stopped.

    Example: aapt ablate driving --updates 200
    """

    game: Game
    """The game whose world is trained."""
    only: tuple[str, ...] = ()
    """Names of variants, such as full teacher-forcing; all when not given."""
    recipe: Annotated[str, arg(metavar="NAME")] = "tiny"
    """Sizes and settings: tiny (a small generator at 64x64, for two cores), cpu or h100."""
    updates: Annotated[Count, unless("200", "COUNT")] = 200
    """Adversarial updates of each variant."""
    base: Annotated[Seconds, unless("10m", "TIME")] = 600.0
    """Time for the diffusion and consistency stages that all variants begin with."""
    inherit: bool = False
    """Begin with the source's own diffusion and consistency, of the recipe's sizes, and not with --base."""
    count: Annotated[Count, unless("8", "COUNT")] = 8
    """Starts that the variants are examined on."""
    seconds: float = 30.0
    """Length of each rollout of the examination."""
    source: Annotated[Path | None, unless("runs/GAME", "RUN")] = None
    """A run whose VAE and latents are used."""
    data: Annotated[Path | None, unless("data/GAME", "DIR")] = None
    """Folder of the dataset."""
    out: Annotated[Path | None, unless("runs/GAME/ablate", "DIR")] = None
    """Folder of the table, the charts and a training per variant."""
    time_limit: Annotated[MaybeSeconds, unless("no limit", "TIME")] = None
    """Stop this command after so long, resumable: 90s, 9m."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; auto takes CUDA where there is one."""
    seed: int = 0
    """Of weights, noise, clips and starts."""

    def run(self) -> None:
        """Train, by `aapt_env.ablate.run.ablate`."""
        module = flags.load("aapt_env.ablate.run")
        settings = module.Settings(
            recipe=self.recipe, updates=self.updates, base_seconds=self.base, count=self.count,
            seconds=self.seconds, seed=self.seed, inherit=self.inherit,
        )  # fmt: skip
        module.ablate(
            self.game, settings, self.only, self.source, self.data, self.out, self.device, self.time_limit
        )  # fmt: skip
