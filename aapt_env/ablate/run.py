"""`aapt ablate`: one base, a training per variant, one exam for all; every row is kept as it ends."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import load_file

from aapt_env.ablate.board import Board
from aapt_env.ablate.exam import Exam
from aapt_env.ablate.variants import Variant, choose
from aapt_env.model.critic import Critic
from aapt_env.model.generator import Generator
from aapt_env.paths import data_dir, run_dir
from aapt_env.train import loop, state
from aapt_env.train.adversarial import AdversarialStage
from aapt_env.train.encode import MARK
from aapt_env.train.recipes import recipe
from aapt_env.train.training import Training

BASE = ("diffusion", "consistency")
FURTHER = 0.1  # of the source's diffusion steps, for a kind of generator that takes them over


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What all variants share.

    Args:
        recipe: sizes, and the settings that variants change.
        updates: of generator and critic, the same for every variant.
        base_seconds: for diffusion and consistency together, trained once.
        count: starts of the exam.
        seconds: length of the exam's rollouts.
        seed: of everything.
        inherit: the base is the source's own diffusion and consistency, of the recipe's sizes; no `base_seconds`.
    """

    recipe: str = "tiny"
    updates: int = 200
    base_seconds: float = 600.0
    count: int = 8
    seconds: float = 30.0
    seed: int = 0
    inherit: bool = False

    def __post_init__(self):
        if self.updates < 1 or self.count < 2 or self.seconds < 2 or self.base_seconds <= 0:
            raise ValueError(
                "expected --updates >= 1, --count >= 2, --seconds >= 2 and a --base above 0, got "
                f"{self.updates}, {self.count}, {self.seconds:g} and {self.base_seconds:g} s"
            )


class Bench:
    """The data, and the base of every kind of generator that was asked for."""

    def __init__(
        self, game: str, settings: Settings, source: Path, data: Path, out: Path, device: str
    ):
        self.game, self.settings, self.source = game, settings, source
        self.data, self.out, self.device = data, out, device
        self.bases: dict[type[Generator], Training] = {}

    def base(self, kind: type[Generator], deadline: float) -> Training | None:
        """Diffusion and consistency of a kind of generator, trained by now; None when time was up.

        All kinds get as many steps as the plain one, which got what fits into `base_seconds`.
        """
        if kind in self.bases:
            return self.bases[kind]
        plain = None if kind is Generator else self.base(Generator, deadline)
        if kind is not Generator and plain is None:
            return None
        training = self.training(kind, plain)
        for name in BASE:
            if not training.run_stage(name, deadline):
                return None
        self.bases[kind] = training
        return training

    def training(self, kind: type[Generator], plain: Training | None) -> Training:
        """A run that has the source's VAE and latents, and its own generator."""
        folder = self.out / ("base" if plain is None else f"base-{kind.__name__}")
        (folder / "autoencode").mkdir(parents=True, exist_ok=True)
        for name in ("state.safetensors", "psnr.json"):
            if not (folder / "autoencode" / name).is_file():
                shutil.copyfile(self.source / "autoencode" / name, folder / "autoencode" / name)
        if not (folder / "latents").exists():
            os.symlink((self.source / "latents").resolve(), folder / "latents")
        s = self.settings
        budget = s.base_seconds / sum(getattr(recipe(s.recipe), name).share for name in BASE)
        made = Training(self.game, s.recipe, budget, folder, self.device, s.seed)
        made.kind = kind
        if plain is not None:
            steps = {n: int(state.read_meta(plain.folder.state_of(n))["step"]) for n in BASE}
            stages = {n: replace(getattr(made.recipe, n), steps=steps[n]) for n in BASE}
            made.recipe = replace(made.recipe, **stages)
        if s.inherit:
            self.inherit(folder, plain is None)
        made.open_data(self.data, float("inf"))
        made.latents()
        return made

    def inherit(self, folder: Path, plain: bool) -> None:
        """Take diffusion and consistency over from the source.

        Another kind of generator begins with the source's diffusion and trains it for a `FURTHER` share of its steps;
        consistency is its own.
        """
        for name in BASE if plain else BASE[:1]:
            path = folder / name / "state.safetensors"
            if path.is_file():
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            theirs = self.source / name / "state.safetensors"
            meta = state.read_meta(theirs)
            if not plain:
                meta["steps"] = str(round(int(meta["step"]) * (1 + FURTHER)))
            state.write(path, load_file(theirs), meta)

    def train(self, variant: Variant, deadline: float) -> tuple[Training, Generator] | None:
        """The generator that a variant ends with, and its base; None when time was up.

        Raises:
            NonFinite: its training broke down, which is a result too.
        """
        base = self.base(variant.generator, deadline)
        if base is None:
            return None
        if variant.change is None:
            return base, base.generator(variant.begin)
        settings = replace(variant.change(base.recipe.adversarial), steps=self.settings.updates)
        torch.manual_seed(self.settings.seed + 2)
        critic = Critic(base.sizes, base.spec.control, settings.heads).to(base.device)
        critic.start_from(base.generator("diffusion"))
        shown = base.shown() if settings.wrong_controls else None
        generator = base.generator(variant.begin)
        stage = AdversarialStage(
            settings, generator, critic, base.clips, base.dreamer, "adversarial", shown
        )
        folder = self.out / variant.slug
        run = loop.Run(
            folder=folder, seed=self.settings.seed, steps=settings.steps, deadline=deadline,
            device=base.device, bf16=base.bf16, save_seconds=60.0,
        )  # fmt: skip
        if not loop.train(stage, run):
            return None
        state.load_module(folder / "state.safetensors", "ema", generator)
        return base, generator


