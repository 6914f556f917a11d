"""Stage 1: the VAE, on short windows of frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from aapt_env.model.vae import VAE
from aapt_env.train.clips import FrameClips
from aapt_env.train.dice import Dice
from aapt_env.train.optim import adam
from aapt_env.train.stage import Losses, Stage, Turn


@dataclass(frozen=True, kw_only=True)
class Autoencode:
    """Settings of the stage."""

    share: float  # of the budget
    steps: int | None = None  # fixed number of steps instead of a share
    batch: int = 6  # windows
    latents: int = 3  # latents after the first, per window
    lr: float = 8e-4
    kl: float = 3e-3  # weight of the mean KL divergence per latent number (nats)
    edges: float = 0.5  # weight of the L1 of image gradients
    zoomed: float = (
        0.0  # share of windows whose latents are zoomed into, and must decode to zoomed frames
    )
    zoom: float = 0.4  # how much smaller, at most, the part is that they are zoomed into
    stir: float = (
        0.0  # weight of the L1 between how much changes from frame to frame, patch by patch
    )


def zooming(count: int, share: float, most: float, dice: Dice) -> Tensor:
    """Affine maps [count, 2, 3] onto a part of the picture: `share` of them smaller by up to `most`, anywhere in it.

    Latents that can be moved and zoomed like pictures are what a generator has it easy with when a camera moves
    (EQ-VAE, arXiv 2502.09509): the next latent is nearly the last one resampled.
    """
    some = (dice.uniform(count) < share).float()
    size = 1 - most * dice.uniform(count) * some
    x, y = ((2 * dice.uniform(count) - 1) * (1 - size) for _ in range(2))
    zero = torch.zeros_like(size)
    return torch.stack([size, zero, x, zero, size, y], dim=1).unflatten(1, (2, 3))


def zoomed(x: Tensor, maps: Tensor) -> Tensor:
    """[B, T, C, h, w] resampled by each row's map [B, 2, 3], to the same size."""
    grid = F.affine_grid(maps, [len(x), 1, *x.shape[-2:]], align_corners=False)
    flat = F.grid_sample(x.flatten(1, 2), grid, padding_mode="border", align_corners=False)
    return flat.unflatten(1, x.shape[1:3])


def strength(fine: Tensor) -> Tensor:
    """Root mean square of numbers [n, c, h, w] in overlapping patches of 8x8."""
    return (F.avg_pool2d(fine.square(), 8, 4) + 1e-4).sqrt()


def unstirred(pixels: Tensor, target: Tensor) -> Tensor:
    """By how much the strength of changes from frame to frame is missed, pixels [B, T, k, 3, H, W] in [-1, 1].

    Reconstruction alone shows the k frames of a latent as one, and all that moves in steps from latent to latent: where
    something is halfway is the first thing that a VAE is not sure of. Of luminance, blurred a little:
    asked for changes of every colour and pixel, a decoder covers walls with a screen of coloured dots.
    """
    shown, real = (
        strength(F.avg_pool2d(luminance(x.float()).flatten(1, 2).diff(dim=1), 2, 1))
        for x in (pixels, target)
    )
    return (shown - real).abs().mean()


def luminance(pixels: Tensor) -> Tensor:
    """How bright pixels [..., 3, H, W] are: [..., H, W], by ITU-R BT.601."""
    return torch.einsum("...chw,c->...hw", pixels, pixels.new_tensor([0.299, 0.587, 0.114]))


def reconstruction(pixels: Tensor, target: Tensor, edges: float) -> tuple[Tensor, Tensor]:
    """L1 + 2 MSE + `edges` times the L1 of image gradients, and the MSE alone; pixels [..., H, W] in [-1, 1]."""
    error = pixels.float() - target
    squared = error.square().mean()
    slopes = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    return error.abs().mean() + 2 * squared + edges * slopes, squared


