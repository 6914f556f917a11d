"""After the last generator: reward and termination, read from the frozen generator's own passes."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from aapt_env.model.cache import GrowingCache
from aapt_env.model.generator import Generator
from aapt_env.model.outcome import OutcomeHead
from aapt_env.model.rollout import rollout
from aapt_env.train.clips import Clip, LatentClips
from aapt_env.train.dice import Dice
from aapt_env.train.optim import adam
from aapt_env.train.stage import Losses, Stage, Turn


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Settings of the stage."""

    share: float
    steps: int | None = None
    batch: int = 32
    length: int = 14  # latents per clip, at most W + 2
    given: int = 5  # a dreamt clip begins with 1 ... given real latents
    dreamt: float = 0.5  # share of the batch that goes on from its own latents, as play does
    ends: float = 0.25  # share of the batch that holds an ending, beside those that do by chance
    stress: float = 20.0  # factor of the ending's loss beside the reward's: endings are rare
    drop: float = 0.3  # share of a window's feature channels that are hidden: crashes are few, and learned by heart
    lr: float = 1e-3
    width: int = 64
    bins: int = 41
    checks: int = 16  # batches of each part for threshold and calibration
    fresh: int = 8  # updates per batch of windows made anew: their passes cost ten times what the head's update does
    pool: int = 64  # such batches that are kept, for all updates to draw from


@dataclass(frozen=True)
class Seen:
    """Features beside what the game did under the same controls."""

    features: Tensor  # [B, T, N, D]
    rewards: Tensor  # [B, T]
    ended: Tensor  # [B, T] bool
    weight: Tensor  # [B, T], how often its like is in the recordings over how often it is drawn; 0 past the end


class OutcomeStage(Stage):
    """Cross-entropy of reward and ending, on real latents and on the generator's own."""

    def __init__(
        self,
        config: Outcome,
        head: OutcomeHead,
        generator: Generator,
        train: LatentClips,
        held: LatentClips,
    ):
        super().__init__(name="outcome", modules={"outcome": head})
        self.config, self.head, self.train, self.held = config, head, train, held
        self.generator = generator.eval().requires_grad_(False)
        self.made: dict[int, Seen] = {}  # batches of windows, by number
        head.span(train.rewards)
        self.turns = [Turn("outcome", (head,), adam(head, config.lr), self.losses)]

    def batch(self, dice: Dice) -> Seen:
        """Windows of the training episodes, some of them endings, some of them dreamt, out of those made so far.

        Which ones there are depends on the update's number alone, so that a resumed stage makes them again.
        """
        c, newest = self.config, dice.step // self.config.fresh
        for i in range(max(0, newest - c.pool + 1), newest + 1):
            if i not in self.made:
                own = Dice.of(4, "outcome", i, self.train.latents.device)
                seen = self.see(self.train, own, c.ends, c.dreamt)
                self.made[i] = replace(seen, features=seen.features.bfloat16())
        self.made.pop(newest - c.pool, None)
        parts = [self.made[i] for i in sorted(self.made)]
        at = list(
            zip(*dice.pick.integers([[len(parts)], [c.batch]], size=(2, c.batch)), strict=True)
        )
        columns = (
            torch.stack([getattr(parts[i], f.name)[row] for i, row in at]) for f in fields(Seen)
        )
        features, *rest = columns
        return Seen(features.float(), *rest)

    def see(self, clips: LatentClips, dice: Dice, ends: float, dreamt: float) -> Seen:
        """What the generator's passes hold of `batch` windows; shares as in `Outcome`."""
        c, length = self.config, self.config.length
        episodes, starts, weight = windows(clips, dice, c.batch, length, ends)
        clip = clips.at(episodes, starts, length)
        rewards, ended = clips.outcomes(episodes, starts, length)
        noise = dice.normal(*clip.latents[:, 1:].shape)
        given = int(dice.pick.integers(1, c.given + 1))
        few = round(dreamt * c.batch)
        with torch.no_grad():
            features = self.features(clip, noise, few, min(given, length))
        return Seen(features.float(), rewards, ended, torch.from_numpy(weight).to(rewards))

    def features(self, clip: Clip, noise: Tensor, few: int, given: int) -> Tensor:
        """[B, T, N, D], of one masked pass; the first `few` rows recycle what the generator made of them itself."""
        generator, recycled = self.generator, clip.latents
        if few:
            scene = generator.trunk.scene(clip.scene[:few])
            cache = GrowingCache(generator.trunk.rope, scene, generator.config.window)
            own = rollout(
                generator, recycled[:few, :given], clip.controls[:few], noise[:few], cache, given
            )
            recycled = torch.cat([own.to(recycled.dtype), recycled[few:]])
        seen = generator.trunk.clip(clip.scene, noise.shape[1])
        found: list[Tensor] = []
        t = noise.new_ones(noise.shape[:2])
        generator(noise, recycled[:, :-1], clip.controls, t, seen, found)
        return found[0]

    def losses(self, seen: Seen, dice: Dice) -> Losses:
        """One loss."""
        batch, _, _, channels = seen.features.shape
        kept = dice.uniform(batch, 1, 1, channels) >= self.config.drop
        each = self.head.losses(seen.features * kept, seen.rewards, seen.ended)
        reward, end = ((seen.weight * x).mean() for x in each)
        yield reward + self.config.stress * end, {"reward": reward.detach(), "end": end.detach()}

    def finish(self) -> None:
        """Choose the probability from which a dream ends, over all recorded episodes."""
        parts = [self.sample(clips, "threshold") for clips in (self.train, self.held)]
        _, _, end, ended, weight = (np.concatenate(part) for part in zip(*parts, strict=True))
        self.head.threshold.fill_(best_threshold(end, ended, weight))

    @torch.no_grad()
    def sample(self, clips: LatentClips, name: str, dreamt: float = 0.5) -> tuple[np.ndarray, ...]:
        """Predicted rewards, rewards, probabilities of an end, endings, weights: [n, T] each, of `checks` batches."""
        found = []
        for i in range(self.config.checks):
            seen = self.see(clips, Dice.of(5, name, i, self.train.latents.device), 0.25, dreamt)
            reward, end = self.head(seen.features)
            parts = reward, seen.rewards, end, seen.ended, seen.weight
            found.append([part.float().cpu().numpy() for part in parts])
        return tuple(np.concatenate(part) for part in zip(*found, strict=True))

    def calibration(self) -> dict[str, float]:
        """How far to trust it, on held-out episodes: real latents, and dreams of up to `length` latents."""
        out: dict[str, float] = {"threshold": float(self.head.threshold)}
        for name, dreamt in (("real", 0.0), ("dreamt", 1.0)):
            reward, true, end, ended, weight = self.sample(self.held, "calibration", dreamt)
            mean = np.average(true, weights=weight)
            error, spread = (
                float(np.average(np.abs(true - x), weights=weight)) for x in (reward, mean)
            )
            out |= {f"{name}_reward_error": error, f"{name}_reward_error_of_the_mean": spread}
            rate = np.average(ended, weights=weight)
            brier = (float(np.average((ended - x) ** 2, weights=weight)) for x in (end, rate))
            out |= dict(zip((f"{name}_brier", f"{name}_brier_of_the_rate"), brier, strict=True))
            hits, said, were = counts(end >= out["threshold"], ended > 0, weight)
            out |= {f"{name}_endings": float(((ended > 0) & (weight > 0)).sum())}
            out |= {f"{name}_precision": hits / said} if said else {}
            out |= {f"{name}_recall": hits / were} if were else {}
        return {key: round(value, 5) for key, value in out.items()}


