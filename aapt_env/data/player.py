"""Play one episode after the other and write each, here or in worker processes."""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.util import Finalize
from pathlib import Path

import cv2
import gymnasium as gym
import numpy as np

from aapt_env.data import policies
from aapt_env.data.episodes import read_head
from aapt_env.data.writer import EpisodeWriter
from aapt_env.flags import sentence
from aapt_env.games import make_held
from aapt_env.spec import ControlSpec, WorldSpec
from aapt_env.twin import told_by


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
    checkpoint: str | None = None  # hash of the dream's; of a game, none
    with_latents: bool = False  # a dream's, beside its frames
    scene: dict[str, str] | None = None  # what all episodes have; the seed draws the rest

    def __post_init__(self):
        if self.with_latents and self.checkpoint is None:
            raise ValueError(
                f"{self.game} has no latents, it is a game; leave --latents out, or record dream:NAME"
            )

    def to_dict(self) -> dict:
        """JSON form; what is not there is left out, and so a game's is as it always was."""
        every = dataclasses.asdict(self)
        return {n: v for n, v in every.items() if v is not None and v is not False}

    def latents(self, spec: WorldSpec) -> int:
        """Latents an episode has at most."""
        return max(1, int(self.max_seconds * spec.frame_fps) // self.k)


def options(scene: dict[str, str] | None) -> dict | None:
    """Options of a reset into a scene; None where nothing is asked for, as games without options want it."""
    return {"scene": dict(scene)} if scene else None


class Halted(Exception):
    """An episode was given up, because the recording stops."""


class Player:
    """Plays and writes episodes, one at a time.

    Args:
        recipe: what to play.
        env: the game at the dream's rhythm.
        writer: takes the episodes.
        halted: asked before each latent; True gives the episode up.
    """

    def __init__(
        self,
        recipe: Recipe,
        env: gym.Env,
        writer: EpisodeWriter,
        halted: Callable[[], bool] = lambda: False,
    ):
        self.recipe, self.env, self.writer, self.halted = recipe, env, writer, halted
        self._policies = recipe.policy.split("+")

    def play(self, index: int) -> int:
        """Play and write episode `index`; returns its frames.

        Raises:
            Halted: the recording was stopped in mid-episode.
            ValueError: the checkpoint is no longer the recipe's, or the policy fails.
        """
        self._check()
        game_seed, policy_seed = episode_seeds(self.recipe.seed, index)
        name = self._policies[index % len(self._policies)]
        env, dream = self.env, self.env.unwrapped
        control = self.writer.spec.control
        with asking(name, control):
            policy = policies.load(name, env)(policy_seed)
        obs, info = env.reset(seed=game_seed, options=options(self.recipe.scene))
        extras = {"game": self.recipe.game, "policy_seed": policy_seed, **told_of_dream(env, info)}
        scene, k = info.get("scene", {}), self.recipe.k
        with asking(name, control):
            if hasattr(policy, "reset"):
                policy.reset(dream)
        frames, rows, rewards = [info["frames"][-1:]], [], []
        told = [told_by(info, k)[-1:]] if self.writer.spec.carried else []
        latents = [dream.latent] if self.recipe.with_latents else []
        over = terminated = truncated = False
        real, most = 1, self.recipe.latents(self.writer.spec)
        while not over and len(rows) < most:
            if self.halted():
                raise Halted
            with asking(name, control):
                action = policy(obs, info)
                rows.append(control.to_row(action))
            obs, reward, terminated, truncated, info = env.step(action)
            frames.append(info["frames"])
            rewards.append(paid(reward, info, k))
            latents += [dream.latent] if latents else []
            told += [told_by(info, k)] if told else []
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
            latents=np.stack(latents).astype(np.float16) if latents else None,
            carried=np.concatenate(told) if told else None,
            **extras,
        )
        return 1 + len(rows) * k

    def _check(self) -> None:
        """Raises ValueError: a training wrote another checkpoint since the recording began."""
        now = getattr(self.env.unwrapped, "checkpoint_hash", None)
        if now != self.recipe.checkpoint:
            raise ValueError(
                f"the checkpoint of {self.recipe.game} is now {now}, the recording was begun with "
                f"{self.recipe.checkpoint}; record a copy of it that no training changes: dream:FOLDER"
            )


