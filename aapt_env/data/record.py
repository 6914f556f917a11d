"""Record a game: policies play it in worker processes, and every episode is written as soon as it ends.

Episode i is a function of (game, policy, seed, i) alone. So the dataset is the same whatever the number of workers and
however often the recording was killed, and the same command continues it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    wait,
)
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from aapt_env import keymap
from aapt_env.data import policies
from aapt_env.data.episodes import read_index
from aapt_env.data.files import DatasetWriteError
from aapt_env.data.player import Recipe
from aapt_env.data.pool import play, players
from aapt_env.data.writer import EpisodeWriter
from aapt_env.flags import check_size
from aapt_env.games import make_held, repeats, world_spec
from aapt_env.spec import WorldSpec

DIED = (
    "a worker process died, killed from outside or out of memory; episodes written so far are kept: "
    "run the same again, with fewer workers if memory is short"
)
UNSEEDED = (
    "the same seed gives another episode the second time; recorded all the same, but a twin beside its dream goes "
    "another way, and a recording that was stopped does not go on exactly as it would have"
)
FRAMES = 200_000  # recorded unless said otherwise
GATHER_EVERY = 50  # new episodes, at least, between two rewritings of the metadata that covers all


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What `record` did."""

    path: Path
    episodes: int  # in the dataset
    frames: int  # in the dataset
    new_frames: int  # of this call
    seconds: float

    @classmethod
    def of(cls, writer: EpisodeWriter, plan: Plan, before: int, seconds: float) -> Summary:
        """What there is now that a plan was carried out, where there were `before` frames."""
        return cls(
            path=writer.path,
            episodes=len(plan.lengths),
            frames=plan.written,
            new_frames=plan.written - before,
            seconds=seconds,
        )

    def __str__(self):
        rate = self.new_frames / max(self.seconds, 1e-9)
        return (
            f"{self.path}: {self.episodes} episodes, {self.frames:,} frames "
            f"({self.new_frames:,} new in {self.seconds:.1f} s, {rate:,.0f} frames/s)"
        )


def record(
    game: str,
    out: str | os.PathLike,
    frames: int | None = None,
    workers: int = 1,
    policy: str | None = None,
    seed: int = 0,
    height: int = 64,
    width: int = 64,
    k: int | None = None,
    max_seconds: float | None = 60,
    time_limit: float | None = None,
    keys: str | None = None,
    progress: bool = True,
    episodes: int | None = None,
    latents: bool = False,
    scene: dict[str, str] | None = None,
) -> Summary:
    """Record a game or a dream until the dataset has `frames` frames, or `episodes` episodes.

    The same call continues a recording that was stopped or killed; a larger number adds to it. With more than one
    worker, call it from under `if __name__ == "__main__":`, since the workers import the main module.

    Args:
        game: `driving`, `gym:ID` or `dream:NAME`.
        out: folder of the dataset.
        frames: RGB frames in all, reached with whole episodes: the last one may run over. 200,000 by default.
        workers: processes that play at once.
        policy: `scripted` (the game's own; of a dream, the player that its checkpoint carries), `echo`,
            `elsewhere`, `random`, `module:function` (see `policies.load`), or several joined by "+". By default
            scripted, or random where there is none.
        seed: base seed; episode i's own seed is derived from it and i.
        height: pixels, a multiple of 8 up to 4096.
        width: the same.
        k: frames per latent; each control is held for k frames. None: 4, or as many as the dream makes.
        max_seconds: of game time; longer episodes are cut there. None means 60.
        time_limit: seconds after which no episode is begun.
        keys: a keymap file, or "ask": the keys with which the world will be played. None for the game's own.
        progress: show a bar in frames and a line at the end.
        episodes: in all, instead of `frames`.
        latents: of a dream, keep its latents beside its frames.
        scene: attributes of the game's scenes that all episodes have; the seed draws the others.

    Returns:
        What is in the dataset now, and what this call added.

    Raises:
        ValueError: unknown game or policy, a number that makes no sense, `out` holds another dataset, or the game or
            policy fails; says what to do. Episodes that were finished are kept.
        DatasetWriteError: disk full or folder unwritable; what was written is kept.
    """
    begun = time.perf_counter()
    _check(frames, episodes, workers, seed, (height, width), max_seconds)
    with contextlib.closing(make_held(game, height, width, k or 4)) as env:
        dream = getattr(env.unwrapped, "spec_world", None)
        k = k or (dream.k if dream is not None else 4)
        spec = world_spec(env, game, k)
        spec = dataclasses.replace(spec, control=keymap.chosen(keys, spec.control))
        _check_scene(scene or {}, spec)
        recipe = Recipe(
            game=game, height=spec.height, width=spec.width, k=k, policy=policies.resolve(policy, env),
            seed=seed, max_seconds=60.0 if max_seconds is None else float(max_seconds),
            checkpoint=getattr(env.unwrapped, "checkpoint_hash", None), with_latents=latents,
            scene=scene or None,
        )  # fmt: skip
        writer = EpisodeWriter(out, spec, recipe=recipe.to_dict(), gather_every=0)
        wanted = Wanted(frames=None if episodes else frames or FRAMES, episodes=episodes)
        plan = Plan.of(writer, recipe, wanted, begun + (time_limit or float("inf")))
        before = plan.written
        with _gathered(writer):
            if game.startswith("gym:") and not before and not repeats(env):
                print(f"{game}: {UNSEEDED}")
            with players(workers, recipe, writer, env) as pool:
                _fill(plan, pool, workers, writer, _bar(game, wanted, progress))
    summary = Summary.of(writer, plan, before, time.perf_counter() - begun)
    if progress:
        print(summary)
    return summary