def windows(
    clips: LatentClips, dice: Dice, batch: int, length: int, ends: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Episodes and starts of `batch` windows, and weights [B, T] of their latents.

    A window may run on past its episode's end, so that an ending is at any place in it and no place foretells one;
    passes are causal, and what comes after an ending weighs nothing. A share of about `ends` hold an ending, beside
    those that do by chance; weighted means are those of windows drawn uniformly.
    """
    rooms, ended = clips.lengths - 1, np.flatnonzero(clips.ended)
    after = rooms.cumsum()  # windows are numbered through; those of an episode come before this
    total, share = int(after[-1]), ends if len(ended) else 0.0
    number = dice.pick.integers(total, size=batch)
    last = [after[e] - 1 - np.arange(min(length, rooms[e])) for e in ended]
    last = np.concatenate([*last, number[:0]])  # all that hold an ending
    if len(last):
        chosen = dice.pick.random(batch) < ends
        number = np.where(chosen, last[dice.pick.integers(len(last), size=batch)], number)
    episodes = np.searchsorted(after, number, side="right")
    starts = number - (after - rooms)[episodes]
    drawn = (1 - share) / total + share * np.isin(number, last) / max(1, len(last))
    own = starts[:, None] + np.arange(length) < rooms[episodes][:, None]
    return episodes, starts, (own / (total * drawn[:, None])).astype(np.float32)


def counts(said: np.ndarray, were: np.ndarray, weight: np.ndarray) -> tuple[float, float, float]:
    """Weighted numbers of endings foretold rightly, foretold, and there."""
    return tuple(float((weight * mask).sum()) for mask in (said & were, said, were))  # type: ignore[return-value]


def best_threshold(end: np.ndarray, ended: np.ndarray, weight: np.ndarray) -> float:
    """The probability with the highest F1 of those whose alarms are right at least every other time; 0.5 where none is.

    Whoever plays has a dream taken away by a false alarm, and does not miss an ending that is not foretold.
    """
    order = np.argsort(-end, axis=None)
    said = np.cumsum(weight.ravel()[order])
    hits = np.cumsum((ended * weight).ravel()[order])
    trusted = (hits > 0) & (2 * hits >= said)
    if not trusted.any():
        return 0.5
    best = int(np.where(trusted, 2 * hits / (said + hits[-1]), -1.0).argmax())
    ranked = end.ravel()[order]
    return float((ranked[best] + ranked[min(best + 1, len(ranked) - 1)]) / 2)