def find_source(game: str, source: Path | None, inherit: bool = False) -> Path:
    """A run with a trained VAE and its latents, and to `inherit` from, diffusion and consistency too.

    Raises:
        ValueError: it has none.
    """
    folder = source or run_dir(game)
    wanted = [folder / "autoencode" / "state.safetensors", folder / "latents" / MARK]
    wanted.append(folder / "autoencode" / "psnr.json")
    if inherit:
        wanted += [folder / name / "state.safetensors" for name in BASE]
    if missing := [path for path in wanted if not path.is_file()]:
        raise ValueError(
            f"{missing[0]} is missing; an ablation starts from a run that is trained so far: "
            f"'aapt train {game} --recipe cpu' makes one, --source names it"
        )
    state.read_meta(wanted[0])
    return folder


def ablate(
    game: str,
    settings: Settings,
    only: tuple[str, ...] = (),
    source: Path | None = None,
    data: Path | None = None,
    out: Path | None = None,
    device: str = "auto",
    time_limit: float | None = None,
) -> bool:
    """Train and examine the variants that the table in `out` has not got yet.

    Args:
        game: whose world.
        settings: what all variants share; those of a table that was begun must be the same.
        only: names of variants; all when empty.
        source: a run whose VAE and latents are used, and with `inherit` its diffusion and consistency.
        data: the dataset's folder.
        out: results.json, ablations.md, charts and sheet; a folder per variant.
        device: auto, cpu or cuda.
        time_limit: seconds after which this call stops; the same call goes on.

    Returns:
        Whether all are done.

    Raises:
        ValueError: an unknown variant, no trained VAE, other settings than the table was begun with.
    """
    deadline = time.monotonic() + (time_limit or float("inf"))
    chosen = choose(only)
    source = find_source(game, source, settings.inherit)
    out = out or run_dir(game) / "ablate"
    board = Board.open(out, game, settings, source)
    bench = Bench(game, settings, source, data or data_dir(game), out, device)
    exam = None
    for variant in chosen:
        if variant.name in board.rows:
            continue
        begun = time.monotonic()
        try:
            made = bench.train(variant, deadline)
        except loop.NonFinite as error:
            board.broke(variant, str(error), time.monotonic() - begun)
            continue
        if made is None:
            print(f"stopped by the time limit in {variant.name}; the same command goes on")
            return False
        base, generator = made
        exam = exam or Exam(base, settings.count, settings.seconds, settings.seed, out)
        metrics, shown = exam.of(generator)
        seconds = loop.seconds_of(out / variant.slug) if variant.change else 0.0
        board.put(variant, metrics, shown, seconds)
    if exam is not None:
        exam.close()
    board.publish()
    print(f"written to {out}; the table is {out / 'ablations.md'}")
    return True
