"""What a run has learned, put into its checkpoint: after every stage there is a world that plays."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path

import torch

from aapt_env import checkpoint
from aapt_env.tensors import half, write_tensors
from aapt_env.train import state
from aapt_env.train.beginnings import beginnings
from aapt_env.train.training import CRITIC, GENERATED, Training

CONTESTS = ("adversarial", "long")


def write(training: Training, name: str, before: bool) -> None:
    """Put what a stage learned into the checkpoint, unless it was complete `before` and lies there."""
    if name in GENERATED:
        later = GENERATED[GENERATED.index(name) + 1 :]
        places = (training.checkpoint, training.folder.path / name / "checkpoint")
        there = all((place / "config.json").is_file() for place in places)
        if not before or not (there or any(training.folder.state_of(n).is_file() for n in later)):
            write_checkpoint(training, name)
    elif name == "polish":
        if any(map(training.folder.complete, GENERATED)) and not before:
            write_checkpoint(training, training.last_generated())
            if training.folder.complete("outcome"):  # it reads features, which know no decoder
                write_outcome(training)
        elif training.origin is not None and training.folder.complete(name) and not before:
            write_polished(training, training.origin)
    elif (training.checkpoint / "config.json").is_file():
        if name == "imitate":
            write_policy(training)
        elif name == "outcome" and training.folder.complete(name):
            write_outcome(training)


def write_checkpoint(training: Training, stage: str) -> None:
    """Write the stage's averaged weights as a world that plays: the run's, unless a later stage has that already."""
    folder, episodes = training.folder, training.data.episodes
    training.load_vae("polish" if folder.complete("polish") else "autoencode")
    meta = state.read_meta(folder.state_of(stage))
    about = {
        "recipe": training.recipe.name, "stage": stage, "step": int(meta["step"]), "seed": folder.seed,
        "budget_seconds": folder.budget, "frames": sum(e.length for e in episodes.index),
        "device": str(training.device), "machine": platform.processor() or platform.machine(),
    }  # fmt: skip
    carry = training.spec.carried is not None
    starts = beginnings(episodes, training.data.unseen, folder.seed, carry)
    parts = training.spec, training.generator(stage), training.vae, starts, about
    own = folder.path / stage / "checkpoint"  # to be measured beside the other stages
    if training.last_generated() == stage:
        checkpoint.save(training.checkpoint, *parts)
        shutil.copytree(training.checkpoint, own, dirs_exist_ok=True)
    else:
        checkpoint.save(own, *parts)
    if stage in CONTESTS:
        write_tensors(own, {CRITIC: half(training.critic(stage))})


def write_polished(training: Training, origin: Path) -> None:
    """The world that was begun with, whole, but for the decoder that learned on; none where its encoder did too."""
    world, steps = (
        checkpoint.read(origin),
        state.read_meta(training.folder.state_of("polish"))["steps"],
    )
    training.load_vae("polish")
    theirs, ours = (vae.encoder.state_dict() for vae in (world.vae, training.vae))
    if any(not torch.equal(value.cpu(), theirs[name]) for name, value in ours.items()):
        return  # its generator knows other latents
    training.checkpoint.mkdir(parents=True, exist_ok=True)
    if (origin / checkpoint.POLICY).is_file():
        shutil.copyfile(origin / checkpoint.POLICY, training.checkpoint / checkpoint.POLICY)
    about = {**world.training, "polished": int(steps)}
    checkpoint.save(
        training.checkpoint, world.spec, world.generator, training.vae, world.starts, about
    )
    checkpoint.take(training.checkpoint, origin, checkpoint.STARTS)  # JPEG once is enough
    if world.outcome is not None:
        checkpoint.save_outcome(training.checkpoint, world.outcome)


def write_outcome(training: Training) -> None:
    """Add the outcome head to the checkpoint."""
    head = training.outcome_head()
    state.load_module(training.folder.state_of("outcome"), "outcome", head)
    checkpoint.save_outcome(training.checkpoint, head)


def write_policy(training: Training) -> None:
    """Add the cloned player to the checkpoint."""
    policy = training.policy()
    state.load_module(training.folder.state_of("imitate"), "policy", policy)
    checkpoint.save_policy(training.checkpoint, policy)
