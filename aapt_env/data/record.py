"""Record a game: policies play it in worker processes, and every episode is written as soon as it ends.

Episode i is a function of (game, policy, seed, i) alone. So the dataset is the same whatever the number of workers and
however often the recording was killed, and the same command continues it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path

import gymnasium as gym
import numpy as np
from tqdm import tqdm

from aapt_env.data import policies
from aapt_env.data.episodes import read_index
from aapt_env.data.files import DatasetWriteError
from aapt_env.data.writer import EpisodeWriter
from aapt_env.games import make_held, world_spec
from aapt_env.spec import WorldSpec

GATHER_EVERY = 50  # episodes between two rewritings of the metadata that covers all


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that an episode's content depends on, beside its number."""

    game: str
    height: int  # pixels
    width: int  # pixels
    k: int  # frames per latent
    policy: str  # several joined by "+" take turns, episode by episode
    seed: int
    max_seconds: float  # of one episode

    def latents(self, spec: WorldSpec) -> int:
        """Latents an episode has at most."""
        return max(1, int(self.max_seconds * spec.frame_fps) // self.k)


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What `record` did."""

    path: Path
    episodes: int  # in the dataset
    frames: int  # in the dataset
    new_frames: int  # of this call
    seconds: float

    def __str__(self):
        rate = self.new_frames / max(self.seconds, 1e-9)
        return (
            f"{self.path}: {self.episodes} episodes, {self.frames:,} frames "
            f"({self.new_frames:,} new in {self.seconds:.1f} s, {rate:,.0f} frames/s)"
        )


def record(
    game: str,
    out: str | os.PathLike,
    frames: int = 200_000,
    workers: int = 1,
    policy: str | None = None,
    seed: int = 0,
    height: int = 64,
    width: int = 64,
    k: int = 4,
    max_seconds: float | None = 60,
    time_limit: float | None = None,
    progress: bool = True,
) -> Summary:
    """Record episodes of a game until the dataset has `frames` frames.

    The same call continues a recording that was stopped or killed; a larger `frames` adds to it. With more than one
    worker, call it from under `if __name__ == "__main__":`, since the workers import the main module.

    Args:
        game: `driving`, `gym:ID` or `dream:NAME`.
        out: folder of the dataset.
        frames: RGB frames in all, reached with whole episodes: the last one may run over.
        workers: processes that play at once.
        policy: `scripted` (the game's own), `random`, `module:function` (see `policies`), or several joined by "+".
            By default the game's own, or random where it has none.
        seed: base seed; episode i's own seed is derived from it and i.
        height: pixels, a multiple of 8.
        width: pixels, a multiple of 8.
        k: frames per latent; each control is held for k frames.
        max_seconds: of game time; longer episodes are cut there. None means 60.
        time_limit: seconds after which no episode is begun.
        progress: show a bar in frames and a line at the end.

    Returns:
        What is in the dataset now, and what this call added.

    Raises:
        ValueError: unknown game or policy, or `out` holds another dataset; says what to do.
        DatasetWriteError: disk full or folder unwritable; what was written is kept.
    """
    begun = time.perf_counter()
    if frames < 1 or workers < 1:
        raise ValueError(f"{frames=} and {workers=}; expected whole numbers of at least 1")
    env = make_held(game, height, width, k)
    spec = world_spec(env, game, k)
    recipe = Recipe(
        game=game,
        height=spec.height,
        width=spec.width,
        k=k,
        policy=policies.resolve(policy, env),
        seed=seed,
        max_seconds=float(max_seconds or 60),
    )
    writer = EpisodeWriter(out, spec, recipe=dataclasses.asdict(recipe), gather_every=0)
    plan = Plan(
        lengths={episode.index: episode.length for episode in read_index(writer.path)},
        frames=frames,
        longest=1 + recipe.latents(spec) * k,
        stop_at=begun + time_limit if time_limit else float("inf"),
    )
    before = plan.written
    bar = tqdm(
        total=frames, unit="frame", unit_scale=True, desc=game, disable=None if progress else True
    )
    try:
        with bar, _pool(workers, recipe, writer, env) as pool:
            bar.update(before)
            for count, length in enumerate(plan.run(pool, workers), 1):
                bar.update(length)
                if count % GATHER_EVERY == 0:
                    writer.gather()
    except BaseException:
        with contextlib.suppress(DatasetWriteError, ValueError):
            writer.gather()  # what there is shall be readable by other tools too
        raise
    writer.close()
    env.close()
    summary = Summary(
        path=writer.path,
        episodes=len(plan.lengths),
        frames=plan.written,
        new_frames=plan.written - before,
        seconds=time.perf_counter() - begun,
    )
    if progress:
        print(summary)
    return summary


@dataclass
class Plan:
    """Which episodes are needed: the first ones, in order, until their frames are enough.

    An episode is begun only when it is needed for certain: those still being played count with their greatest length.
    So no worker ever plays one too many, and the dataset does not depend on how many workers there are.
    """

    lengths: dict[int, int]  # frames of each episode there is, by its number
    frames: int  # wanted
    longest: int  # frames an episode can have at most
    stop_at: float  # time.perf_counter() after which none is begun

    @property
    def written(self) -> int:
        """Frames of all episodes there are."""
        return sum(self.lengths.values())

    def run(self, pool: Executor, workers: int) -> Iterator[int]:
        """Have `pool` play what is missing; yields the frames of each episode as it is done."""
        running: dict[Future, int] = {}
        index = counted = 0  # next to look at; frames of those before it that are done
        while True:
            while counted + len(running) * self.longest < self.frames:
                if index in self.lengths:
                    counted += self.lengths[index]
                elif len(running) < workers and time.perf_counter() < self.stop_at:
                    running[pool.submit(_play, index)] = index
                else:
                    break
                index += 1
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                length = _result(future)
                self.lengths[running.pop(future)] = length
                counted += length
                yield length


class Player:
    """Plays and writes episodes, one at a time.

    Args:
        recipe: what to play.
        env: the game at the dream's rhythm.
        writer: takes the episodes.
    """

    def __init__(self, recipe: Recipe, env: gym.Env, writer: EpisodeWriter):
        self.recipe, self.env, self.writer = recipe, env, writer
        self._policies = recipe.policy.split("+")

    def play(self, index: int) -> int:
        """Play and write episode `index`; returns its frames."""
        game_seed, policy_seed = episode_seeds(self.recipe.seed, index)
        name = self._policies[index % len(self._policies)]
        policy = policies.load(name, self.env)(policy_seed)
        obs, info = self.env.reset(seed=game_seed)
        scene, control, k = info.get("scene", {}), self.writer.spec.control, self.recipe.k
        if hasattr(policy, "reset"):
            policy.reset(self.env.unwrapped)
        frames, rows, rewards = [info["frames"]], [], []
        over = terminated = truncated = False
        real, latents = 1, self.recipe.latents(self.writer.spec)
        while not over and len(rows) < latents:
            action = policy(obs, info)
            rows.append(control.to_row(action))
            obs, reward, terminated, truncated, info = self.env.step(action)
            frames.append(info["frames"])
            rewards.append(info.get("rewards", np.full(k, reward / k, np.float32)))
            real += info.get("frames_real", k)
            over = terminated or truncated
        self.writer.add(
            np.concatenate(frames),
            np.repeat(np.stack(rows), k, axis=0),
            np.concatenate(rewards),
            terminated=terminated,
            truncated=not terminated,
            seed=game_seed,
            scene=scene,
            policy=name,
            index=index,
            frames_real=real,
            game=self.recipe.game,
            policy_seed=policy_seed,
        )
        return 1 + len(rows) * k


def episode_seeds(seed: int, index: int) -> tuple[int, int]:
    """(game seed, policy seed) of episode `index`: 31 bits each."""
    game, policy = np.random.SeedSequence([seed, index]).generate_state(2)
    return int(game >> 1), int(policy >> 1)


def _result(future: Future) -> int:
    try:
        return future.result()
    except BrokenExecutor as error:
        raise RuntimeError(
            "a worker process died, killed from outside or out of memory; episodes written so far are kept: "
            "run the same again, with fewer workers if memory is short"
        ) from error


class _Here(Executor):
    """Plays in this process, at once."""

    def submit(self, call, /, *args, **kwargs) -> Future:
        future: Future = Future()
        future.set_result(call(*args, **kwargs))
        return future


_player: Player | None = None  # of this process


def _play(index: int) -> int:
    assert _player is not None
    return _player.play(index)


def _pool(workers: int, recipe: Recipe, writer: EpisodeWriter, env: gym.Env) -> Executor:
    """Who plays: this process, or `workers` others."""
    global _player
    if workers == 1:
        _player = Player(recipe, env, writer)
        return _Here()
    return ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin_worker,
        initargs=(recipe, str(writer.path)),
    )


def _begin_worker(recipe: Recipe, out: str) -> None:
    """Make the game of a worker process, and end the process when its parent ends, however that was killed."""
    global _player
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops us, between episodes
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent.sentinel,), daemon=True).start()
    env = make_held(recipe.game, recipe.height, recipe.width, recipe.k)
    spec = world_spec(env, recipe.game, recipe.k)
    _player = Player(recipe, env, EpisodeWriter(out, spec, gather_every=None))


def _follow(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
