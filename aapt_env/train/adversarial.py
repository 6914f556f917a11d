"""Stage 4: student-forced adversarial post-training (AAPT v2, section 2.2 "Student-Forcing Training")."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from aapt_env.carried import apart, corrected
from aapt_env.model.critic import Critic
from aapt_env.model.generator import Generator
from aapt_env.model.rollout import replay
from aapt_env.train.alarms import Alarm
from aapt_env.train.clips import Clip, LatentClips
from aapt_env.train.contest import Balance, held, relativistic, squared_gap
from aapt_env.train.dice import Dice
from aapt_env.train.diffusion import TOLD, strayed, teacher_forced
from aapt_env.train.dream import Dreamer
from aapt_env.train.forcing import Forcing, Past, dream
from aapt_env.train.optim import adam, average
from aapt_env.train.pilot import Pilot, fly
from aapt_env.train.roller import Roller
from aapt_env.train.stage import Losses, Stage, Turn

ALARMS = {
    "critic": partial(
        Alarm, "critic", below=0.02,
        says="the critic tells all dreams from the game and teaches nothing more; raise `penalty` or `lr`",
    ),
    "motion": partial(
        Alarm, "motion", below=0.7,
        says="dreams move less than the game, the world is freezing; look at the sheet, try heads=('video',)",
    ),
    "control": partial(
        Alarm, "control", of_best=0.9,
        says="dreams obey less than they did; try wrong_controls=0.5, or raise it",
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Adversarial:
    """Settings of the adversarial stage."""

    share: float
    steps: int | None = None
    begin: str = (
        "consistency"  # the stage whose weights the generator begins with: or diffusion, follow
    )
    batch: int = 12
    length: int = 14  # latents that the critic judges, at most W + 2
    leads: tuple[int, ...] = (0,)  # latents dreamt before them; one of these per step
    overlap: int = 0  # judged latents that belong to the lead (the paper's 1 s), where there is one
    given: int = 5  # the dream begins with 1 ... given real latents
    lr: float = 5e-5  # generator, at most: see Balance
    critic_lr: float = 2e-4
    critic_loss: float = (
        0.55  # its loss at and below which the generator learns at full rate; ln 2 is a draw
    )
    heads: tuple[str, ...] = ("latent",)
    sigma: float = 0.1  # of unit-variance latents
    penalty: float = 10.0  # lambda of approximated R1 and R2; what counts is lambda * sigma^2
    penalised: float = 0.25  # share of the batch that R1 and R2 look at, always in float32
    times: float = 0.0  # the critic's time step is uniform in [0, times]; the paper's is 1
    wrong_controls: float = 0.0  # weight of real clips under controls not theirs, as further fakes
    piloted: float = (
        0.0  # share of rollouts under the controls of a pilot, who answers what is dreamt
    )
    anchor: float = (
        0.0  # weight of staying near the weights begun with; falls to 0 in `anchored` steps
    )
    anchored: int = 200
    keep: float = 0.0  # weight of what diffusion taught: squared error of one pass over real latents, at t = 1
    heed: float = 0.0  # weight of what diffusion would do: distance from its mean, given the generator's own past
    stay: float = 0.0  # weight of staying: squared error of cells that are in the real clip what they were at first
    follow: float = (
        0.0  # weight of following the game: squared error of cells that nearly show what it does
    )
    reminded: bool = (
        False  # after a lead, the critic's first latent is the one the dream began with: who is it?
    )
    blind: int = (
        4  # judged latents that it does not weigh: of what was before them diffusion knows nothing
    )
    ema: float = 0.99
    blend: float = (
        0.0  # share of the averaged weights of the stage before in those that this one hands on
    )
    forcing: Forcing = Forcing()

    def __post_init__(self):
        object.__setattr__(self, "leads", tuple(self.leads))
        object.__setattr__(self, "heads", tuple(self.heads))
        if self.begin not in ("diffusion", "consistency", "follow"):
            raise ValueError(f"begin {self.begin!r}; expected diffusion, consistency or follow")
        if not 0 <= self.piloted <= 1:
            raise ValueError(f"piloted {self.piloted}; expected 0 to 1")
        if not 0 <= self.blend < 1:
            raise ValueError(f"blend {self.blend}; expected 0 up to 1")
        if self.anchor and (any(self.leads) or not self.forcing.student):
            raise ValueError(
                "an anchor needs rollouts from the start: leads (0,) and student forcing"
            )

    @property
    def penalty_weight(self) -> float:
        """What the penalties weigh on |grad D|^2: lambda * sigma^2; 0.1 by default, 10 in the paper."""
        return self.penalty * self.sigma**2


@dataclass(frozen=True)
class Match:
    """A rollout beside a real clip with the same beginning, and the same controls unless a pilot chose others."""

    real: Tensor  # [B, 1 + T, C, h, w]
    fake: Tensor  # the same shape
    controls: Tensor  # [B, T, k, width] of the real clip
    played: Tensor  # likewise, of the rollout
    scene: Tensor  # [B, attributes]
    given: int  # leading latents that are equal in both
    noise: Tensor  # [B, T, C, h, w] that made `fake`
    wrong: Tensor | None = None  # real as well, but not what `controls` led to
    past: Past | None = None  # what makes `fake` once more with gradients; None: it carries them
    kept: Clip | None = None  # real, for `keep`
    # [B, 1, C, h, w] that the critic is shown in the place of the first; None: the first itself
    begun: Tensor | None = None
    held: Tensor | None = None  # [B, 1 + T, h, w] weights of being as the real clip is

    def learning(self, generator: Generator) -> tuple[Match, Tensor]:
        """The same with a fake whose graph leads to the generator, and by how much its carried numbers are off.

        The numbers that the critic sees are the game's: it is to say whether the picture fits them.
        """
        made = self.fake if self.past is None else self.past.again(generator)
        count = generator.config.carries
        told = apart((made - self.real).square(), count)[1] if count else made.new_zeros(())
        return replace(self, fake=corrected(made, self.real, count), past=None), told


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
        shown: Tensor
        | None = None,  # [h, w] bool, cells of a latent in which the game displays the control
        before: Generator | None = None,  # averaged weights of the stage before, for `blend`
        pilot: Pilot | None = None,  # who chooses the controls of `piloted` rollouts
        teacher: Generator | None = None,  # diffusion's averaged weights, for `heed`
        plain: bool = False,  # rollouts one operation at a time on a GPU too
    ):
        if config.piloted and generator.config.carries:
            raise ValueError(
                "nobody knows the carried numbers of a piloted rollout; train with piloted=0"
            )
        ema = copy.deepcopy(generator)
        self.balance = Balance(config.critic_loss).to(next(critic.parameters()).device)
        modules = {
            "generator": generator, "critic": critic, "ema": ema, "balance": self.balance
        }  # fmt: skip
        super().__init__(name=name, modules=modules)
        self.config, self.generator, self.critic, self.ema = config, generator, critic, ema
        self.begun = copy.deepcopy(generator).requires_grad_(False) if config.anchor else None
        self.train, self.dreamer, self.before, self.pilot = train, dreamer, before, pilot
        self.roll = Roller(generator, plain=plain)
        self.teacher = teacher.requires_grad_(False) if teacher is not None else None
        self.shown = (
            torch.zeros(train.latents.shape[-2:], dtype=torch.bool) if shown is None else shown
        )
        self.shown = self.shown.to(train.latents.device)
        self.alarms = [make() for make in ALARMS.values()]
        judge = adam(critic, config.critic_lr, (0.0, 0.99), decay=0.0)
        player = adam(generator, config.lr, (0.0, 0.99), decay=0.0)
        self.turns = [
            Turn("critic", (critic,), judge, self.critic_losses, clip=None),
            Turn("generator", (generator,), player, self.generator_losses, 10.0, self.balance.pace),
        ]

    def batch(self, dice: Dice) -> Match:
        """Roll the generator out on real controls, or those of a pilot who sees the rollout.

        With `wrong_controls`, the match also brings another window of the same episode: same place, light and weather
        under controls not its own. Where the game displays the control, it shows the right one, or the critic
        would compare the display with the controls and never learn what they do to the world.
        """
        c = self.config
        lead = int(dice.pick.choice(c.leads))
        length = lead + c.length
        apart = max(0, min(c.length, self.train.longest - length)) if c.wrong_controls else 0
        episodes, starts = self.train.windows(dice, c.batch, length + apart)
        clip = self.train.at(episodes, starts, length)
        given = int(dice.pick.integers(1, c.given + 1))
        noise = dice.normal(*clip.latents[:, 1:].shape)
        # drawn before the rollout: what comes from the CPU waits for the GPU
        elsewhere = self.train.at(episodes, starts + apart, length).latents if apart else None
        kept = self.train.sample(dice, c.batch, c.length) if c.keep else None
        flown = clip
        if few := round(c.piloted * c.batch):
            flown = fly(self.pilot, self.generator, clip, noise, given, few, dice)
        made = dream(self.generator, flown, noise, given, lead, c.overlap, c.forcing, self.roll)
        fake, past = (made.end, made) if isinstance(made, Past) else (made, None)
        cut = slice(lead, None)
        given, real = given if lead == 0 else 1, clip.latents[:, cut]
        wrong = None if elsewhere is None else torch.where(self.shown, real, elsewhere[:, cut])
        if wrong is not None:  # its own numbers would tell it, and the picture is asked about
            wrong = corrected(wrong, real, self.generator.config.carries)
        controls, played = clip.controls[:, cut], flown.controls[:, cut]
        begun = clip.latents[:, :1] if c.reminded and lead else None
        held = self.held(clip, flown, fake.detach(), lead) if c.stay or c.follow else None
        return Match(
            real, fake, controls, played, clip.scene, given, noise[:, cut], wrong, past, kept, begun, held
        )  # fmt: skip

    def held(self, clip: Clip, played: Clip, fake: Tensor, lead: int) -> Tensor:
        """What being as the real clip is weighs, [B, 1 + T, h, w]; nothing under other controls than its own."""
        c, same = self.config, (clip.controls == played.controls).flatten(1).all(dim=1)
        weights = held(fake.float(), clip.latents[:, lead:], clip.latents[:, 1:2], c.stay, c.follow)
        return weights * same[:, None, None, None]

    def recordable(self, match: Match) -> bool:
        """But for an anchor, which is lifted step by step, and for a fake that came with its graph."""
        return not self.config.anchor and match.past is not None

    def judge(
        self,
        match: Match,
        parts: list[tuple[Tensor, Tensor]],
        t: Tensor,
        plain: bool = False,
    ) -> list[dict[str, Tensor]]:
        """Logits of several (latents, controls) of a match in one pass; those of the given latents are left out.

        A `plain` pass is as written where the others are compiled: it is not worth a compilation of its own.
        """
        n = len(parts)
        latents, controls = (torch.cat(part) for part in zip(*parts, strict=True))
        if match.begun is not None:
            latents = torch.cat([match.begun.repeat(n, 1, 1, 1, 1), latents[:, 1:]], dim=1)
        with torch.compiler.set_stance("force_eager" if plain else "default"):
            logits = self.critic(latents, controls, match.scene.repeat(n, 1), t.repeat(n))
        cut = {h: x[:, match.given - 1 :] if h == "latent" else x for h, x in logits.items()}
        split = {h: x.chunk(n) for h, x in cut.items()}
        return [{h: split[h][i] for h in split} for i in range(n)]

    def critic_losses(self, match: Match, dice: Dice) -> Losses:
        """Relativistic loss, approximated R1 and R2, and wrong controls as further fakes."""
        c, parts = self.config, [(match.real, match.controls), (match.fake.detach(), match.played)]
        if match.wrong is not None:
            parts.append((match.wrong, match.controls))
        t = c.times * dice.uniform(len(match.real))
        logits = self.judge(match, parts, t)
        versus = relativistic(logits[1], logits[0])
        self.balance.watch(versus / len(logits[0]))
        r1, r2 = self.penalties(match, t, dice)
        loss = versus + c.penalty * (r1 + r2)
        found = {"critic": versus.detach(), "r1": r1.detach(), "r2": r2.detach()}
        if match.wrong is not None:
            wrong = relativistic(logits[2], logits[0])
            loss, found["wrong"] = loss + c.wrong_controls * wrong, wrong.detach()
        yield loss, found

    def penalties(self, match: Match, t: Tensor, dice: Dice) -> list[Tensor]:
        """Approximated R1 and R2, on the first rows of the batch; in float32, as differences of near equals."""
        few = max(1, round(self.config.penalised * len(t)))
        real, fake = match.real[:few], match.fake[:few].detach().float()
        noise = self.config.sigma * dice.normal(*real.shape)
        begun = None if match.begun is None else match.begun[:few]
        part = replace(match, scene=match.scene[:few], begun=begun)
        asked, played = match.controls[:few], match.played[:few]
        parts = [(real + noise, asked), (fake + noise, played), (real, asked), (fake, played)]
        with torch.autocast(real.device.type, enabled=False):
            logits = self.judge(part, parts, t[:few], plain=True)
        return [squared_gap(a, b) for a, b in zip(logits[:2], logits[2:], strict=True)]

    def generator_losses(self, match: Match, dice: Dice) -> Losses:
        """The critic's own contest, the other way round."""
        match, told = match.learning(self.generator)
        t = self.config.times * dice.uniform(len(match.real))
        (fake,) = self.judge(match, [(match.fake, match.played)], t)
        with torch.no_grad():
            (real,) = self.judge(match, [(match.real, match.controls)], t, plain=True)
            motion = match.fake.diff(dim=1).abs().mean() / match.real.diff(dim=1).abs().mean()
        versus = relativistic(real, fake)
        found = {"generator": versus.detach(), "motion": motion}
        if self.generator.config.carries:
            found["told"] = told.detach()
        loss = versus + TOLD * told
        pull = self.config.anchor * (1 - dice.step / self.config.anchored)
        if pull > 0:
            astray = self.astray(self.begun, match).mean()
            loss, found["anchor"] = loss + pull * astray, astray.detach()
        if match.held is not None:
            missed = (match.held * (match.fake - match.real).square().mean(dim=2)).mean()
            loss, found["held"] = loss + missed, missed.detach()
        if self.config.heed:
            apart = self.unheeded(match)
            loss, found["heed"] = loss + self.config.heed * apart, apart.detach()
        yield loss, found
        if match.kept is not None:
            miss = self.forgotten(match.kept, dice)
            loss, found = self.config.keep * miss, {"keep": miss.detach()}
            if self.generator.config.carries:
                back = strayed(self.generator, match.kept, dice)
                loss, found = loss + TOLD * back, found | {"back": back.detach()}
            yield loss, found

    def forgotten(self, clip: Clip, dice: Dice) -> Tensor:
        """Mean squared error of one teacher-forced pass from pure noise, on clips of its own.

        It holds what the critic does not ask for: that a control does what it did in the game.
        """
        noise = dice.normal(*clip.latents[:, 1:].shape)
        velocity = teacher_forced(self.generator, noise, clip, noise.new_ones(len(noise)))
        return (noise - velocity - clip.latents[:, 1:]).square().mean()

    def astray(self, other: Generator, match: Match) -> Tensor:
        """[B, 1 + T, C, h, w] squared distances of the fakes from what `other` makes of the same noise and past."""
        past = match.fake.detach()
        with torch.no_grad():
            made = replay(other, past, match.played, match.noise, match.scene, match.given)
        return (match.fake - made).square()

    def unheeded(self, match: Match) -> Tensor:
        """Mean squared distance of the fakes from what diffusion expects after the very same past.

        The critic sees controls that somebody chose who saw the real road; a dream that goes elsewhere under them looks
        wrong to it, however well it obeys. Diffusion has learned what follows, whatever led there.
        """
        assert self.teacher is not None
        first = max(match.given, 1 + self.config.blind)
        return self.astray(self.teacher, match)[:, first:].mean()

    def after(self, step: int) -> None:
        """Average the generator's weights: the average is what plays."""
        average(self.ema, self.generator, self.config.ema, step)

    @torch.no_grad()
    def finish(self) -> None:
        """Blend: weights between two that play well play better than either, as tried (docs/lab.md)."""
        if self.before is not None:
            for mine, theirs in zip(self.ema.parameters(), self.before.parameters(), strict=True):
                mine.lerp_(theirs, self.config.blend)

    def picture(self) -> np.ndarray:
        """Dreams in one pass per latent."""
        return self.dreamer.sheet(self.ema)

    def exam(self) -> dict[str, float]:
        """How well held-out controls are obeyed, where a meter can tell."""
        return self.dreamer.exam(self.ema)
