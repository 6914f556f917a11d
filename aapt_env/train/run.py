"""`aapt train`: data, stages in turn, and a playable checkpoint at every stop."""

from __future__ import annotations

import json
import os
import platform
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aapt_env import checkpoint
from aapt_env.data.episodes import Episodes, load_frames
from aapt_env.device import fast_bf16, pick
from aapt_env.games import control_mask
from aapt_env.model.critic import Critic
from aapt_env.model.generator import Generator
from aapt_env.model.outcome import OutcomeHead
from aapt_env.model.policy import Policy
from aapt_env.model.vae import VAE
from aapt_env.paths import data_dir, run_dir
from aapt_env.train import loop, state
from aapt_env.train.adversarial import Adversarial, AdversarialStage
from aapt_env.train.autoencode import AutoencodeStage, held_out_psnr
from aapt_env.train.beginnings import beginnings
from aapt_env.train.clips import FrameClips, LatentClips
from aapt_env.train.diffusion import ConsistencyStage, DiffusionStage
from aapt_env.train.dream import Dreamer
from aapt_env.train.encode import encode_all
from aapt_env.train.folder import RunFolder
from aapt_env.train.imitate import ImitateStage
from aapt_env.train.outcome import OutcomeStage
from aapt_env.train.polish import PolishStage
from aapt_env.train.recipes import STAGES, Recipe, recipe

HELD = 16  # latents that are held out at least
GENERATED = STAGES[1:5]  # stages whose weights can play
CODERS = ("autoencode", "polish")  # stages that train the VAE


def train(
    game: str,
    recipe: str | Recipe = "cpu",
    stage: str | None = None,
    budget: float | None = None,
    time_limit: float | None = None,
    resume: bool = False,
    data: Path | None = None,
    out: Path | None = None,
    device: str = "auto",
    seed: int = 0,
    compile: bool = False,
    watch: Callable | None = None,
    dry_run: bool = False,
) -> None:
    """Train a world of `game` through the recipe's stages; see `aapt train --help`.

    Args:
        game: as everywhere: driving, gym:ID or dream:NAME.
        recipe: a name, `auto` (measures the machine first), `module:function`, or a Recipe of one's own.
        stage: only this stage.
        budget: seconds for all stages; None for the recipe's.
        time_limit: seconds after which this call stops, resumable and playable.
        resume: go on in `out`.
        data: the dataset's folder, recorded first when there is none.
        out: the run's folder.
        device: auto, cpu or cuda.
        seed: of weights, noise and the order of clips.
        compile: whether the diffusion stage's passes go through torch.compile.
        watch: f(spec, device) -> what tells how well dreams obey; `evaluate.meter.watcher` at the command line.
        dry_run: with recipe `auto`, print the plan and stop.

    Raises:
        ValueError: contradicting arguments, a dataset of another size, a damaged state.
    """
    begun = time.monotonic()
    deadline = begun + time_limit if time_limit else float("inf")
    data, out = Path(data or data_dir(game)), Path(out or run_dir(game))
    if dry_run and recipe != "auto":
        raise ValueError(
            f"--dry-run shows the plan of --recipe auto; recipe {recipe!r} measures nothing"
        )
    if recipe == "auto":
        from aapt_env.train import auto  # here, since it builds the stages that this module runs

        recipe = auto.choose(game, data, out, budget, device, dry_run)
        if dry_run:
            return
        budget = recipe.budget
    training = Training(game, recipe, budget, out, device, seed, compile, watch)
    folder = training.folder
    names = folder.plan(stage, resume)
    if not training.open_data(data, deadline):
        print("stopped by the time limit while recording; the same with --resume goes on")
        return
    folder.begin(stage, resume)
    for name in names:
        before = folder.complete(name)
        done = training.run_stage(name, deadline)
        training.write(name, before)
        late = not before and name != names[-1] and time.monotonic() > deadline
        if late or not done:
            print(
                f"stopped by the time limit {'after' if done else 'in'} stage {name}; --resume goes on"
            )
            return
    print(f"trained {', '.join(names)}; the world is in {training.checkpoint}")


