"""`aapt train`: data, stages in turn, and a playable checkpoint at every stop."""

from __future__ import annotations

import dataclasses
import json
import platform
import time
from pathlib import Path

import torch

from aapt_env import checkpoint
from aapt_env.data.episodes import Episodes, load_frames
from aapt_env.device import fast_bf16, pick
from aapt_env.model.critic import Critic
from aapt_env.model.generator import Generator
from aapt_env.model.policy import Policy
from aapt_env.model.vae import VAE
from aapt_env.starts import PREFIX, Start
from aapt_env.train import loop, state
from aapt_env.train.adversarial import AdversarialStage
from aapt_env.train.autoencode import AutoencodeStage, held_out_psnr
from aapt_env.train.clips import FrameClips, LatentClips
from aapt_env.train.dice import Dice
from aapt_env.train.diffusion import ConsistencyStage, DiffusionStage
from aapt_env.train.dream import Dreamer
from aapt_env.train.encode import encode_all
from aapt_env.train.imitate import ImitateStage
from aapt_env.train.recipes import STAGES, Recipe, recipe

GENERATED = STAGES[1:4]  # stages whose weights can play
STARTS = 64


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
) -> None:
    """Train a world of `game` through the recipe's stages; see `aapt train --help`.

    Args:
        game: as everywhere: driving, gym:ID or dream:NAME.
        recipe: a name, or a Recipe of one's own.
        stage: only this stage.
        budget: seconds for all stages; None for the recipe's.
        time_limit: seconds after which this call stops, resumable and playable.
        resume: go on in `out`.
        data: the dataset's folder, recorded first when there is none.
        out: the run's folder.
        device: auto, cpu or cuda.
        seed: of weights, noise and the order of clips.

    Raises:
        ValueError: contradicting arguments, a dataset of another size, a damaged state.
    """
    begun = time.monotonic()
    deadline = begun + time_limit if time_limit else float("inf")
    training = Training(game, recipe, budget, Path(out or f"runs/{game}"), device, seed)
    names = training.plan(stage, resume)
    training.open_data(Path(data or f"data/{game}"), deadline)
    for name in names:
        done = training.run_stage(name, deadline)
        if name in GENERATED:
            training.write_checkpoint(name)
        elif name == "imitate" and (training.out / "checkpoint" / "config.json").is_file():
            training.write_policy()
        if not done:
            print(f"stopped by the time limit in stage {name}; --resume goes on")
            return
    print(f"trained {', '.join(names)}; the world is in {training.out / 'checkpoint'}")


