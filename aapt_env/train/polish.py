"""Last stage of the picture: the decoder alone, on the latents that everything else was trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from aapt_env.model.vae import VAE
from aapt_env.train.autoencode import AutoencodeStage, reconstruction, strength, unstirred
from aapt_env.train.clips import FrameClips
from aapt_env.train.dice import Dice
from aapt_env.train.optim import adam
from aapt_env.train.stage import Losses, Stage, Turn


@dataclass(frozen=True, kw_only=True)
class Polish:
    """Settings of the stage."""

    share: float
    steps: int | None = None
    batch: int = 6  # windows
    latents: int = 3  # latents after the first, per window
    lr: float = 4e-4
    edges: float = 0.5  # weight of the L1 of image gradients
    noise: float = (
        0.05  # of the unit-variance latents: dreams are never quite where the encoder would be
    )
    grain: float = 2.0  # weight of the L1 between how much fine detail there is, patch by patch
    stir: float = 0.0  # and between how much changes from frame to frame


def detail(pixels: Tensor) -> Tensor:
    """Second differences along and down, [..., H, W] -> [n, 2, H - 2, W - 2]: what blur takes first."""
    x = pixels.float().flatten(0, -3)
    return torch.stack([x.diff(n=2, dim=-1)[:, 1:-1], x.diff(n=2, dim=-2)[..., 1:-1]], dim=1)


class PolishStage(Stage):
    """Reconstruction as in stage 1, but the encoder and with it every latent stays as it is.

    What the generator learned holds, and a step costs half, so the decoder can be trained until it is good enough.
    By reconstruction alone it blurs away whatever it is not sure of; `grain` asks for as much fine detail as was there.
    """

    def __init__(
        self,
        config: Polish,
        vae: VAE,
        train: FrameClips,
        held_out: FrameClips,
        device: torch.device,
    ):
        super().__init__(name="polish", modules={"vae": vae})
        self.config, self.vae, self.train, self.held_out = config, vae, train, held_out
        self.device = device
        vae.requires_grad_(True)
        optimizer = adam(vae.decoder, config.lr, (0.9, 0.99), decay=0.0)
        self.turns = [Turn("decoder", (vae.decoder,), optimizer, self.losses)]

    def batch(self, dice: Dice) -> Tensor:
        """[B, 1 + nk, H, W, 3] uint8."""
        return self.train.sample(dice, self.config.batch, self.config.latents).to(self.device)

    def losses(self, frames: Tensor, dice: Dice) -> Losses:
        """One loss; `psnr` in dB over the batch."""
        vae = self.vae
        with torch.no_grad():
            latents = vae.encode(frames)
        torch.clear_autocast_cache()
        latents = latents + self.config.noise * dice.normal(*latents.shape)
        start = vae.start(len(latents), *latents.shape[-2:])
        pixels, _ = vae.decode_float(latents, start)
        target = rearrange(vae.groups(frames), "b t (k c) h w -> b t k c h w", c=3)
        loss, squared = reconstruction(pixels, target, self.config.edges)
        shown, real = detail(pixels), detail(target)
        grain = (strength(shown) - strength(real)).abs().mean()
        loss = loss + self.config.grain * grain
        if self.config.stir:
            loss = loss + self.config.stir * unstirred(pixels, target)
        yield (
            loss,
            {
                "psnr": -10 * torch.log10(squared.detach() / 4),
                "sharpness": shown.detach().square().mean() / real.square().mean(),
                "loss": loss.detach(),
            },
        )

    def picture(self) -> np.ndarray:
        """Held-out windows, the real ones over their reconstructions."""
        return AutoencodeStage.picture(self)  # type: ignore[arg-type]
