"""Between stages 3 and 4: student forcing without a critic, held to what the game answered to the same controls."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from aapt_env.carried import apart
from aapt_env.model.generator import Generator
from aapt_env.train.clips import Clip, LatentClips
from aapt_env.train.contest import held
from aapt_env.train.dice import Dice
from aapt_env.train.diffusion import TOLD, strayed
from aapt_env.train.dream import Dreamer
from aapt_env.train.forcing import Forcing, Past, dream
from aapt_env.train.optim import average, optimizer
from aapt_env.train.roller import Roller
from aapt_env.train.stage import Losses, Stage, Turn


@dataclass(frozen=True, kw_only=True)
class Follow:
    """Settings of the follow stage."""

    share: float
    steps: int | None = None
    begin: str = "diffusion"  # the stage whose weights the generator begins with, or consistency
    batch: int = 16
    length: int = 14  # latents, at most W + 2
    leads: tuple[int, ...] = (0, 0, 14, 28)  # latents dreamt before them; one of these per step
    overlap: int = 6  # of those latents, after a lead, that carry no gradient
    given: int = 5  # the dream begins with 1 ... given real latents
    lr: float = 3e-4
    optimizer: str = "adam"  # or muon
    least: float = 0.05  # weight of cells that show something else, of 1 for those that are right
    stay: float = 0.0  # further weight of cells that are in the real clip what they were at first
    ema: float = 0.995

    def __post_init__(self):
        object.__setattr__(self, "leads", tuple(self.leads))
        if self.begin not in ("consistency", "diffusion"):
            raise ValueError(f"begin {self.begin!r}; expected consistency or diffusion")


@dataclass(frozen=True)
class Followed:
    """A rollout and the clip whose controls it had."""

    clip: Clip
    past: Past
    weights: Tensor  # [B, 1 + T, h, w] of being as the clip is


class FollowStage(Stage):
    """Mean squared error of a rollout as played, made once more with gradients.

    Teacher forcing never shows a generator its own faults, so that a dream enlarges them within a second; the critic
    does, at three times the price of an update, and asks for sharpness before there is anything to be sharp. What is
    asked for here is a mean where the game's answer is not known: the adversarial stage takes that away again.
    """

    def __init__(
        self,
        config: Follow,
        generator: Generator,
        train: LatentClips,
        dreamer: Dreamer,
        plain: bool = False,
    ):
        if config.length > generator.config.window + 2 and 0 in config.leads:
            raise ValueError(
                f"follow: length {config.length} with window {generator.config.window}; expected W + 2 latents at most"
            )
        ema = copy.deepcopy(generator)
        super().__init__(name="follow", modules={"generator": generator, "ema": ema})
        self.config, self.generator, self.ema = config, generator, ema
        self.train, self.dreamer = train, dreamer
        self.roll, self.forcing = Roller(generator, plain=plain), Forcing()
        mover = optimizer(config.optimizer, generator, config.lr, (0.9, 0.98))
        self.turns = [Turn("generator", (generator,), mover, self.losses)]

    def batch(self, dice: Dice) -> Followed:
        """Roll the generator out on real controls."""
        c = self.config
        lead = int(dice.pick.choice(c.leads))
        clip = self.train.sample(dice, c.batch, lead + c.length)
        given = int(dice.pick.integers(1, c.given + 1))
        noise = dice.normal(*clip.latents[:, 1:].shape)
        past = dream(self.generator, clip, noise, given, lead, c.overlap, self.forcing, self.roll)
        assert isinstance(past, Past)
        real, begun = clip.latents[:, lead:], clip.latents[:, 1:2]
        weights = c.least + held(past.end.float(), real, begun, c.stay, 1 - c.least)
        return Followed(clip, past, weights)

    def recordable(self, batch: Followed) -> bool:
        """Updates of one lead are alike."""
        return True

    def losses(self, made: Followed, dice: Dice) -> Losses:
        """Squared error, less where the dream has gone elsewhere."""
        real = made.clip.latents[:, made.past.lead :]
        fake = made.past.again(self.generator)
        squared, count = (fake - real).square(), self.generator.config.carries
        error = squared[:, :, : squared.shape[2] - count].mean(dim=2)
        loss = (made.weights * error).mean() + TOLD * apart(squared, count)[1]
        motion = fake.detach().diff(dim=1).abs().mean() / real.diff(dim=1).abs().mean()
        yield loss, {"loss": loss.detach(), "error": error.detach().mean(), "motion": motion}
        if count:
            back = strayed(self.generator, made.clip.head(self.config.length), dice)
            yield TOLD * back, {"back": back.detach()}

    def after(self, step: int) -> None:
        """Average the weights."""
        average(self.ema, self.generator, self.config.ema, step)

    def picture(self) -> np.ndarray:
        """Dreams in one pass per latent."""
        return self.dreamer.sheet(self.ema)