class Training:
    """One run's folder, data and weights."""

    kind: type[Generator] = Generator

    def __init__(
        self,
        game: str,
        recipe_name: str | Recipe,
        budget: float | None,
        out: Path,
        device: str,
        seed: int,
        compile: bool = False,
        watch: Callable | None = None,
    ):
        self.watch = watch
        self.recipe = recipe(recipe_name) if isinstance(recipe_name, str) else recipe_name
        self.folder = RunFolder(out, game, self.recipe, budget or self.recipe.budget, seed)
        self.checkpoint = out / "checkpoint"
        self.device, self.compile = pick(device), compile
        self.bf16 = fast_bf16(self.device)
        self.frames: dict[str, list] = {}

    def open_data(self, data: Path, deadline: float) -> bool:
        """Open the dataset, recording it first when there is none. Returns whether it is complete."""
        r, recording, where = self.recipe, self.folder.recording, str(data.resolve())
        stopped = recording.is_file() and recording.read_text() == where
        if stopped or not (data / "meta" / "aapt.json").is_file():
            from aapt_env.data.record import record

            recording.write_text(where)
            left = deadline - time.monotonic()
            made = record(
                game=self.folder.game, out=data, frames=r.frames, height=r.frame[0], width=r.frame[1], k=r.k,
                max_seconds=r.max_seconds, workers=min(os.cpu_count() or 1, 1 + r.frames // 10_000),
                time_limit=None if left == float("inf") else max(left, 1.0),
            )  # fmt: skip
            if made.frames < r.frames:
                return False
            recording.unlink()
        self.episodes = Episodes.open(data)
        spec = self.episodes.spec
        if (spec.height, spec.width, spec.k) != (*r.frame, r.k):
            raise ValueError(
                f"{data} has frames of {spec.height}x{spec.width} with k={spec.k}; recipe {r.name!r} wants "
                f"{r.frame[0]}x{r.frame[1]} with k={r.k}: record again, or choose another recipe (auto takes any)"
            )
        if len(self.episodes) < 2:
            raise ValueError(
                f"{data} has {len(self.episodes)} episodes; training needs 2 or more, one of them held out: record on"
            )
        if max(episode.length for episode in self.episodes.index) < 1 + 2 * r.k:
            raise ValueError(
                f"{data}: no episode has two latents of {r.k} frames; record with --k 1 and train with --recipe auto, "
                "or take a game that is not over as soon"
            )
        self.train_indices, self.held_indices = self.split()
        self.spec, self.sizes, coder = r.sizes(spec)
        torch.manual_seed(self.folder.seed)
        self.vae = VAE(coder).to(self.device)
        return True

    def split(self) -> tuple[list[int], list[int]]:
        """(train, held-out) episodes; of very short ones more are held out, so that windows fit in."""
        share, needed = 0.05, 1 + HELD * self.recipe.k
        parts = self.episodes.split(share)
        while share < 0.4 and sum(self.episodes.index[i].length for i in parts[1]) < needed:
            share *= 2
            parts = self.episodes.split(share)
        return parts

    def decoded(self, part: str) -> list:
        """The frames of the train or held-out episodes, decoded once."""
        if part not in self.frames:
            indices = self.train_indices if part == "train" else self.held_indices
            self.frames[part] = load_frames(self.episodes, indices)
        return self.frames[part]

    def pixels(self, index: int) -> np.ndarray:
        """The frames of one episode, which is not decoded again."""
        for part, indices in (("train", self.train_indices), ("held", self.held_indices)):
            if index in indices and part in self.frames:
                return self.frames[part][indices.index(index)]
        return self.episodes.frames(index)

    def generator(self, stage: str | None = None, name: str = "ema") -> Generator:
        """A new generator, or a trained stage's weights."""
        torch.manual_seed(self.folder.seed + 1)
        made = self.kind(self.sizes, self.spec.control).to(self.device)
        if stage is not None:
            state.load_module(
                self.folder.state_of(stage), "generator" if stage == "consistency" else name, made
            )
        return made

    def latents(self) -> None:
        """Encode every episode once, with the trained VAE, and make the dreamer."""
        if hasattr(self, "clips"):
            return
        self.load_vae("autoencode")
        encoded = {}
        for part, indices in (("train", self.train_indices), ("held", self.held_indices)):
            encoded[part] = encode_all(
                self.vae,
                self.episodes,
                indices,
                self.pixels,
                self.folder.path / "latents",
                self.bf16,
            )
        self.frames.clear()
        self.clips = LatentClips(encoded["train"], self.device)
        self.held = LatentClips(encoded["held"], self.device)
        obeyed = self.watch(self.spec, self.device) if self.watch else None
        self.dreamer = Dreamer(self.vae, self.held, obeyed=obeyed)

    def load_vae(self, stage: str) -> None:
        """The VAE as a stage left it: autoencode, or polish, whose encoder and latents are the same."""
        state.load_module(self.folder.state_of(stage), "vae", self.vae)
        self.vae.eval().requires_grad_(False)

    def stage(self, name: str) -> loop.Stage:
        """Build a stage from what the stages before it left."""
        r = self.recipe
        if name == "autoencode":
            train, held = (FrameClips(self.decoded(part), r.k) for part in ("train", "held"))
            return AutoencodeStage(r.autoencode, self.vae, train, held, self.device)
        if name == "polish":
            self.load_vae("autoencode")
            train, held = (FrameClips(self.decoded(part), r.k) for part in ("train", "held"))
            return PolishStage(r.polish, self.vae, train, held, self.device)
        if name == "imitate":
            controls = [self.episodes.controls(i) for i in self.train_indices]
            torch.manual_seed(self.folder.seed + 3)
            policy = Policy(self.spec.control, r.k, r.imitate.width).to(self.device)
            return ImitateStage(r.imitate, policy, self.decoded("train"), controls, self.device)
        self.latents()
        if name == "diffusion":
            made = DiffusionStage(r.diffusion, self.generator(), self.clips, self.dreamer)
            if (
                self.compile
            ):  # in place: names of weights stay, and the average has its own plain passes
                made.generator.compile(dynamic=False)
            return made
        if name == "consistency":
            student, teacher = self.generator("diffusion"), self.generator("diffusion")
            return ConsistencyStage(r.consistency, student, teacher, self.clips, self.dreamer)
        if name == "outcome":
            torch.manual_seed(self.folder.seed + 4)
            rest = self.generator(self.last_generated()), self.clips, self.held
            return OutcomeStage(r.outcome, self.outcome_head(), *rest)
        torch.manual_seed(self.folder.seed + 2)  # whatever was built before it in this process
        return self.contest(name, getattr(r, name))

    def last_generated(self) -> str:
        """The latest stage whose weights can play, which is what the checkpoint holds."""
        done = [name for name in GENERATED if self.folder.state_of(name).is_file()]
        return done[-1] if done else GENERATED[-1]

    def outcome_head(self) -> OutcomeHead:
        """A new outcome head."""
        c = self.recipe.outcome
        return OutcomeHead(self.sizes, c.width, c.bins).to(self.device)

    def contest(self, name: str, settings: Adversarial) -> AdversarialStage:
        """The adversarial stage, from consistency and diffusion weights; or the long one, from where that one ended."""
        critic = Critic(self.sizes, self.spec.control, settings.heads).to(self.device)
        if name == "long":
            generator = self.generator("adversarial", "generator")
            state.load_module(self.folder.state_of("adversarial"), "critic", critic)
        else:
            generator = self.generator("consistency")
            critic.start_from(self.generator("diffusion"))
        rest = self.clips, self.dreamer, name, self.shown() if settings.wrong_controls else None
        return AdversarialStage(settings, generator, critic, *rest)

    def shown(self) -> Tensor:
        """[h, w] bool: cells of a latent with any pixel on which the game displays the control."""
        mask = torch.from_numpy(control_mask(self.spec)).float()[None]
        return F.max_pool2d(mask, self.spec.stride)[0].bool()

    def run_stage(self, name: str, deadline: float) -> bool:
        """Run one stage to its end or to the deadline; a complete one is not built again."""
        ceiling = self.folder.path / name / "psnr.json"
        if self.folder.complete(name) and (name not in CODERS or ceiling.is_file()):
            return True
        settings = getattr(self.recipe, name)
        stage = self.stage(name)
        done = loop.train(
            stage,
            loop.Run(
                folder=self.folder.path / name, seed=self.folder.seed, steps=settings.steps, deadline=deadline,
                seconds=settings.share * self.folder.budget, device=self.device, bf16=self.bf16,
            ),
        )  # fmt: skip
        if name in CODERS and done:
            held = FrameClips(self.decoded("held"), self.recipe.k)
            psnr = held_out_psnr(self.vae.eval(), held, self.device)
            ceiling.write_text(json.dumps({"held_out_psnr_db": round(psnr, 3)}))
            print(f"VAE on held-out episodes: {psnr:.2f} dB")
        if isinstance(stage, OutcomeStage) and done:
            found = json.dumps(stage.calibration())
            (self.folder.path / name / "calibration.json").write_text(found)
            print(f"outcome on held-out episodes: {found}")
        return done

    def write(self, name: str, before: bool) -> None:
        """Put what a stage learned into the checkpoint, unless it was complete `before` and lies there."""
        if name in GENERATED:
            later = GENERATED[GENERATED.index(name) + 1 :]
            places = (self.checkpoint, self.folder.path / name / "checkpoint")
            there = all((place / "config.json").is_file() for place in places)
            if not before or not (there or any(self.folder.state_of(n).is_file() for n in later)):
                self.write_checkpoint(name)
        elif name == "polish":
            trained = [n for n in GENERATED if self.folder.complete(n)]
            if trained and not before:
                self.write_checkpoint(trained[-1])
                if self.folder.complete("outcome"):  # it reads features, which know no decoder
                    self.write_outcome()
        elif (self.checkpoint / "config.json").is_file():
            if name == "imitate":
                self.write_policy()
            elif name == "outcome" and self.folder.complete(name):
                self.write_outcome()

    def write_checkpoint(self, stage: str) -> None:
        """Write the stage's averaged weights as a world that plays."""
        self.load_vae("polish" if self.folder.complete("polish") else "autoencode")
        meta = state.read_meta(self.folder.state_of(stage))
        training = {
            "recipe": self.recipe.name, "stage": stage, "step": int(meta["step"]), "seed": self.folder.seed,
            "budget_seconds": self.folder.budget, "frames": sum(e.length for e in self.episodes.index),
            "device": str(self.device), "machine": platform.processor() or platform.machine(),
        }  # fmt: skip
        checkpoint.save(
            self.checkpoint,
            self.spec,
            self.generator(stage),
            self.vae,
            beginnings(self.episodes, self.held_indices or self.train_indices, self.folder.seed),
            training,
        )
        own = self.folder.path / stage / "checkpoint"  # to be measured beside the other stages
        shutil.copytree(self.checkpoint, own, dirs_exist_ok=True)

    def write_outcome(self) -> None:
        """Add the outcome head to the checkpoint."""
        head = self.outcome_head()
        state.load_module(self.folder.state_of("outcome"), "outcome", head)
        checkpoint.save_outcome(self.checkpoint, head)

    def write_policy(self) -> None:
        """Add the cloned player to the checkpoint."""
        policy = Policy(self.spec.control, self.spec.k, self.recipe.imitate.width)
        state.load_module(self.folder.state_of("imitate"), "policy", policy)
        checkpoint.save_policy(self.checkpoint, policy)
