"""Last stage of the picture: the decoder alone, on the latents that everything else was trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from aapt_env.model.critic import FrameCritic
from aapt_env.model.vae import VAE
from aapt_env.train.autoencode import AutoencodeStage, reconstruction
from aapt_env.train.clips import FrameClips
from aapt_env.train.contest import Balance, relativistic, squared_gap
from aapt_env.train.dice import Dice
from aapt_env.train.loop import Losses, Stage, Turn


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
    critique: float = 0.0  # weight of an adversarial loss on patches of frames; 0 for none
    critic_lr: float = 2e-4
    critic_loss: float = 0.5  # its loss at and below which the decoder hears it in full
    sigma: float = 0.05  # of pixels in [-1, 1]
    penalty: float = 40.0  # lambda of approximated R1 and R2


@dataclass
class Windows:
    """A step's real frames, what the encoder made of them, and what the decoder showed."""

    latents: Tensor  # [B, 1 + n, C, h, w]
    target: Tensor  # [B, 1 + n, k, 3, H, W] in [-1, 1]
    shown: Tensor | None = None  # the same shape, without gradient


def texture(pixels: Tensor) -> Tensor:
    """Energy of the finest detail, [..., H, W]: what blur takes first."""
    return pixels.diff(n=2, dim=-1).square().mean() + pixels.diff(n=2, dim=-2).square().mean()


class PolishStage(Stage):
    """Reconstruction as in stage 1, but the encoder and with it every latent stays as it is.

    What the generator learned holds, and a step costs half, so the decoder can be trained until it is good enough.
    With `critique`, the contest of the adversarial stage is played for its frames too: by reconstruction alone,
    texture that the latent leaves open is blurred away.
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
        adam = {"betas": (0.9, 0.99), "weight_decay": 0.0, "fused": True}
        player = torch.optim.AdamW(vae.decoder.parameters(), lr=config.lr, **adam)
        self.turns = [Turn("decoder", (vae.decoder,), player, self.losses)]
        if config.critique:
            self.critic = FrameCritic(vae.config.k).to(device)
            self.balance = Balance(config.critic_loss).to(device)
            self.modules |= {"critic": self.critic, "balance": self.balance}
            adam["betas"] = (0.0, 0.99)
            judge = torch.optim.AdamW(self.critic.parameters(), lr=config.critic_lr, **adam)
            self.turns.append(Turn("critic", (self.critic,), judge, self.critic_losses))

    def batch(self, dice: Dice) -> Windows:
        """Windows of frames, as latents moved a little."""
        c = self.config
        frames = self.train.sample(dice, c.batch, c.latents).to(self.device)
        with torch.no_grad():
            latents = self.vae.encode(frames)
        target = rearrange(self.vae.groups(frames), "b t (k c) h w -> b t k c h w", c=3)
        return Windows(latents + c.noise * dice.normal(*latents.shape), target)

    def losses(self, windows: Windows, dice: Dice) -> Losses:
        """One loss; `psnr` in dB over the batch."""
        c, latents = self.config, windows.latents
        start = self.vae.start(len(latents), *latents.shape[-2:])
        pixels, _ = self.vae.decode_float(latents, start)
        loss, squared = reconstruction(pixels, windows.target, c.edges)
        found = {
            "psnr": -10 * torch.log10(squared.detach() / 4),
            "texture": texture(pixels.detach()) / texture(windows.target),
            "loss": loss.detach(),
        }
        if c.critique:
            with torch.no_grad():
                real = self.critic(windows.target)
            versus = relativistic(real, self.critic(pixels))
            windows.shown = pixels.detach().float()
            loss = loss + c.critique * self.balance.pace() * versus
            found |= {"decoder": versus.detach(), "pace": self.balance.pace()}
        yield loss, found

    def critic_losses(self, windows: Windows, dice: Dice) -> Losses:
        """Relativistic, with approximated R1 and R2; on what the decoder has just shown."""
        real, fake, c = windows.target, windows.shown, self.config
        assert fake is not None, "the decoder's turn comes first"
        logits = self.critic(real), self.critic(fake)
        versus = relativistic(logits[1], logits[0])
        self.balance.watch(versus)
        noise = c.sigma * dice.normal(*real[:1].shape)
        with torch.autocast(real.device.type, enabled=False):  # differences of near equals
            r1, r2 = (
                squared_gap(self.critic(x[:1] + noise), self.critic(x[:1])) for x in (real, fake)
            )
        found = {"critic": versus.detach(), "r1": r1.detach(), "r2": r2.detach()}
        yield versus + c.penalty * (r1 + r2), found

    def picture(self) -> np.ndarray:
        """Held-out windows, the real ones over their reconstructions."""
        return AutoencodeStage.picture(self)  # type: ignore[arg-type]
