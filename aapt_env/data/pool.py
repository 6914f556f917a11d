"""Who plays the episodes of a recording: this process, or several that end with it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from multiprocessing import connection
from multiprocessing.util import Finalize
from pathlib import Path

import cv2
import gymnasium as gym

from aapt_env.data.episodes import read_head
from aapt_env.data.player import Player, Recipe
from aapt_env.data.writer import EpisodeWriter
from aapt_env.games import make_held


class _Here(Executor):
    """Plays in this process, at once."""

    def submit(self, call, /, *args, **kwargs) -> Future:
        future: Future = Future()
        future.set_result(call(*args, **kwargs))
        return future


_player: Player | None = None  # of this process
_unmade: ValueError | None = None  # why a worker process has none
GRACE = 1.0, 20.0  # seconds in which a latent ends, and at most those in which a game closes


def play(index: int) -> int:
    """`Player.play` of this process's player."""
    if _unmade is not None:
        raise _unmade
    assert _player is not None
    return _player.play(index)


def players(workers: int, recipe: Recipe, writer: EpisodeWriter, env: gym.Env) -> Executor:
    """Who plays: this process, or `workers` others."""
    global _player
    if workers == 1:
        _player = Player(recipe, env, writer)
        return _Here()
    return _Workers(workers, recipe, str(writer.path))


class _Workers(ProcessPoolExecutor):
    """Worker processes, deaf to Ctrl-C and SIGTERM: they stop, in mid-episode, when the parent leaves with an error."""

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
    global _player, _unmade
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the parent stops us
    for inherited in range(
        3, 256
    ):  # a game's engine would keep the pipe open by which the parent sees us end
        with contextlib.suppress(OSError):
            os.set_inheritable(inherited, False)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent.sentinel,), daemon=True).start()
    one_thread()
    try:
        env = make_held(recipe.game, recipe.height, recipe.width, recipe.k)
    except ValueError as error:  # some games can be made once only
        _unmade = error  # told when an episode is asked for
        return
    Finalize(env, env.close, exitpriority=10)  # the process ends without closing what it made
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
