"""What a machine can do: seconds of real updates of every stage, on noise; and how much memory is free."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from aapt_env.device import fast_bf16, fixed_shapes
from aapt_env.model.critic import Critic
from aapt_env.model.generator import Generator
from aapt_env.model.vae import VAE
from aapt_env.spec import WorldSpec
from aapt_env.train import loop
from aapt_env.train.adversarial import AdversarialStage
from aapt_env.train.autoencode import AutoencodeStage
from aapt_env.train.clips import EncodedEpisode, FrameClips, LatentClips
from aapt_env.train.diffusion import ConsistencyStage, DiffusionStage
from aapt_env.train.dream import Dreamer
from aapt_env.train.recipes import Recipe


@dataclass(frozen=True)
class Measure:
    """What an update of each stage takes here, at one of the sizes."""

    recipe: Recipe
    seconds: dict[str, float]  # per update
    weights: dict[str, int]  # parameters of generator and VAE


def measure(recipe: Recipe, spec: WorldSpec, device: torch.device, deadline: float) -> Measure:
    """Time real updates of every stage at a recipe's sizes, on noise: one to warm up, then one or two."""
    spec, sizes, coder = recipe.sizes(spec)
    rng, bf16 = np.random.default_rng(0), fast_bf16(device)
    vae = VAE(coder).to(device)
    frames = [
        rng.integers(0, 256, (1 + 24 * recipe.k, spec.height, spec.width, 3), dtype=np.uint8)
        for _ in range(2)
    ]
    clips = FrameClips(frames, recipe.k, device)
    latents = LatentClips([_noise(spec, 24) for _ in range(4)], device)
    dreamer = Dreamer(vae, latents, length=14, rows=2)
    make = lambda: Generator(sizes, spec.control).to(device)  # noqa: E731
    critic = Critic(sizes, spec.control, recipe.adversarial.heads).to(device)
    generator = make()
    stages = [
        AutoencodeStage(recipe.autoencode, vae, clips, clips, device),
        DiffusionStage(recipe.diffusion, generator, latents, dreamer),
        ConsistencyStage(recipe.consistency, make(), make(), latents, dreamer),
        AdversarialStage(
            recipe.adversarial, generator, critic, latents, dreamer, "adversarial", None
        ),
    ]
    seconds = {stage.name: _seconds(stage, device, bf16, deadline) for stage in stages}
    seconds["long"] = (
        1.2 * seconds["adversarial"]
    )  # leads without gradient: 3.2 s against 2.7 s on driving
    weights = {
        name: sum(p.numel() for p in m.parameters())
        for name, m in (("generator", generator), ("VAE", vae))
    }
    return Measure(recipe, seconds, weights)


def free_memory(device: torch.device) -> int | None:
    """Bytes that are free; None where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(
            1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable")
        )
    except (OSError, StopIteration, ValueError, IndexError):
        return None


def _noise(spec: WorldSpec, count: int) -> EncodedEpisode:
    """An episode of noise."""
    latents = torch.randn(1 + count, *spec.latent_shape).half()
    rows = torch.zeros(count, spec.k, spec.control.width)
    return EncodedEpisode(latents, latents, rows, torch.zeros(len(spec.scenes), dtype=torch.int64))


def _seconds(stage: loop.Stage, device: torch.device, bf16: bool, deadline: float) -> float:
    """Seconds of an update, without the first one unless time is short."""
    run = loop.Run(folder=Path(), device=device, bf16=bf16)
    base = {turn.name: [g["lr"] for g in turn.optimizer.param_groups] for turn in stage.turns}
    best = float("inf")
    for step in range(3):
        begun = time.monotonic()
        with fixed_shapes(device):
            loop.advance(stage, run, step, base, 0.0, Path())
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.monotonic() - begun)
        if time.monotonic() > deadline:
            break
    return best