class Training:
    """One run's folder, data and weights."""

    def __init__(
        self,
        game: str,
        recipe_name: str | Recipe,
        budget: float | None,
        out: Path,
        device: str,
        seed: int,
    ):
        self.game, self.out, self.seed = game, out, seed
        self.recipe = recipe(recipe_name) if isinstance(recipe_name, str) else recipe_name
        self.budget = budget or self.recipe.budget
        self.device = pick(device)
        self.bf16 = fast_bf16(self.device)
        self.frames: dict[str, list] = {}

    def plan(self, stage: str | None, resume: bool) -> list[str]:
        """The stages to run; refuses to overwrite a run by accident."""
        if stage is not None and stage not in STAGES:
            raise ValueError(f"unknown stage {stage!r}; the recipe has {', '.join(STAGES)}")
        mark = self.out / "run.json"
        about = json.loads(json.dumps(dataclasses.asdict(self.recipe)))
        if mark.is_file():
            before = json.loads(mark.read_text())
            if not resume and stage is None:
                raise ValueError(
                    f"{self.out} holds a run; go on with --resume, or choose another --out"
                )
            self.budget = before["budget"] if resume else self.budget
            sizes = [k for k in about if k not in STAGES and before["recipe"].get(k) != about[k]]
            if sizes:
                raise ValueError(
                    f"{self.out} was begun with other {', '.join(sizes)}; use the same recipe, or another --out"
                )
        if stage is not None and not resume:
            (self.out / stage / "state.safetensors").unlink(missing_ok=True)
        self.out.mkdir(parents=True, exist_ok=True)
        mark.write_text(
            json.dumps(
                {"game": self.game, "budget": self.budget, "seed": self.seed, "recipe": about},
                indent=1,
            )
        )
        return list(STAGES) if stage is None else [stage]

    def open_data(self, data: Path, deadline: float) -> None:
        """Open the dataset, recording it first when there is none."""
        r = self.recipe
        if not (data / "meta" / "aapt.json").is_file():
            from aapt_env.data.record import record

            record(game=self.game, out=data, frames=r.frames, height=r.size, width=r.size, k=r.k,
                   max_seconds=r.max_seconds)  # fmt: skip
        self.episodes = Episodes.open(data)
        spec = self.episodes.spec
        if (spec.height, spec.width, spec.k) != (r.size, r.size, r.k):
            raise ValueError(
                f"{data} has frames of {spec.height}x{spec.width} with k={spec.k}; recipe {r.name!r} wants "
                f"{r.size}x{r.size} with k={r.k}: record again, or choose another recipe"
            )
        self.train_indices, self.held_indices = self.episodes.split()
        self.spec, self.sizes, coder = r.sizes(spec)
        torch.manual_seed(self.seed)
        self.vae = VAE(coder).to(self.device)

    def decoded(self, part: str) -> list:
        """The frames of the train or held-out episodes, decoded once."""
        if part not in self.frames:
            indices = self.train_indices if part == "train" else self.held_indices
            self.frames[part] = load_frames(self.episodes, indices)
        return self.frames[part]

    def state_of(self, stage: str) -> Path:
        """Where a stage keeps its state."""
        return self.out / stage / "state.safetensors"

    def generator(self, stage: str | None = None, name: str = "ema") -> Generator:
        """A new generator, or a trained stage's weights."""
        torch.manual_seed(self.seed + 1)
        made = Generator(self.sizes, self.spec.control).to(self.device)
        if stage is not None:
            state.load_module(
                self.state_of(stage), "generator" if stage == "consistency" else name, made
            )
        return made

    def latents(self) -> None:
        """Encode every episode once, with the trained VAE, and make the dreamer."""
        if hasattr(self, "clips"):
            return
        state.load_module(self.state_of("autoencode"), "vae", self.vae)
        self.vae.eval().requires_grad_(False)
        encoded = {}
        for part, indices in (("train", self.train_indices), ("held", self.held_indices)):
            frames = LazyFrames(self, part)
            encoded[part] = encode_all(
                self.vae, self.episodes, indices, frames, self.out / "latents", self.bf16
            )
        self.frames.clear()
        self.clips = LatentClips(encoded["train"], self.device)
        self.held = LatentClips(encoded["held"], self.device)
        self.dreamer = Dreamer(self.vae, self.held)

    def stage(self, name: str) -> loop.Stage:
        """Build a stage from what the stages before it left."""
        r = self.recipe
        if name == "autoencode":
            train, held = (FrameClips(self.decoded(part), r.k) for part in ("train", "held"))
            return AutoencodeStage(r.autoencode, self.vae, train, held, self.device)
        if name == "imitate":
            controls = [self.episodes.controls(i) for i in self.train_indices]
            policy = Policy(self.spec.control, r.k, r.imitate.width).to(self.device)
            return ImitateStage(r.imitate, policy, self.decoded("train"), controls, self.device)
        self.latents()
        if name == "diffusion":
            return DiffusionStage(r.diffusion, self.generator(), self.clips, self.dreamer)
        if name == "consistency":
            student, teacher = self.generator("diffusion"), self.generator("diffusion")
            return ConsistencyStage(r.consistency, student, teacher, self.clips, self.dreamer)
        critic = Critic(self.sizes, self.spec.control, r.adversarial.heads).to(self.device)
        critic.start_from(self.generator("diffusion"))
        return AdversarialStage(
            r.adversarial, self.generator("consistency"), critic, self.clips, self.dreamer
        )

    def run_stage(self, name: str, deadline: float) -> bool:
        """Run one stage to its end or to the deadline; a complete one is not built again."""
        path = self.state_of(name)
        if path.is_file():
            meta = state.read_meta(path)
            if meta["step"] == meta["steps"]:
                return True
        settings = getattr(self.recipe, name)
        stage = self.stage(name)
        done = loop.train(
            stage,
            loop.Run(
                folder=self.out / name, seed=self.seed, steps=settings.steps, deadline=deadline,
                seconds=settings.share * self.budget, device=self.device, bf16=self.bf16,
            ),
        )  # fmt: skip
        if name == "autoencode" and done:
            held = FrameClips(self.decoded("held"), self.recipe.k)
            psnr = held_out_psnr(self.vae.eval(), held, self.device)
            (path.parent / "psnr.json").write_text(json.dumps({"held_out_psnr_db": round(psnr, 3)}))
            print(f"VAE on held-out episodes: {psnr:.2f} dB")
        return done

    def starts(self) -> list[Start]:
        """Beginnings out of held-out episodes, spread over them."""
        k, span = self.spec.k, PREFIX * self.spec.k
        longest = [i for i in self.held_indices if self.episodes.index[i].length > 2 * span]
        pool = longest or self.held_indices
        dice, found = Dice.of(self.seed, "starts", 0), []
        for n in range(STARTS):
            i = pool[n % len(pool)]
            room = max(1, (self.episodes.index[i].length - 2 * span) // k)
            first = k * int(dice.pick.integers(min(room, 20 * self.spec.frame_fps // k)))
            about = self.episodes.index[i]
            found.append(Start(
                frames=self.episodes.frames(i, first, first + span + 1),
                controls=self.episodes.controls(i)[: first + span], seed=about.seed, scene=about.scene,
            ))  # fmt: skip
        return found

    def write_checkpoint(self, stage: str) -> None:
        """Write the stage's averaged weights as a world that plays."""
        if not hasattr(self, "clips"):
            state.load_module(self.state_of("autoencode"), "vae", self.vae)
        meta = state.read_meta(self.state_of(stage))
        training = {
            "recipe": self.recipe.name, "stage": stage, "step": int(meta["step"]), "seed": self.seed,
            "budget_seconds": self.budget, "frames": sum(e.length for e in self.episodes.index),
            "device": str(self.device), "machine": platform.processor() or platform.machine(),
        }  # fmt: skip
        checkpoint.save(
            self.out / "checkpoint",
            self.spec,
            self.generator(stage),
            self.vae,
            self.starts(),
            training,
        )

    def write_policy(self) -> None:
        """Add the cloned player to the checkpoint."""
        policy = Policy(self.spec.control, self.spec.k, self.recipe.imitate.width)
        state.load_module(self.state_of("imitate"), "policy", policy)
        checkpoint.save_policy(self.out / "checkpoint", policy)


class LazyFrames:
    """The frames of a part's episodes, decoded one by one as they are encoded."""

    def __init__(self, training: Training, part: str):
        self.training, self.part = training, part

    def __iter__(self):
        t = self.training
        if self.part in t.frames:
            yield from t.frames[self.part]
            return
        for i in t.train_indices if self.part == "train" else t.held_indices:
            yield t.episodes.frames(i)