def _check(
    frames: int | None,
    episodes: int | None,
    workers: int,
    seed: int,
    size: tuple[int, int],
    max_seconds: float | None,
) -> None:
    """Raises ValueError for numbers that make no sense, before anything is made."""
    if frames is not None and episodes is not None:
        raise ValueError(f"{frames=} and {episodes=}: give one of them, it says when to stop")
    least_of = {"frames": (frames, 1), "episodes": (episodes, 1), "workers": (workers, 1)}
    for name, (value, least) in (least_of | {"seed": (seed, 0)}).items():
        if value is not None and value < least:
            raise ValueError(f"{name} {value}: expected a whole number >= {least}")
    check_size(*size)
    if max_seconds is not None and not 0 < max_seconds < float("inf"):
        raise ValueError(f"max_seconds {max_seconds}: expected a time above 0, in seconds")


def _check_scene(scene: dict[str, str], spec: WorldSpec) -> None:
    """Raises ValueError for an attribute or a value that the game does not have."""
    for name, value in scene.items():
        if value not in spec.scenes.get(name, ()):
            has = dict(spec.scenes) or "no scenes"
            raise ValueError(f"scene {name}={value}: {spec.game} has {has}")


@contextlib.contextmanager
def _gathered(writer: EpisodeWriter) -> Iterator[None]:
    """However it ends, other tools can read what there is; what fails before the first episode leaves nothing."""
    try:
        yield
    except BaseException as error:
        with contextlib.suppress(DatasetWriteError, ValueError):
            if isinstance(error, Exception):  # Ctrl-C is no failure
                writer.abandon()
            writer.gather()
        if isinstance(error, BrokenExecutor):
            raise OSError(DIED) from error
        raise
    writer.close()


def _bar(game: str, wanted: Wanted, progress: bool) -> tqdm:
    """A bar in frames; none in a log file."""
    hidden = None if progress else True
    return tqdm(total=wanted.frames, unit="frame", unit_scale=True, desc=game, disable=hidden)


def _fill(plan: Plan, pool: Executor, workers: int, writer: EpisodeWriter, bar: tqdm) -> None:
    """Carry the plan out, and keep the bar and the metadata up to date."""
    with bar:
        bar.update(plan.written)
        due = GATHER_EVERY
        for count, length in enumerate(plan.run(pool, workers), 1):
            bar.update(length)
            if count == due:
                writer.gather()
                due += max(GATHER_EVERY, len(plan.lengths) // 4)  # it looks at every episode


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """When a dataset is large enough: by one of these."""

    frames: int | None
    episodes: int | None

    def more(self, index: int, frames: int) -> bool:
        """Whether episode `index` is needed, where those before it have at most `frames` frames."""
        return index < self.episodes if self.episodes else frames < (self.frames or 0)


@dataclass
class Plan:
    """Which episodes are needed: the first ones, in order, until they are enough.

    An episode is begun only when it is needed for certain: those still being played count with their greatest length.
    So no worker ever plays one too many, and the dataset does not depend on how many workers there are.
    """

    lengths: dict[int, int]  # frames of each episode there is, by its number
    wanted: Wanted
    longest: int  # frames an episode can have at most
    stop_at: float  # time.perf_counter() after which none is begun

    @classmethod
    def of(cls, writer: EpisodeWriter, recipe: Recipe, wanted: Wanted, stop_at: float) -> Plan:
        """What is left to do where `writer` writes."""
        return cls(
            lengths={episode.index: episode.length for episode in read_index(writer.path)},
            wanted=wanted,
            longest=1 + recipe.latents(writer.spec) * recipe.k,
            stop_at=stop_at,
        )

    @property
    def written(self) -> int:
        """Frames of all episodes there are."""
        return sum(self.lengths.values())

    def run(self, pool: Executor, workers: int) -> Iterator[int]:
        """Have `pool` play what is missing; yields the frames of each episode as it is done."""
        running: dict[Future, int] = {}
        index = counted = 0  # next to look at; frames of those before it that are done
        while True:
            while self.wanted.more(index, counted + len(running) * self.longest):
                if index in self.lengths:
                    counted += self.lengths[index]
                elif len(running) < workers and time.perf_counter() < self.stop_at:
                    running[pool.submit(play, index)] = index
                else:
                    break
                index += 1
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                length = future.result()
                self.lengths[running.pop(future)] = length
                counted += length
                yield length