class AutoencodeStage(Stage):
    """Reconstruction in L1, squared error and edges, with a KL that keeps latents near a unit normal."""

    def __init__(
        self,
        config: Autoencode,
        vae: VAE,
        train: FrameClips,
        held_out: FrameClips,
        device: torch.device,
    ):
        super().__init__(name="autoencode", modules={"vae": vae})
        self.config, self.vae, self.train, self.held_out = config, vae, train, held_out
        self.device = device
        optimizer = adam(vae, config.lr, (0.9, 0.99), decay=0.0)
        self.turns = [Turn("vae", (vae,), optimizer, self.losses)]

    def batch(self, dice: Dice) -> Tensor:
        """[B, 1 + nk, H, W, 3] uint8."""
        return self.train.sample(dice, self.config.batch, self.config.latents).to(self.device)

    def losses(self, frames: Tensor, dice: Dice) -> Losses:
        """One loss; `psnr` in dB over the batch, `kl` in nats per latent number."""
        vae = self.vae
        x = vae.groups(frames)  # [B, T, 3k, H, W]
        mean, log_variance = vae.encoder(x.flatten(0, 1))
        mean, log_variance = mean.float(), log_variance.float()
        noise = dice.normal(*mean.shape)
        z = (mean + noise * (0.5 * log_variance).exp()).unflatten(0, x.shape[:2])
        if self.config.zoomed:
            maps = zooming(len(x), self.config.zoomed, self.config.zoom, dice)
            with torch.autocast(x.device.type, enabled=False):
                x, z = zoomed(x.float(), maps), zoomed(z, maps)
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        pixels, _ = vae.decoder(z, vae.start(len(x), *z.shape[-2:]))
        target = rearrange(x, "b t (k c) h w -> b t k c h w", c=3)
        loss, squared = reconstruction(pixels, target, self.config.edges)
        loss = loss + self.config.kl * kl
        if self.config.stir:
            loss = loss + self.config.stir * unstirred(pixels, target)
        yield (
            loss,
            {
                "psnr": -10 * torch.log10(squared.detach() / 4),
                "kl": kl.detach(),
                "loss": loss.detach(),
            },
        )

    @torch.no_grad()
    def finish(self) -> None:
        """Scale latents to zero mean and unit variance per channel, over 24 batches of training windows."""
        vae = self.vae
        vae.shift.zero_()
        vae.scale.fill_(1)
        found = []
        for i in range(24):
            frames = self.batch(Dice.of(0, "scale", i, self.device))
            found.append(vae.encode(frames).flatten(0, 1))
        latents = torch.cat(found).transpose(0, 1).flatten(1)  # [C, n]
        vae.shift.copy_(latents.mean(dim=1))
        vae.scale.copy_(latents.std(dim=1))

    def picture(self) -> np.ndarray:
        """Held-out windows, the real ones over their reconstructions."""
        from aapt_env.picture import sheet

        frames = self.held_out.sample(Dice.of(1, "picture", 0), 6, 3).to(self.device)
        decoded, _ = self.vae.decode(self.vae.encode(frames))
        again = torch.cat([decoded[:, 0, -1:], decoded[:, 1:].flatten(1, 2)], dim=1)
        rows = [row for pair in zip(frames, again, strict=True) for row in pair]
        return sheet([r.cpu().numpy()[::2] for r in rows], labels=["real", "VAE"] * len(frames))


@torch.no_grad()
def held_out_psnr(vae: VAE, clips: FrameClips, device: torch.device, batches: int = 16) -> float:
    """PSNR in dB of uint8 reconstructions of held-out windows: the ceiling of every dream."""
    total = count = 0.0
    for i in range(batches):
        frames = clips.sample(Dice.of(2, "ceiling", i), 8, 4).to(device)
        decoded, _ = vae.decode(vae.encode(frames))
        error = decoded[:, 1:].flatten(1, 2).float() - frames[:, 1:].float()
        total += float(error.square().sum())
        count += error.numel()
    return float(10 * np.log10(255.0**2 / (total / count)))
