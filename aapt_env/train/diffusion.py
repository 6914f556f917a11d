"""Stages 2 and 3: teacher-forced flow matching, then consistency distillation (AAPT v2, section 2.2)."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from aapt_env.carried import apart, corrected, put, read
from aapt_env.model.generator import Generator
from aapt_env.train.clips import Clip, LatentClips
from aapt_env.train.dice import Dice
from aapt_env.train.dream import Dreamer
from aapt_env.train.optim import adam, average, optimizer
from aapt_env.train.stage import Losses, Stage, Turn

TOLD = 300.0  # weight of carried numbers beside the picture: they are off by a hundredth of what a picture is
STRAY = 0.027  # deviation by which they are off where it is learned to come back, 8 cm of a house


def shifted(t: Tensor, s: float) -> Tensor:
    """Spend more time at high noise: t -> s*t / (1 + (s - 1)*t)."""
    return s * t / (1 + (s - 1) * t)


def noisy(clip: Clip, noise: Tensor, t: Tensor) -> Tensor:
    """x_t = (1 - t) x_0 + t * noise, one t per clip: t [B], noise [B, T, C, h, w]."""
    t = t[:, None, None, None, None]
    return (1 - t) * clip.latents[:, 1:] + t * noise


def teacher_forced(
    generator: Generator,
    x: Tensor,
    clip: Clip,
    t: Tensor,
    recycled: Tensor | None = None,
) -> Tensor:
    """The velocity at x in one parallel pass whose recycled latents are real, or given. Returns [B, T, C, h, w]."""
    time = t[:, None].repeat(1, x.shape[1])
    recycled = clip.latents[:, :-1] if recycled is None else recycled
    return generator.parallel(x, recycled, clip.controls, time, clip.scene).float()


def smudged(clip: Clip, dice: Dice, most: float, carried: int = 0, fade: float = 0.0) -> Tensor:
    """The latents to recycle [B, T, C, h, w]: dreams recycle their faults; who has seen none passes them on enlarged.

    Args:
        clip: the real ones.
        dice: draws one level for each clip.
        most: noise of a deviation of 0 to this is laid over the picture.
        carried: channels at the end that stay as they are.
        fade: share of the clips whose picture is faded, half of them to nothing: what is to be seen must then be told
            from the carried numbers.
    """
    real = clip.latents[:, :-1]
    if not (most or fade):
        return real
    level = most * dice.uniform(len(real))[:, None, None, None, None]
    seen = real + level * dice.normal(*real.shape)
    if fade:
        gone = (dice.uniform(len(real)) < fade) * (2 * dice.uniform(len(real))).clamp(max=1)
        seen = seen - gone[:, None, None, None, None] * real
    return corrected(seen, real, carried)


def strayed(generator: Generator, clip: Clip, dice: Dice) -> Tensor:
    """Mean squared error of carried numbers in one pass at t = 1 over recycled ones that are off.

    Off by the same in all of a clip, since a dream's are, and half of the clips without their picture. What cannot be,
    such as a place in a wall, is left again. Much more than a step would draw a walker to where many walked.
    """
    count, real = generator.config.carries, clip.latents[:, :-1]
    off = STRAY * dice.normal(len(real), 1, count)
    seen = (dice.uniform(len(real)) < 0.5).float()[:, None, None, None, None]
    recycled = put(seen * real, read(real, count) + off)
    noise = dice.normal(*real.shape)
    v = teacher_forced(generator, noise, clip, noise.new_ones(len(noise)), recycled=recycled)
    return apart((noise - v - clip.latents[:, 1:]).square(), count)[1]


@torch.no_grad()
def own(generator: Generator, clip: Clip, dice: Dice, most: int) -> Clip:
    """The clip, its latents those that 0 to `most` passes in a row make of its real ones, drawn clip by clip.

    Pass i + 1 recycles what pass i made, at all positions at once: its first i + 1 latents are those of a rollout, and
    the others have the faults of i + 1 steps of one, for a forward pass each where a rollout takes one per latent.
    """
    latents, wanted = clip.latents, (dice.uniform(len(clip.latents)) * (most + 1)).floor()
    made, t = latents, latents.new_ones(len(latents))
    noise = dice.normal(*latents[:, 1:].shape)
    for i in range(most):
        v = teacher_forced(generator, noise, clip, t, recycled=made[:, :-1])
        made = torch.cat([latents[:, :1], noise - v], dim=1)
        there = (wanted == i + 1)[:, None, None, None, None]
        clip = replace(clip, latents=torch.where(there, made, clip.latents))
    torch.clear_autocast_cache()  # weights cast without gradient would be used again with it
    return clip


@dataclass(frozen=True, kw_only=True)
class Diffusion:
    """Settings of the diffusion stage."""

    share: float
    steps: int | None = None
    batch: int = 32
    length: int = 14  # latents per clip, at most W + 2
    lr: float = 5e-4
    optimizer: str = "adam"  # or muon
    weight_decay: float = 0.01
    shift: float = 4.0  # the paper's 24, scaled with the square root of tokens
    smudge: float = 0.3  # the most noise on recycled latents, as a deviation; the paper has none
    fade: float = 0.0  # share of clips whose recycled picture is faded, where numbers are carried
    own: int = 0  # most passes in a row whose answers are recycled in the place of real latents
    ema: float = 0.995


class DiffusionStage(Stage):
    """Flow matching with teacher forcing: one t for the whole clip, real recycled latents, target v = noise - x_0."""

    def __init__(
        self, config: Diffusion, generator: Generator, train: LatentClips, dreamer: Dreamer
    ):
        ema = copy.deepcopy(generator)
        super().__init__(name="diffusion", modules={"generator": generator, "ema": ema})
        self.config, self.generator, self.ema = config, generator, ema
        self.train, self.dreamer = train, dreamer
        mover = optimizer(config.optimizer, generator, config.lr, (0.9, 0.98), config.weight_decay)
        self.turns = [Turn("generator", (generator,), mover, self.losses)]

    def batch(self, dice: Dice) -> Clip:
        """Windows of latents."""
        return self.train.sample(dice, self.config.batch, self.config.length)

    def recordable(self, batch: Clip) -> bool:
        """All updates are alike."""
        return True

    def losses(self, clip: Clip, dice: Dice) -> Losses:
        """Mean squared error of the velocity."""
        noise = dice.normal(*clip.latents[:, 1:].shape)
        t = shifted(dice.uniform(len(noise)), self.config.shift)
        past = own(self.generator, clip, dice, self.config.own) if self.config.own else clip
        count = self.generator.config.carries
        recycled = smudged(past, dice, self.config.smudge, count, self.config.fade)
        v = teacher_forced(self.generator, noisy(clip, noise, t), clip, t, recycled=recycled)
        error = (v - (noise - clip.latents[:, 1:])).square()
        loss, _ = apart(error, count)
        if not count:
            yield loss, {"loss": loss.detach()}
            return
        # an error of the velocity is one of the latent over t
        _, told = apart(error * t.square()[:, None, None, None, None], count)
        yield loss + TOLD * told, {"loss": loss.detach(), "told": told.detach()}

    def after(self, step: int) -> None:
        """Average the weights; a warm start keeps early steps out."""
        average(self.ema, self.generator, self.config.ema, step)

    def picture(self) -> np.ndarray:
        """Dreams in one pass per latent."""
        return self.dreamer.sheet(self.ema)


@dataclass(frozen=True, kw_only=True)
class Consistency:
    """Settings of consistency distillation."""

    share: float
    steps: int | None = None
    batch: int = 24
    length: int = 14
    lr: float = 2e-4
    shift: float = 4.0
    levels: int = 32  # fixed steps from noise to data
    smudge: float = 0.3  # as in diffusion
    huber: float = 0.03  # pseudo-Huber width per root of a latent's size (arXiv 2310.14189)
    ema: float = 0.99  # of the student, for what comes after; the target has none


class ConsistencyStage(Stage):
    """One step of the teacher's ODE, then agreement: f(x_t, t) = x_t - t v should be constant along it.

    No EMA target, no guidance, teacher forcing throughout. What goes on is the student's average: its own weights
    tremble by what a dream standing still soon shows.
    """

    def __init__(
        self,
        config: Consistency,
        generator: Generator,
        teacher: Generator,
        train: LatentClips,
        dreamer: Dreamer,
    ):
        ema = copy.deepcopy(generator)
        super().__init__(name="consistency", modules={"generator": generator, "ema": ema})
        self.config, self.generator, self.ema = config, generator, ema
        self.train, self.dreamer = train, dreamer
        self.teacher = teacher.requires_grad_(False)
        optimizer = adam(generator, config.lr, (0.9, 0.98))
        self.turns = [Turn("generator", (generator,), optimizer, self.losses)]

    batch, recordable = DiffusionStage.batch, DiffusionStage.recordable

    def losses(self, clip: Clip, dice: Dice) -> Losses:
        """Pseudo-Huber distance between the student at one level and itself, without gradient, at the level below."""
        n = self.config.levels
        noise = dice.normal(*clip.latents[:, 1:].shape)
        level = (dice.uniform(len(noise)) * n).floor()
        high, low = (
            shifted((level + 1) / n, self.config.shift),
            shifted(level / n, self.config.shift),
        )
        recycled = smudged(clip, dice, self.config.smudge, self.generator.config.carries)
        x_high = noisy(clip, noise, high)
        with torch.no_grad():
            gap = (low - high)[:, None, None, None, None]
            v = teacher_forced(self.teacher, x_high, clip, high, recycled=recycled)
            target = self.clean(x_high + gap * v, clip, low, recycled)
        torch.clear_autocast_cache()  # weights cast without gradient would be used again with it
        found = self.clean(x_high, clip, high, recycled)
        squared = (found - target).square().flatten(2).sum(-1)  # [B, T]
        size = noise[0, 0].numel()
        c = self.config.huber * size**0.5
        loss = ((squared + c * c).sqrt() - c).mean() / size**0.5
        yield loss, {"loss": loss.detach(), "mse": squared.detach().mean() / size}

    def clean(self, x: Tensor, clip: Clip, t: Tensor, recycled: Tensor | None = None) -> Tensor:
        """f(x, t) = x - t v(x, t); at t = 0 it is x itself."""
        v = teacher_forced(self.generator, x, clip, t, recycled=recycled)
        return x - t[:, None, None, None, None] * v

    def after(self, step: int) -> None:
        """Average the weights."""
        average(self.ema, self.generator, self.config.ema, step)

    def picture(self) -> np.ndarray:
        """Dreams in one pass per latent."""
        return self.dreamer.sheet(self.ema)
