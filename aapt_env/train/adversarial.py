"""Stage 4: student-forced adversarial post-training (AAPT v2, section 2.2 "Student-Forcing Training")."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aapt_env.model.cache import GrowingCache
from aapt_env.model.critic import Critic
from aapt_env.model.generator import Generator
from aapt_env.model.rollout import rollout
from aapt_env.train.clips import Clip, LatentClips
from aapt_env.train.dice import Dice
from aapt_env.train.diffusion import average
from aapt_env.train.dream import Dreamer
from aapt_env.train.loop import Losses, Stage, Turn


@dataclass(frozen=True, kw_only=True)
class Adversarial:
    """Settings of the adversarial stage."""

    share: float
    steps: int | None = None
    batch: int = 12
    length: int = 14  # latents that the critic judges, at most W + 2
    leads: tuple[int, ...] = (0,)  # latents dreamt before them; one of these per step
    overlap: int = 0  # judged latents that belong to the lead (the paper's 1 s), where there is one
    given: int = 5  # the dream begins with 1 ... given real latents
    lr: float = 1.5e-5  # generator
    critic_lr: float = 2e-4
    heads: tuple[str, ...] = ("latent",)
    sigma: float = 0.1  # of unit-variance latents
    penalty: float = 1.0  # lambda of approximated R1 and R2; what counts is lambda * sigma^2
    wrong_controls: float = (
        0.0  # weight of real clips under controls of another clip, as further fakes
    )
    ema: float = 0.99
    detach: bool = True  # the recycled latent carries no gradient; the cache does

    def __post_init__(self):
        object.__setattr__(self, "leads", tuple(self.leads))
        object.__setattr__(self, "heads", tuple(self.heads))


@dataclass(frozen=True)
class Match:
    """A rollout beside the real clip of the same controls."""

    real: Tensor  # [B, 1 + T, C, h, w]
    fake: Tensor  # the same shape; its graph leads to the generator
    controls: Tensor  # [B, T, k, width]
    scene: Tensor  # [B, attributes]
    given: int  # leading latents that are equal in both


def relativistic(fake: dict[str, Tensor], real: dict[str, Tensor]) -> Tensor:
    """softplus(D(fake) - D(real)), mean over logits, summed over heads: what the critic minimises."""
    return torch.stack([F.softplus(fake[h] - real[h]).mean() for h in fake]).sum()


def squared_gap(moved: dict[str, Tensor], still: dict[str, Tensor]) -> Tensor:
    """Mean over logits of |D(x + noise) - D(x)|^2, summed over heads: approximated R1 on real, R2 on fake."""
    return torch.stack([(moved[h] - still[h]).square().mean() for h in moved]).sum()


class AdversarialStage(Stage):
    """Critic and generator in turn, on one rollout per step through the growing cache, exactly as play runs."""

    def __init__(
        self,
        config: Adversarial,
        generator: Generator,
        critic: Critic,
        train: LatentClips,
        dreamer: Dreamer,
        name: str = "adversarial",
    ):
        ema = copy.deepcopy(generator)
        modules = {"generator": generator, "critic": critic, "ema": ema}
        super().__init__(name=name, modules=modules)
        self.config, self.generator, self.critic, self.ema = config, generator, critic, ema
        self.train, self.dreamer = train, dreamer
        adam = {"betas": (0.0, 0.99), "weight_decay": 0.0, "fused": True}
        judge = torch.optim.AdamW(critic.parameters(), lr=config.critic_lr, **adam)
        player = torch.optim.AdamW(generator.parameters(), lr=config.lr, **adam)
        self.turns = [
            Turn("critic", (critic,), judge, self.critic_losses, clip=None),
            Turn("generator", (generator,), player, self.generator_losses, clip=10.0),
        ]

    def batch(self, dice: Dice) -> Match:
        """Roll the generator out on real controls."""
        c = self.config
        lead = int(dice.pick.choice(c.leads))
        clip = self.train.sample(dice, c.batch, lead + c.length)
        given = int(dice.pick.integers(1, c.given + 1))
        noise = dice.normal(*clip.latents[:, 1:].shape)
        fake = self.dream(clip, noise, lead, given)
        cut = slice(lead, None)
        given = given if lead == 0 else 1
        return Match(clip.latents[:, cut], fake, clip.controls[:, cut], clip.scene, given)

    def dream(self, clip: Clip, noise: Tensor, lead: int, given: int) -> Tensor:
        """The last 1 + T latents of a rollout; lead and overlap carry no gradient, only their memory does its work."""
        generator, start = self.generator, clip.latents[:, :given]
        window, free = generator.config.window, lead + self.config.overlap if lead else 0
        cache = GrowingCache(generator.trunk.rope, generator.trunk.scene(clip.scene), window)
        before = start[:, :0]
        if free:
            head = clip.controls[:, :free], noise[:, :free]
            with torch.no_grad():
                ahead = rollout(generator, start, *head, cache, given)
            torch.clear_autocast_cache()  # weights cast without gradient would be used again with it
            cache, before, start, given = cache.detach(), ahead[:, lead:-1], ahead[:, -1:], 1
        tail = clip.controls[:, free:], noise[:, free:]
        made = rollout(generator, start, *tail, cache, given, self.config.detach)
        return torch.cat([before, made], dim=1)

    def judge(
        self, match: Match, parts: list[Tensor], t: Tensor, controls: list[Tensor] | None = None
    ):
        """Logits of several versions of a clip in one pass; those of the given latents are left out."""
        n = len(parts)
        rows = torch.cat(controls or [match.controls] * n)
        logits = self.critic(torch.cat(parts), rows, match.scene.repeat(n, 1), t.repeat(n))
        cut = {h: x[:, match.given - 1 :] if h == "latent" else x for h, x in logits.items()}
        split = {h: x.chunk(n) for h, x in cut.items()}
        return [{h: split[h][i] for h in split} for i in range(n)]

    def critic_losses(self, match: Match, dice: Dice) -> Losses:
        """Relativistic loss, approximated R1 and R2, and wrong controls as further fakes."""
        c, real, fake = self.config, match.real, match.fake.detach()
        noise = c.sigma * dice.normal(*real.shape)
        parts = [real, fake, real + noise, fake + noise]
        controls = [match.controls] * 4
        if c.wrong_controls:
            parts, controls = parts + [real], controls + [match.controls.roll(1, dims=0)]
        t = dice.uniform(len(real))
        logits = self.judge(match, parts, t, controls)
        versus = relativistic(logits[1], logits[0])
        r1, r2 = squared_gap(logits[2], logits[0]), squared_gap(logits[3], logits[1])
        loss = versus + c.penalty * (r1 + r2)
        found = {"critic": versus.detach(), "r1": r1.detach(), "r2": r2.detach()}
        if c.wrong_controls:
            wrong = relativistic(logits[4], logits[0])
            loss, found["wrong"] = loss + c.wrong_controls * wrong, wrong.detach()
        yield loss, found

    def generator_losses(self, match: Match, dice: Dice) -> Losses:
        """The critic's own contest, the other way round."""
        t = dice.uniform(len(match.real))
        (fake,) = self.judge(match, [match.fake], t)
        with torch.no_grad():
            (real,) = self.judge(match, [match.real], t)
            motion = match.fake.diff(dim=1).abs().mean() / match.real.diff(dim=1).abs().mean()
        loss = relativistic(real, fake)
        yield loss, {"generator": loss.detach(), "motion": motion}

    def after(self, step: int) -> None:
        """Average the generator's weights: the average is what plays."""
        average(self.ema, self.generator, min(self.config.ema, (step + 1) / (step + 10)))

    def picture(self) -> np.ndarray:
        """Dreams in one pass per latent."""
        return self.dreamer.sheet(self.ema)
