"""A long run of many dreams that begin at random moments: nothing may leak, break or reach another row."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from tqdm import tqdm

from aapt_env.bench.machine import resident
from aapt_env.bench.rollout import GROWTH
from aapt_env.vector import AAPTVectorEnv

ROWS = 16
MEAN = 60  # steps of an episode, on average
AGAIN = 8  # episodes dreamt once more, each beside rows that rest
MB = 1e6


@dataclass
class Episode:
    """What a row showed."""

    row: int
    seed: int
    sums: list[int] = field(default_factory=list)  # of the frames of each step


@dataclass(frozen=True, kw_only=True)
class Soak:
    """How it went."""

    steps: int  # of all rows together
    episodes: int
    replayed: int  # steps compared with their lone replay
    differing: list[tuple[int, int, int]]  # row, seed and first step of those that differ
    unsound: int  # steps with a latent that is not finite
    growth: int | None  # bytes, from the first tenth to the end

    @property
    def flat(self) -> bool | None:
        """Whether memory stayed where it was; None where the system does not tell."""
        return None if self.growth is None else self.growth < GROWTH


def soak(game: str, checkpoint: str | None, device: str, steps: int, rows: int = ROWS) -> Soak:
    """Step `rows` dreams for `steps` steps in all, each row beginning anew at random, then replay some of them alone.

    Args:
        game: whose world.
        checkpoint: a folder instead of the game's own.
        device: as in `gym.make`.
        steps: of all rows together.
        rows: of the batch.
    """
    envs = AAPTVectorEnv(rows, game, checkpoint, device, autoreset_mode=AutoresetMode.DISABLED)
    rng, space = np.random.default_rng(0), envs.single_action_space
    now = [Episode(row, int(rng.integers(2**31))) for row in range(rows)]
    every, count, unsound, early = list(now), max(10, steps // rows), 0, None
    envs.reset(seed=[episode.seed for episode in now])
    for t in tqdm(range(count), desc="soak", unit="step", leave=False):
        *_, infos = envs.step(np.stack([control(space, e.seed, len(e.sums)) for e in now]))
        note(now, infos["frames"])
        unsound += not bool(torch.isfinite(envs.world.previous).all())
        due = (rng.random(rows) < 1 / MEAN) | envs.dreams.over
        if due.any():
            for row in np.flatnonzero(due):
                now[row] = Episode(int(row), int(rng.integers(2**31)))
                every.append(now[row])
            envs.reset(seed=[e.seed for e in now], options={"reset_mask": due})
        early = resident() if t == count // 10 else early
    late = resident()
    chosen = rng.choice(len(every), min(AGAIN, len(every)), replace=False)
    again = [every[i] for i in chosen]
    parted = [(e.row, e.seed, first) for e in again if (first := differs(envs, e)) is not None]
    return Soak(
        steps=count * rows,
        episodes=len(every),
        replayed=sum(len(e.sums) for e in again),
        differing=parted,
        unsound=unsound,
        growth=None if early is None or late is None else late - early,
    )


def control(space, seed: int, step: int) -> np.ndarray:
    """The control of an episode's step, whatever else happens."""
    space.seed((seed + 7919 * (step // 4)) % 2**31)  # held for four steps
    return np.asarray(space.sample())


def note(now: list[Episode], frames: torch.Tensor) -> None:
    """Keep a sum of every row's frames."""
    for episode, shown in zip(now, frames.cpu().numpy(), strict=True):
        episode.sums.append(zlib.crc32(shown.tobytes()))


def differs(envs: AAPTVectorEnv, episode: Episode) -> int | None:
    """Dream an episode again, all other rows at rest in dreams of their own; the first step that differs."""
    rest, space = np.asarray(envs.spec_world.control.neutral()), envs.single_action_space
    envs.reset(seed=[episode.seed if row == episode.row else row for row in range(envs.num_envs)])
    for step, wanted in enumerate(episode.sums):
        actions = np.stack([rest] * envs.num_envs)
        actions[episode.row] = control(space, episode.seed, step)
        *_, infos = envs.step(actions)
        if zlib.crc32(infos["frames"][episode.row].cpu().numpy().tobytes()) != wanted:
            return step
        over = envs.dreams.over.copy()
        over[episode.row] = False
        if over.any():
            envs.reset(options={"reset_mask": over})
    return None


def text(found: Soak) -> str:
    """What came of it."""
    grown = "unknown" if found.growth is None else f"{found.growth / MB:+.1f} MB"
    memory = {True: "flat", False: "NOT flat", None: "not known"}[found.flat]
    apart = "; ".join(f"row {row}, seed {seed}, step {step}" for row, seed, step in found.differing)
    return "\n".join(
        [
            f"{found.steps:,} steps, {found.episodes:,} episodes begun at random in random rows",
            f"memory {memory}: {grown} from the end of the first tenth to the end",
            f"latents that are not finite: {found.unsound} steps",
            f"{found.replayed:,} steps dreamt again alone: {'DIFFER at ' + apart if apart else 'the same to the bit'}",
        ]
    )
