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
from aapt_env.train.viewing import Viewer, Viewing


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
    viewing: Viewing | None = None  # a critic of frames, if any


@dataclass(frozen=True)
class Shown:
    """What the decoder makes of a window, with the graph that leads to it, beside what was there."""

    pixels: Tensor  # [B, T, k, 3, H, W] around [-1, 1]
    target: Tensor  # the same shape


def detail(pixels: Tensor) -> Tensor:
    """Second differences along and down, [..., H, W] -> [n, 2, H - 2, W - 2]: what blur takes first."""
    x = pixels.float().flatten(0, -3)
    return torch.stack([x.diff(n=2, dim=-1)[:, 1:-1], x.diff(n=2, dim=-2)[..., 1:-1]], dim=1)


def stream(pixels: Tensor) -> Tensor:
    """Frames as they are shown one after another, [B, 1 + n, k, 3, H, W] -> [B, 1 + n * k, 3, H, W] in float32."""
    return torch.cat([pixels[:, :1, -1], pixels[:, 1:].flatten(1, 2)], dim=1).float()


class PolishStage(Stage):
    """Reconstruction as in stage 1, but the encoder and with it every latent stays as it is.

    What the generator learned holds, and a step costs half, so the decoder can be trained until it is good enough.
    By reconstruction alone it blurs away whatever it is not sure of; `grain` asks for as much fine detail as was there,
    `stir` for as much change, and the critic of `viewing` for frames that look like the game's.
    """

    def __init__(
        self,
        config: Polish,
        vae: VAE,
        train: FrameClips,
        held_out: FrameClips,
        device: torch.device,
    ):
        self.viewer = Viewer(config.viewing, vae) if config.viewing else None
        critic = {"viewer": self.viewer.critic} if self.viewer else {}
        super().__init__(name="polish", modules={"vae": vae} | critic)
        self.config, self.vae, self.train, self.held_out = config, vae, train, held_out
        self.device = device
        vae.requires_grad_(True)
        optimizer = adam(vae.decoder, config.lr, (0.9, 0.99), decay=0.0)
        self.turns = [Turn("decoder", (vae.decoder,), optimizer, self.losses)]
        if self.viewer:
            judge, own = self.viewer.optimizer, (self.viewer.critic,)
            self.turns.insert(0, Turn("viewer", own, judge, self.viewer_losses, clip=10.0))

    def batch(self, dice: Dice) -> Shown:
        """Windows, decoded once for all turns: nothing of it changes before the decoder's."""
        vae, c = self.vae, self.config
        frames = self.train.sample(dice, c.batch, c.latents).to(self.device)
        with torch.no_grad():
            latents = vae.encode(frames)
        torch.clear_autocast_cache()
        latents = latents + c.noise * dice.normal(*latents.shape)
        pixels, _ = vae.decode_float(latents, vae.start(len(latents), *latents.shape[-2:]))
        return Shown(pixels, rearrange(vae.groups(frames), "b t (k c) h w -> b t k c h w", c=3))

    def losses(self, shown: Shown, dice: Dice) -> Losses:
        """One loss; `psnr` in dB over the batch."""
        c, pixels, target = self.config, shown.pixels, shown.target
        loss, squared = reconstruction(pixels, target, c.edges)
        fine, real = detail(pixels), detail(target)
        loss = loss + c.grain * (strength(fine) - strength(real)).abs().mean()
        if c.stir:
            loss = loss + c.stir * unstirred(pixels, target)
        found = {
            "psnr": -10 * torch.log10(squared.detach() / 4),
            "sharpness": fine.detach().square().mean() / real.square().mean(),
            "loss": loss.detach(),
        }
        if self.viewer is not None:
            plea, told = self.viewer.plead(stream(target), stream(pixels))
            loss, found = loss + plea, found | told
        yield loss, found

    def viewer_losses(self, shown: Shown, dice: Dice) -> Losses:
        """The critic's of frames."""
        assert self.viewer is not None
        yield self.viewer.judge(stream(shown.target), stream(shown.pixels.detach()), dice)

    def picture(self) -> np.ndarray:
        """Held-out windows, the real ones over their reconstructions."""
        return AutoencodeStage.picture(self)  # type: ignore[arg-type]
