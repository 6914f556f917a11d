"""What a dream is put through: its game's controls, none at all, forks and other seeds. Kept part by part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from tqdm import tqdm

from aapt_env.checkpoint import Checkpoint
from aapt_env.evaluate import camera, figures, measures, pose, rollouts
from aapt_env.evaluate.meter import Meter
from aapt_env.evaluate.parts import Figures, Parts, join
from aapt_env.fast import AUTO, Fast
from aapt_env.games import shown_controls
from aapt_env.starts import Start
from aapt_env.twin import Twin

ROOM = 12_000  # frames of one rollout in memory at once
GROUP = 8  # starts dreamt side by side, at most
ALONE = 4  # starts of the dreams that go on alone
SEEDS = 4  # of noise, for diversity
FORK = 4.0  # seconds under one control
STEER = 2.0  # seconds over which left and right part
UNSEEN = 5.0  # seconds of controls of a kind that no recording holds
SEEDED = 10.0  # seconds over which seeds are compared


@dataclass
class Course:
    """One checkpoint's evaluation.

    Args:
        checkpoint: the world.
        twin: its game; None where there is none.
        meter: None leaves its figures out.
        parts: where figures are kept.
        count: starts.
        seconds: length of the long rollouts.
        seed: of noise and driver.
        device: where to run.
        fast: how a step is run.
    """

    checkpoint: Checkpoint
    twin: Twin | None
    meter: Meter | None
    parts: Parts
    count: int
    seconds: float
    seed: int
    device: torch.device
    fast: Fast = AUTO
    mask: np.ndarray = field(init=False)  # [H, W] bool, pixels left out of flow

    def __post_init__(self):
        spec = self.checkpoint.spec
        self.mask = np.zeros((spec.height, spec.width), bool)
        if self.meter is not None:
            self.mask = self.meter.mask
        elif self.twin is not None:
            self.twin.game.reset(seed=0)
            self.mask = shown_controls(self.twin.game, self.mask)

    @property
    def starts(self) -> list[Start]:
        """As many as asked for; the checkpoint's own again and again where it has fewer."""
        own = self.checkpoint.starts
        return [own[i % len(own)] for i in range(self.count)]

    def latents(self, seconds: float) -> int:
        """Latents in as many seconds, at least one."""
        spec = self.checkpoint.spec
        return max(1, round(seconds * spec.frame_fps / spec.k))

    def collect(
        self, name: str, count: int, seconds: float, make: Callable[[int, list[Start]], Figures]
    ) -> Figures:
        """Figures of the first `count` starts, by groups: `make(index of the first, starts)`, or what was kept."""
        k = self.checkpoint.spec.k
        group = int(np.clip(ROOM // (self.latents(seconds) * k), 1, GROUP))
        found = []
        for first in tqdm(range(0, count, group), desc=name, unit="group"):
            starts = self.starts[first : min(first + group, count)]
            found.append(
                self.parts.get(f"{name}-{first:03d}", lambda f=first, s=starts: make(f, s))
            )
        return join(found)

    def of(self, name: str, clips: np.ndarray) -> Figures:
        """Figures of clips by themselves."""
        return figures.of_clips(name, clips, self.checkpoint.spec.k, self.mask, self.meter)

    def seeds(self, first: int, starts: list[Start]) -> list[int]:
        """Of the noise, one per start."""
        return [self.seed + first + i for i in range(len(starts))]

    def long(self) -> Figures:
        """The dream beside its game under the driver's controls; without a game, under random ones."""
        return self.collect("twin", self.count, self.seconds, self._long)

    def _long(self, first: int, starts: list[Start]) -> Figures:
        spec, length = self.checkpoint.spec, self.latents(self.seconds)
        if self.twin is None:
            rows = rollouts.random_rows(spec.control, len(starts), length, self.seed + first)
            alive = np.ones((len(starts), 1 + length * spec.k), bool)
            dream = self._dream(first, starts, rows)
            return self.of("dream", dream) | {"rows": rows, "alive": alive}
        game, rows, alive = rollouts.play_games(self.twin, starts, length, self.seed + first, None)
        dream = self._dream(first, starts, rows)
        vae = rollouts.through_vae(self.checkpoint, starts, game, self.device)
        found = figures.twin(dream, game, vae, spec.k, self.mask, self.meter)
        if spec.control.kind == "pose":
            for name, clips in (("dream", dream), ("game", game), ("vae", vae)):
                found[f"{name}_limbs"] = pose.colours(clips, rows, spec.k, spec.control)
        return found | {"rows": rows, "alive": alive}

    def unseen(self) -> Figures:
        """The dream beside its game under what no recording holds: the game's own `unseen_entry` plays."""
        return self.collect("unseen", min(16, self.count), UNSEEN, self._unseen)

    def _unseen(self, first: int, starts: list[Start]) -> Figures:
        assert self.twin is not None and self.meter is not None
        entry = self.twin.game.unwrapped.unseen_entry
        game, rows, alive = rollouts.play_games(
            self.twin, starts, self.latents(UNSEEN), self.seed + first, None, entry
        )
        out: Figures = {"rows": rows, "alive": alive}
        for name, clips in (("dream", self._dream(first, starts, rows)), ("game", game)):
            seen = self.meter.watch(clips)
            out |= {f"{name}_value": seen.value, f"{name}_reading": seen.reading}
        return out

    def _dream(self, first: int, starts: list[Start], rows: np.ndarray) -> np.ndarray:
        seeds = self.seeds(first, starts)
        return rollouts.play_dream(self.checkpoint, starts, rows, seeds, self.device, self.fast)

    def beyond(self, rows: np.ndarray, seconds: float) -> Figures:
        """The dream alone for much longer, under `rows` [n, T, width] over and over."""
        count, length = min(ALONE, self.count), self.latents(seconds)
        again = np.tile(rows[:count], (1, -(-length // rows.shape[1]), 1))[:, :length]

        def make(first: int, starts: list[Start]) -> Figures:
            dream = self._dream(first, starts, again[first : first + len(starts)])
            return self.of("dream", dream)

        return self.collect(f"beyond-{seconds:g}s", count, seconds, make)

    def idle(self) -> Figures:
        """The same length with no input at all; a game that ends stands on its last frame."""
        return self.collect("idle", self.count, self.seconds, self._idle)

    def _idle(self, first: int, starts: list[Start]) -> Figures:
        spec, length = self.checkpoint.spec, self.latents(self.seconds)
        rows = np.repeat(rollouts.resting(spec.control, starts)[:, None], length, axis=1)
        found = self.of("dream", self._dream(first, starts, rows))
        if self.twin is not None:
            game, _, _ = rollouts.play_games(self.twin, starts, length, 0, rows)
            found |= self.of("game", game)
        return found | {"alive": np.ones((len(starts), 1 + length * spec.k), bool)}

    def forks(self, rows: np.ndarray) -> Figures:
        """Each control from the same start; and, after all of the long dream under `rows` [n, T, width], once more."""
        count = min(16, self.count)
        late = rows[:count]
        return self.collect(
            "forks", count, FORK, lambda f, s: self._forks(f, s, late[f : f + len(s)])
        )

    def _forks(self, first: int, starts: list[Start], before: np.ndarray) -> Figures:
        spec, length = self.checkpoint.spec, self.latents(FORK)
        chosen = np.stack(list(rollouts.variants(spec.control).values()))
        branches = np.repeat(chosen[:, None], length, axis=1)  # [V, T, width]
        n, seeds = len(starts), self.seeds(first, starts)

        def fork(controls: np.ndarray) -> np.ndarray:
            return rollouts.fork_dream(
                self.checkpoint, starts, controls, branches, seeds, self.device, self.fast
            )

        out: Figures = {"rows": np.repeat(branches[None], n, axis=0)}
        worlds = {"dream": fork(before[:, :0])}
        if self.meter is not None:
            worlds["late"] = fork(before)
        if self.twin is not None:
            games = [rollouts.fork_game(self.twin, start, branches) for start in starts]
            worlds["game"] = np.stack(games, axis=1)
        for name, clips in worlds.items():  # [V, n, F, H, W, 3]
            until = 1 + self.latents(STEER) * spec.k
            flow = [measures.sideways(clip[:, :until], self.mask) for clip in clips]
            out[f"{name}_sideways"] = np.stack(flow, axis=1)
            out[f"{name}_shown"] = np.stack([clip[:, :until:6] for clip in clips], axis=1)
            if self.meter is not None:
                seen = [self.meter.watch(clip).reading for clip in clips]
                out[f"{name}_reading"] = np.stack(seen, axis=1)
        return out

    def loops(self) -> Figures:
        """A camera looks away from where it stands and back: the first view, the one away and the last."""
        spec = self.checkpoint.spec
        rows = camera.there_and_back(spec.control, spec.k)
        seconds = len(rows) * spec.k / spec.frame_fps
        return self.collect("loops", self.count, seconds, lambda f, s: self._loops(f, s, rows))

    def _loops(self, first: int, starts: list[Start], rows: np.ndarray) -> Figures:
        every, half = np.repeat(rows[None], len(starts), axis=0), len(rows) // 2
        moments = np.array([0, half, 2 * half]) * self.checkpoint.spec.k
        found = {"dream": self._dream(first, starts, every)}
        if self.twin is not None:
            found["game"], _, _ = rollouts.play_games(self.twin, starts, len(rows), 0, every)
            found["vae"] = rollouts.through_vae(self.checkpoint, starts, found["game"], self.device)
        return {f"{name}_looks": clips[:, moments] for name, clips in found.items()}

    def seeded(self, rows: np.ndarray) -> Figures:
        """The same starts and controls [n, T, width] under several seeds of the noise."""
        seconds, count = min(SEEDED, self.seconds), min(8, self.count)
        mine = rows[:count, : self.latents(seconds)]
        return self.collect(
            "seeds", count, seconds, lambda f, s: self._seeded(s, mine[f : f + len(s)])
        )

    def _seeded(self, starts: list[Start], rows: np.ndarray) -> Figures:
        found = []
        for seed in range(SEEDS):
            seeds = [self.seed + 1000 + seed] * len(starts)
            clips = rollouts.play_dream(
                self.checkpoint, starts, rows, seeds, self.device, self.fast
            )
            found.append(self._looks(clips))
        return {name: np.stack([f[name] for f in found], axis=1) for name in found[0]}

    def _looks(self, clips: np.ndarray) -> Figures:
        """What clips look like, without flow."""
        last = clips[:, self.checkpoint.spec.k :: self.checkpoint.spec.k]
        out = {"pooled": measures.pooled(last).reshape(*last.shape[:2], -1).astype(np.float32)}
        if self.meter is not None:
            out["features"] = self.meter.watch(clips).features
        return out
