"""What is measured: a checkpoint's world, or one of a recipe's or a shape's sizes with random weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from aapt_env import checkpoint as checkpoints
from aapt_env.bench.need import META
from aapt_env.checkpoint import Checkpoint
from aapt_env.fast import AUTO, Fast
from aapt_env.games import make_game, world_spec
from aapt_env.model.generator import Generator
from aapt_env.model.trunk import TrunkConfig
from aapt_env.model.vae import VAE, VAEConfig
from aapt_env.paths import find_checkpoint
from aapt_env.spec import WorldSpec
from aapt_env.starts import PREFIX, Start
from aapt_env.train.recipes import recipe
from aapt_env.world import World

Sizes = tuple[WorldSpec, TrunkConfig, VAEConfig]


def load(game: str, folder: str | None) -> Checkpoint:
    """The checkpoint of a game, or the one in a folder.

    Raises:
        ValueError: there is none, it is damaged, or it has no start.
    """
    loaded = checkpoints.read(find_checkpoint(folder or game))
    if not loaded.starts:
        raise ValueError(f"{loaded.folder} has no start to step from; get the checkpoint again")
    return loaded


def recipe_sizes(game: str, name: str) -> Sizes:
    """A game's world as recipe `name` has it.

    Raises:
        ValueError: an unknown game or recipe.
    """
    chosen = recipe(name)
    env = make_game(game, chosen.size, chosen.size)
    try:
        return chosen.sizes(world_spec(env, game, chosen.k))
    finally:
        env.close()


def random_weights(
    sizes: Sizes, device: torch.device, dtype: torch.dtype = torch.float32, latents: int = PREFIX
) -> Checkpoint:
    """A world of these sizes with random weights: as fast as a trained one, and nothing to look at.

    Args:
        sizes: spec, trunk and VAE.
        device: where the weights are made; on the meta device they have shapes and take no memory.
        dtype: of the generator, which is made in it, so that no larger copy is ever there.
        latents: real ones that its start has before the first dreamt one.
    """
    spec, trunk, coder = sizes
    gpus = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus), torch.device(device):
        torch.manual_seed(0)
        with made_in(dtype):
            generator = Generator(trunk, spec.control)
        vae = VAE(coder)
        if device != META:
            scramble(generator)
            scramble(vae)
    starts = [] if device == META else [random_start(spec, latents)]
    return Checkpoint(spec, generator, vae, starts, "none: random weights")


@contextlib.contextmanager
def made_in(dtype: torch.dtype) -> Iterator[None]:
    """New parameters have this dtype."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def random_start(spec: WorldSpec, latents: int) -> Start:
    """A start of noise: 1 + k * `latents` frames, at rest, in the first scene."""
    rng, frames = np.random.default_rng(0), 1 + latents * spec.k
    told = None
    if spec.carried is not None:
        told = np.tile(np.float32(spec.carried.middle), (1 + latents, 1))
    return Start(
        carried=told,
        frames=rng.integers(0, 256, (frames, spec.height, spec.width, 3), dtype=np.uint8),
        controls=np.zeros((frames - 1, spec.control.width), np.float32),
        seed=0,
        scene={attribute: values[0] for attribute, values in spec.scenes.items()},
    )


@torch.no_grad()
def scramble(network: nn.Module) -> None:
    """Random matrices, also where training begins at zero: zeros draw less power, so a GPU would clock higher."""
    for parameter in network.parameters():
        if parameter.ndim > 1:
            parameter.normal_(std=parameter[0].numel() ** -0.5)


def plan(checkpoint: Checkpoint, batch: int, bf16: bool, fast: Fast = AUTO) -> World:
    """The same world without memory: its shapes can be counted, whatever the machine.

    Raises:
        ValueError: so many rows that no number of bytes can tell.
    """
    sizes = checkpoint.spec, checkpoint.generator.config, checkpoint.vae.config
    bare = replace(random_weights(sizes, META), outcome=checkpoint.outcome)
    try:
        return World(bare, batch, META, bf16, fast=Fast(weights=fast.weights, cache=fast.cache))
    except (RuntimeError, TypeError) as error:
        if batch < 2**40:  # of sizes beyond 64 bits torch says in several ways that they are none
            raise
        raise ValueError(
            f"--batch {batch}: not enough memory on any machine; try fewer rows"
        ) from error


def begin(
    checkpoint: Checkpoint,
    batch: int,
    device: torch.device,
    bf16: bool | None,
    fast: Fast = AUTO,
) -> World:
    """A world with an episode begun in every row; it takes the checkpoint's networks for itself.

    Raises:
        ValueError: the batch does not fit into memory.
    """
    try:
        world = World(checkpoint, batch, device, bf16, share=True, fast=fast)
        starts = [checkpoint.starts[row % len(checkpoint.starts)] for row in range(batch)]
        world.reset_rows(list(range(batch)), starts, list(range(batch)))
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise ValueError(
            f"--batch {batch}: not enough memory on {device}; try fewer rows"
        ) from error
    return world


def out_of_memory(error: Exception) -> bool:
    """Whether that is what is wrong; on a CPU torch has no type for it, and words that differ by system."""
    said = ("allocate memory", "not enough memory", "out of memory")
    typed = isinstance(error, (MemoryError, torch.OutOfMemoryError))
    return typed or any(words in str(error).lower() for words in said)


def controls(world: World, steps: int) -> np.ndarray:
    """Random controls, the same each time: [steps, B, width] float32."""
    space = world.spec.control.action_space()
    space.seed(0)
    rows = [world.spec.control.to_row(space.sample()) for _ in range(steps * world.batch)]
    return np.stack(rows).reshape(steps, world.batch, -1)
