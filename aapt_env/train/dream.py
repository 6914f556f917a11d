"""What a stage's weights dream on held-out controls, for the contact sheets and the motion alarm."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from aapt_env.model.cache import RingCache
from aapt_env.model.generator import Generator
from aapt_env.model.rollout import rollout
from aapt_env.model.vae import VAE
from aapt_env.picture import sheet
from aapt_env.train.clips import Clip, LatentClips
from aapt_env.train.dice import Dice


class Dreamer:
    """Rolls weights out on fixed held-out windows, one pass per latent, exactly as played."""

    def __init__(
        self,
        vae: VAE,
        clips: LatentClips,
        length: int = 48,
        rows: int = 6,
        given: int = 5,
        obeyed: Callable[[np.ndarray, np.ndarray], float] | None = None,
    ):
        self.vae, self.given, self.obeyed = vae, given, obeyed
        most = clips.longest if clips.longest > given else int(clips.lengths.sum()) - 1
        self.clip = clips.sample(Dice.of(3, "dreamer", 0), rows, min(length, most))

    @torch.no_grad()
    def latents(self, generator: Generator, clip: Clip | None = None) -> Tensor:
        """[B, 1 + T, C, h, w]; the first `given` are real."""
        clip = clip or self.clip
        noise = Dice.of(4, "dreamer", 0, clip.latents.device).normal(*clip.latents[:, 1:].shape)
        kv = generator.trunk.scene(clip.scene)
        cache = RingCache(generator.trunk.rope, kv, generator.config.window)
        return rollout(
            generator, clip.latents, clip.controls, noise, cache, min(self.given, noise.shape[1])
        )

    @torch.no_grad()
    def frames(self, latents: Tensor) -> Tensor:
        """[B, 1 + T, C, h, w] -> [B, 1 + T, H, W, 3]: the last frame of each latent."""
        return self.decoded(latents)[:, :, -1]

    def decoded(self, latents: Tensor) -> Tensor:
        """[B, 1 + T, C, h, w] -> [B, 1 + T, k, H, W, 3] of the picture's channels."""
        return self.vae.decode(latents[:, :, : self.vae.config.channels])[0]

    @torch.no_grad()
    def sheet(self, generator: Generator) -> np.ndarray:
        """Dream over twin: for each window, what is dreamt above what the game did with the same controls."""
        dream, real = self.frames(self.latents(generator)), self.frames(self.clip.latents)
        show = slice(self.given - 1, None, 4)
        rows = [r[show].cpu().numpy() for pair in zip(dream, real, strict=True) for r in pair]
        return sheet(rows, ["dream", "game"] * len(dream))

    @torch.no_grad()
    def exam(self, generator: Generator) -> dict[str, float]:
        """{"control": share of controls that a meter reads back from the dreams}; empty without one."""
        if self.obeyed is None:
            return {}
        shown = self.decoded(self.latents(generator))[:, self.given - 1 :]
        clips = torch.cat([shown[:, 0, -1:], shown[:, 1:].flatten(1, 2)], dim=1).cpu().numpy()
        rows = self.clip.controls[:, self.given - 1 :, 0].cpu().numpy()
        return {"control": self.obeyed(clips, rows)}

    @torch.no_grad()
    def motion(self, generator: Generator) -> float:
        """Mean change between latents, dream over game: under 0.7 the world is freezing."""
        dream, real = self.latents(generator)[:, self.given :], self.clip.latents[:, self.given :]
        return float(dream.diff(dim=1).abs().mean() / real.diff(dim=1).abs().mean().clamp(min=1e-6))
