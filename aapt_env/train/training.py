"""One run: its folder, its data and its weights, from which every stage is built."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor

from aapt_env import checkpoint
from aapt_env.data.episodes import Episodes
from aapt_env.device import fast_bf16, pick
from aapt_env.games import control_mask
from aapt_env.model.critic import Critic
from aapt_env.model.generator import Generator
from aapt_env.model.outcome import OutcomeHead
from aapt_env.model.policy import Policy
from aapt_env.model.vae import VAE, VAEConfig
from aapt_env.tensors import put
from aapt_env.train import loop, pilot, state
from aapt_env.train.adversarial import Adversarial, AdversarialStage
from aapt_env.train.autoencode import AutoencodeStage, held_out_psnr
from aapt_env.train.clips import FrameClips, LatentClips
from aapt_env.train.dataset import Dataset, open_dataset
from aapt_env.train.diffusion import ConsistencyStage, DiffusionStage
from aapt_env.train.dream import Dreamer
from aapt_env.train.encode import encode_all
from aapt_env.train.folder import RunFolder
from aapt_env.train.follow import FollowStage
from aapt_env.train.imitate import ImitateStage
from aapt_env.train.outcome import OutcomeStage
from aapt_env.train.pilot import Pilot
from aapt_env.train.polish import PolishStage
from aapt_env.train.recipes import STAGES, Recipe, recipe

GENERATED = STAGES[2:7]  # stages whose weights can play
CODERS = ("autoencode", "polish")  # stages that train the VAE
FORCED = STAGES[2:5]  # stages that come before the critic
CRITIC = "critic.safetensors"  # beside a stage's own checkpoint, to go on from; not part of a world


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
        origin: Path | None = None,
        plain: bool = False,
    ):
        self.watch, self.origin, self.plain = watch, origin, plain
        self.recipe = recipe(recipe_name) if isinstance(recipe_name, str) else recipe_name
        self.folder = RunFolder(out, game, self.recipe, budget or self.recipe.budget, seed)
        self.checkpoint = out / "checkpoint"
        self.device, self.compile = pick(device), compile
        self.bf16 = fast_bf16(self.device)

    def open_data(self, data: Path, deadline: float) -> bool:
        """Open the dataset, recording it first when there is none. Returns whether it is complete."""
        found = open_dataset(self.folder, data, deadline)
        if found is None:
            return False
        self.data = found
        self.spec, self.sizes, coder = self.recipe.sizes(found.episodes.spec)
        torch.manual_seed(self.folder.seed)
        self.vae = self.begun_vae(coder).to(self.device)
        return True

    def begun_vae(self, coder: VAEConfig) -> VAE:
        """A new VAE, or that of the world to begin with. Raises ValueError: its sizes are not the recipe's."""
        if self.origin is None:
            return VAE(coder)
        made = checkpoint.read(self.origin).vae.train().requires_grad_(True)
        if made.config != coder:
            raise ValueError(
                f"the VAE in {self.origin} is {made.config}; recipe {self.recipe.name!r} wants {coder}: "
                "leave out --begin-with, or choose a recipe of its sizes"
            )
        return made

    def begun_generator(self) -> Generator:
        """A new generator, with the weights of the world to begin with where that one is as large."""
        made = self.generator()
        if self.origin is not None and not self.take_generator(made):
            print(f"the generator in {self.origin} is of other sizes; a new one is trained")
        return made

    def take_generator(self, made: Generator) -> bool:
        """Give `made` the weights of the world to begin with; False where they are of other sizes."""
        assert self.origin is not None
        theirs = checkpoint.read(self.origin).generator
        shapes, wanted = ({n: v.shape for n, v in g.state_dict().items()} for g in (theirs, made))
        alike = replace(theirs.config, window=made.config.window) == made.config
        if alike and shapes == wanted:  # a longer memory has no weights of its own
            made.load_state_dict(theirs.state_dict())
            return True
        return False

    def generator(self, stage: str | None = None, name: str = "ema") -> Generator:
        """A new generator, or a trained stage's weights."""
        torch.manual_seed(self.folder.seed + 1)
        made = self.kind(self.sizes, self.spec.control).to(self.device)
        if stage is not None:
            state.load_module(self.folder.state_of(stage), name, made)
        return made

    def grown(self) -> bool:
        """Whether more episodes were recorded since, beside the training; they are in `data` then."""
        found = Episodes.open(self.data.episodes.path)
        if len(found) <= len(self.data.episodes):
            return False
        self.data = Dataset(found, self.recipe.k)
        return True

    def latents(self) -> None:
        """Encode every episode once, with the trained VAE, and make the dreamer."""
        if not self.grown() and hasattr(self, "clips"):
            return
        if self.origin is not None and not self.folder.state_of("autoencode").is_file():
            self.take_vae(*CODERS)
        self.load_vae("autoencode")
        data, folder = self.data, self.folder.path / "latents"
        encoded = {
            part: encode_all(
                self.vae, data.episodes, indices, data.pixels, folder, self.bf16, self.spec.carried
            )
            for part, indices in data.indices.items()
        }
        data.forget()
        if self.folder.complete("polish"):  # the same encoder; pictures are as they will be
            self.load_vae("polish")
        self.clips = LatentClips(encoded["train"], self.device)
        self.held = LatentClips(encoded["held"], self.device)
        obeyed = self.watch(self.spec, self.device) if self.watch else None
        self.dreamer = Dreamer(self.vae, self.held, obeyed=obeyed)

    def take_vae(self, *stages: str) -> None:
        """Make the VAE of the world to begin with this run's own, as it is: these stages were left out."""
        for stage in stages:
            path = self.folder.state_of(stage)
            path.parent.mkdir(parents=True, exist_ok=True)
            state.save(path, {"vae": self.vae}, {}, {"stage": stage, "step": 1, "steps": 1})

    def load_vae(self, stage: str) -> None:
        """The VAE as a stage left it: autoencode, or polish, whose encoder and latents are the same."""
        state.load_module(self.folder.state_of(stage), "vae", self.vae)
        self.vae.eval().requires_grad_(False)

    def stage(self, name: str) -> loop.Stage:
        """Build a stage from what the stages before it left."""
        r = self.recipe
        if name in CODERS:
            return self.coding(name)
        if name == "imitate":
            return self.imitation()
        self.latents()
        if name == "diffusion":
            made = DiffusionStage(r.diffusion, self.begun_generator(), self.clips, self.dreamer)
            self.hasten(made.generator)
            return made
        if name == "consistency":
            student, teacher = self.generator("diffusion"), self.generator("diffusion")
            return ConsistencyStage(r.consistency, student, teacher, self.clips, self.dreamer)
        if name == "follow":
            begun = self.generator(r.follow.begin)
            made = FollowStage(r.follow, begun, self.clips, self.dreamer, self.plain)
            self.hasten(made.generator)
            return made
        if name == "outcome":
            torch.manual_seed(self.folder.seed + 4)
            rest = self.generator(self.last_generated()), self.clips, self.held
            return OutcomeStage(r.outcome, self.outcome_head(), *rest)
        torch.manual_seed(self.folder.seed + 2)  # whatever was built before it in this process
        return self.contest(name, getattr(r, name))

    def coding(self, name: str) -> AutoencodeStage | PolishStage:
        """The stage that trains the VAE, or the one that trains its decoder on."""
        r = self.recipe
        if name == "polish":
            if self.origin is not None and not self.folder.state_of("autoencode").is_file():
                self.take_vae("autoencode")
            self.load_vae("autoencode")
        train, held = (self.frame_clips(part) for part in ("train", "held"))
        if name == "polish":
            return PolishStage(r.polish, self.vae, train, held, self.device)
        return AutoencodeStage(r.autoencode, self.vae, train, held, self.device)

    def frame_clips(self, part: str) -> FrameClips:
        """Windows of the frames of the "train" or "held" episodes."""
        return FrameClips(self.data.decoded(part), self.recipe.k, self.device)

    def imitation(self) -> ImitateStage:
        """The stage that clones the player of the recording."""
        data, r = self.data, self.recipe
        controls = [data.episodes.controls(i) for i in data.indices["train"]]
        torch.manual_seed(self.folder.seed + 3)
        policy = self.policy().to(self.device)
        return ImitateStage(r.imitate, policy, data.decoded("train"), controls, self.device)

    def policy(self) -> Policy:
        """A new player."""
        return Policy(self.spec.control, self.spec.k, self.recipe.imitate.width)

    def last_generated(self) -> str:
        """The latest stage whose weights can play, which is what the checkpoint holds."""
        done = [name for name in GENERATED if self.folder.state_of(name).is_file()]
        return done[-1] if done else GENERATED[-1]

    def outcome_head(self) -> OutcomeHead:
        """A new outcome head."""
        c = self.recipe.outcome
        return OutcomeHead(self.sizes, c.width, c.bins).to(self.device)

    def critic(self, name: str) -> Critic:
        """A new critic for an adversarial stage, or where that has begun, its own."""
        made = Critic(self.sizes, self.spec.control, getattr(self.recipe, name).heads)
        if self.folder.state_of(name).is_file():
            state.load_module(self.folder.state_of(name), "critic", made)
        return made.to(self.device)

    def contest(self, name: str, settings: Adversarial) -> AdversarialStage:
        """The adversarial stage, its critic from the diffusion weights; or the long one, from where that one ended.

        In a run of its own the adversarial stage begins with the world to begin with, and the critic beside that.
        """
        critic = self.critic(name)
        before, folder = None, self.folder
        if name == "long":
            generator = self.generator("adversarial", "generator")
            before = self.generator("adversarial") if settings.blend else None
            state.load_module(folder.state_of("adversarial"), "critic", critic)
        elif any(folder.state_of(stage).is_file() for stage in FORCED) or not self.can_begin(name):
            generator = self.generator(settings.begin)
            critic.start_from(self.generator("diffusion"))
        elif folder.state_of(name).is_file():  # it was begun with another world
            generator = self.generator(name, "generator")
        else:
            generator = self.begun_contest(critic)
        shown = self.shown() if settings.wrong_controls else None
        flyer = self.pilot() if settings.piloted else None
        teacher = self.generator("diffusion") if settings.heed else None
        rest = self.clips, self.dreamer, name, shown, before, flyer, teacher
        made = AdversarialStage(settings, generator, critic, *rest, plain=self.plain)
        self.hasten(generator, critic)
        return made

    def can_begin(self, name: str) -> bool:
        """Whether an adversarial stage has something to begin with other than this run's stages before it."""
        return self.origin is not None or self.folder.state_of(name).is_file()

    def begun_contest(self, critic: Critic) -> Generator:
        """The generator of the world to begin with; `critic` takes the weights beside it, or where none are, its own.

        Raises:
            ValueError: one of them is of other sizes, or the critic's file is damaged.
        """
        assert self.origin is not None
        generator, path = self.generator(), self.origin / CRITIC
        if not self.take_generator(generator):
            raise ValueError(
                f"the generator in {self.origin} is of other sizes than recipe {self.recipe.name!r} wants: "
                "begin with its stage diffusion, or choose a recipe of its sizes"
            )
        if not path.is_file():
            critic.start_from(generator)
            return generator
        try:
            with safe_open(path, framework="pt") as file:
                put(critic, {key: file.get_tensor(key) for key in file.keys()}, str(path))  # noqa: SIM118
        except (SafetensorError, ValueError) as error:
            raise ValueError(
                f"{path} does not fit a critic with heads {self.recipe.adversarial.heads}, or is damaged: "
                "remove it to begin with a new critic, or choose the recipe that it was trained by"
            ) from error
        return generator

    def hasten(self, generator: Generator, critic: Critic | None = None) -> None:
        """Compile the masked passes that learn, where that is wanted: a block, which is six times in a trunk.

        In place: names of weights stay. The average that plays was copied before, and has its own plain passes.
        """
        if self.compile:
            for trunk in (generator.trunk, *([critic.trunk] if critic else [])):
                for block in trunk.blocks:
                    block.masked = torch.compile(block.masked, dynamic=False)

    def pilot(self) -> Pilot:
        """Who plays in rollouts; cloned from the recordings once per run."""
        path, seed = self.folder.path / "pilot.safetensors", self.folder.seed
        return pilot.ready(path, self.clips, self.spec.control, seed)

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
                seconds=settings.share * self.folder.budget, device=self.device, bf16=self.bf16, record=not self.plain,
            ),
        )  # fmt: skip
        if done and name in CODERS:
            psnr = held_out_psnr(self.vae.eval(), self.frame_clips("held"), self.device)
            ceiling.write_text(json.dumps({"held_out_psnr_db": round(psnr, 3)}))
            print(f"VAE on held-out episodes: {psnr:.2f} dB")
        if done and isinstance(stage, OutcomeStage):
            found = json.dumps(stage.calibration())
            (self.folder.path / name / "calibration.json").write_text(found)
            print(f"outcome on held-out episodes: {found}")
        return done