@contextlib.contextmanager
def asking(name: str, control: ControlSpec) -> Iterator[None]:
    """A policy is a stranger's code: whatever goes wrong in it becomes one ValueError, which says what is expected."""
    try:
        yield
    except Exception as error:
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise ValueError(
            f"policy {name!r} failed: {kind}{sentence(error)}; expected a function that takes a seed and returns a "
            f"policy, (observation, info) -> an action of {control.action_space()}; AAPT_DEBUG=1 shows where it failed"
        ) from error


def told_of_dream(env: gym.Env, info: dict) -> dict:
    """What an episode keeps of how it was dreamt: {"start", "dream"}; of a game, just reset, nothing.

    Args:
        env: just reset.
        info: what reset told.
    """
    told = {"start": int(info["start"]["index"])} if "start" in info else {}
    making = getattr(env.unwrapped, "making", None)
    if making is not None:
        told["dream"] = making | {"noise_seed": int(info["seed"])}
    return told


def paid(reward: float, info: dict, k: int) -> np.ndarray:
    """float32 [k], the reward of each frame of a step; a dream pays by the latent, each frame an equal share."""
    return info.get("rewards", np.full(k, reward / k, np.float32))


def episode_seeds(seed: int, index: int) -> tuple[int, int]:
    """(game seed, policy seed) of episode `index`: 31 bits each."""
    game, policy = np.random.SeedSequence([seed, index]).generate_state(2)
    return int(game >> 1), int(policy >> 1)


class _Here(Executor):
    """Plays in this process, at once."""

    def submit(self, call, /, *args, **kwargs) -> Future:
        future: Future = Future()
        future.set_result(call(*args, **kwargs))
        return future


_player: Player | None = None  # of this process
GRACE = 1.0, 20.0  # seconds in which a latent ends, and at most those in which a game closes


def play(index: int) -> int:
    """`Player.play` of this process's player."""
    assert _player is not None
    return _player.play(index)


def pool(workers: int, recipe: Recipe, writer: EpisodeWriter, env: gym.Env) -> Executor:
    """Who plays: this process, or `workers` others."""
    global _player
    if workers == 1:
        _player = Player(recipe, env, writer)
        return _Here()
    return _Workers(workers, recipe, str(writer.path))


class _Workers(ProcessPoolExecutor):
    """Worker processes that do not hear Ctrl-C: they stop, in mid-episode, when the parent leaves with an error."""

    def __init__(self, workers: int, recipe: Recipe, out: str):
        context = multiprocessing.get_context("spawn")
        self._halt = context.Event()
        super().__init__(
            workers,
            mp_context=context,
            initializer=_begin_worker,
            initargs=(recipe, out, self._halt.is_set),
        )

    def submit(self, call, /, *args, **kwargs) -> Future:
        with _deaf():  # this is where processes are born
            return super().submit(call, *args, **kwargs)

    def __exit__(self, kind, error, trace):
        if kind is not None:
            self._halt.set()
        return super().__exit__(kind, error, trace)


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait until the end; processes begun meanwhile never get a Ctrl-C, not even as they import."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    heard: list[int] = []
    handlers = {}
    if threading.current_thread() is threading.main_thread():  # half a birth would be a traceback
        for number in (signal.SIGINT, signal.SIGTERM):
            handlers[number] = signal.signal(number, lambda number, _: heard.append(number))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if heard:
        signal.raise_signal(heard[0])


def _begin_worker(recipe: Recipe, out: str, halted: Callable[[], bool]) -> None:
    """Make the game of a worker process, and end the process when its parent ends, however that was killed."""
    global _player
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops us
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent.sentinel,), daemon=True).start()
    one_thread()
    env = make_held(recipe.game, recipe.height, recipe.width, recipe.k)
    Finalize(
        env, env.close, exitpriority=10
    )  # a process of a pool ends without closing what it made
    spec, _ = read_head(Path(out))
    _player = Player(recipe, env, EpisodeWriter(out, spec, gather_every=None), halted)


def one_thread() -> None:
    """Let this process work in one thread: it is one of many, and threads that wait for a core hold up the others."""
    cv2.setNumThreads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of torch, which dreams and policies load later
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def _follow(sentinel: int) -> None:
    """Wait for the parent's end, give the episode up, close the game, whose engine may be a process, and be gone."""
    connection.wait([sentinel])
    if _player is not None:
        _player.halted = lambda: True
        time.sleep(GRACE[0])
        closing = threading.Thread(target=_player.env.close, daemon=True)
        closing.start()
        closing.join(GRACE[1])
    os._exit(1)
