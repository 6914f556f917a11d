"""Last stage of the picture: the decoder alone, on the latents that everything else was trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from aapt_env.model.frame_critic import FrameCritic
from aapt_env.model.vae import VAE
from aapt_env.train.autoencode import AutoencodeStage, reconstruction, strength, unstirred
from aapt_env.train.clips import FrameClips
from aapt_env.train.contest import relativistic, squared_gap
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
    contest: float = 0.0  # weight of a critic that tells decoded frames from the game's; 0: none
    critic_lr: float = 2e-4
    sigma: float = 0.1  # of pixels in [-1, 1]
    penalty: float = 10.0  # lambda of approximated R1 and R2; what counts is lambda * sigma^2
    penalised: float = 0.34  # share of the batch that R1 and R2 look at


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
    """Frames as they are shown one after another, [B, 1 + n, k, 3, H, W] -> [B, 1 + n * k, 3, H, W]."""
    return torch.cat([pixels[:, :1, -1], pixels[:, 1:].flatten(1, 2)], dim=1)


class PolishStage(Stage):
    """Reconstruction as in stage 1, but the encoder and with it every latent stays as it is.

    What the generator learned holds, and a step costs half, so the decoder can be trained until it is good enough.
    By reconstruction alone it blurs away whatever it is not sure of; `grain` asks for as much fine detail as was there,
    `stir` for as much change, and the critic of `contest` for frames that look like the game's.
    """

    def __init__(
        self,
        config: Polish,
        vae: VAE,
        train: FrameClips,
        held_out: FrameClips,
        device: torch.device,
    ):
        self.critic = FrameCritic(vae).to(device) if config.contest else None
        critic = {} if self.critic is None else {"critic": self.critic}
        super().__init__(name="polish", modules={"vae": vae} | critic)
        self.config, self.vae, self.train, self.held_out = config, vae, train, held_out
        self.device = device
        vae.requires_grad_(True)
        optimizer = adam(vae.decoder, config.lr, (0.9, 0.99), decay=0.0)
        self.turns = [Turn("decoder", (vae.decoder,), optimizer, self.losses)]
        if self.critic is not None:
            judge = adam(self.critic, config.critic_lr, (0.0, 0.99), decay=0.0)
            turn = Turn("critic", (self.critic,), judge, self.critic_losses, clip=None)
            self.turns.insert(0, turn)

    def batch(self, dice: Dice) -> Shown:
        """Windows, decoded once for all turns: before the decoder's nothing of it changes."""
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
        }
        if self.critic is not None:
            with torch.no_grad():
                truth = self.critic(stream(target))
            versus = relativistic(truth, self.critic(stream(pixels)))
            loss, found["decoder"] = loss + c.contest * versus, versus.detach()
        yield loss, found | {"loss": loss.detach()}

    def critic_losses(self, shown: Shown, dice: Dice) -> Losses:
        """The relativistic loss, of each patch against what was there in truth, and approximated R1 and R2."""
        assert self.critic is not None
        c, real, fake = self.config, stream(shown.target), stream(shown.pixels.detach().float())
        truth, made = self.critic(real), self.critic(fake)
        versus = relativistic(made, truth)
        few = max(1, round(c.penalised * len(real)))
        noise = c.sigma * dice.normal(*real[:few].shape)
        with torch.autocast(real.device.type, enabled=False):  # differences of near equals
            r1, r2 = (
                squared_gap(self.critic(x[:few] + noise), self.critic(x[:few]))
                for x in (real, fake)
            )
        found = {"critic": versus.detach(), "r1": r1.detach(), "r2": r2.detach()}
        yield versus + c.penalty * (r1 + r2), found

    def picture(self) -> np.ndarray:
        """Held-out windows, the real ones over their reconstructions."""
        return AutoencodeStage.picture(self)  # type: ignore[arg-type]
