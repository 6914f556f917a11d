"""What is measured: a checkpoint's world, or one of a recipe's sizes with random weights."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from aapt_env import checkpoint as checkpoints
from aapt_env.checkpoint import Checkpoint
from aapt_env.games import make_game, world_spec
from aapt_env.model.generator import Generator
from aapt_env.model.vae import VAE
from aapt_env.paths import find_checkpoint
from aapt_env.starts import PREFIX, Start
from aapt_env.train.recipes import recipe
from aapt_env.world import World


def load(game: str, folder: str | None) -> Checkpoint:
    """The checkpoint of a game, or the one in a folder.

    Raises:
        ValueError: there is none, it is damaged, or it has no start.
    """
    loaded = checkpoints.read(find_checkpoint(folder or game))
    if not loaded.starts:
        raise ValueError(f"{loaded.folder} has no start to step from; get the checkpoint again")
    return loaded


def random_weights(game: str, name: str) -> Checkpoint:
    """A world of recipe `name`'s sizes with random weights: as fast as a trained one, and nothing to look at.

    Raises:
        ValueError: an unknown game or recipe.
    """
    chosen = recipe(name)
    env = make_game(game, chosen.size, chosen.size)
    try:
        spec, trunk, coder = chosen.sizes(world_spec(env, game, chosen.k))
    finally:
        env.close()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator, vae = Generator(trunk, spec.control), VAE(coder)
        scramble(generator)
        scramble(vae)
    scene = {attribute: values[0] for attribute, values in spec.scenes.items()}
    rng, frames = np.random.default_rng(0), 1 + PREFIX * spec.k
    start = Start(
        frames=rng.integers(0, 256, (frames, spec.height, spec.width, 3), dtype=np.uint8),
        controls=np.zeros((frames - 1, spec.control.width), np.float32),
        seed=0,
        scene=scene,
    )
    return Checkpoint(spec, generator, vae, [start], "none: random weights")


@torch.no_grad()
def scramble(network: nn.Module) -> None:
    """Random matrices, also where training begins at zero: zeros draw less power, so a GPU would clock higher."""
    for parameter in network.parameters():
        if parameter.ndim > 1:
            parameter.normal_(std=parameter[0].numel() ** -0.5)


def begin(checkpoint: Checkpoint, batch: int, device: torch.device, bf16: bool | None) -> World:
    """A world with an episode begun in every row.

    Raises:
        ValueError: the batch does not fit into memory.
    """
    try:
        world = World(checkpoint, batch, device, bf16)
        for row in range(batch):
            world.reset(row, checkpoint.starts[row % len(checkpoint.starts)], seed=row)
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error).lower():
            raise
        raise ValueError(
            f"--batch {batch}: not enough memory on {device}; try fewer rows"
        ) from error
    return world


def controls(world: World, steps: int) -> np.ndarray:
    """Random controls, the same each time: [steps, B, width] float32."""
    space = world.spec.control.action_space()
    space.seed(0)
    rows = [world.spec.control.to_row(space.sample()) for _ in range(steps * world.batch)]
    return np.stack(rows).reshape(steps, world.batch, -1)
