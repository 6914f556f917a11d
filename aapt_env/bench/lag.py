"""Input to frame: how long a player waits from a key to the first frame that it changed, in the window of play."""

from __future__ import annotations

import os
import random
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aapt_env.play.window import Window

ALLOWED = 30.0  # milliseconds that may be lost besides the latent that is being shown
HELD = 0.1, 0.5  # seconds that a key is held, and is let go


@dataclass(frozen=True)
class Lag:
    """Milliseconds from keys to the frames that answer them."""

    answers: int  # changes of keys that were answered
    median: float
    p99: float
    latent: float  # that a latent lasts on screen: a key may come just after one was begun
    late: int  # latents that were not there in time

    @property
    def prompt(self) -> bool:
        """Whether the 99th percentile is at most one latent and `ALLOWED`."""
        return self.p99 <= self.latent + ALLOWED


def measure(game: str, checkpoint: str | None, device: str, seconds: float, seed: int = 0) -> Lag:
    """Play in a window that is painted and that nobody sees, with keys pressed at random moments.

    The same clock as the HUD's: from the event's arrival in the window to the end of painting the first frame of the
    latent that was made with it.

    Raises:
        ValueError: the world cannot be opened, or none of its controls is a key, or no key was answered.
    """
    os.environ["SDL_VIDEODRIVER"] = "dummy"
    from aapt_env.play import opening, window  # here: only this needs pygame
    from aapt_env.play.recorder import Recorder
    from aapt_env.play.runner import Runner
    from aapt_env.play.session import Session

    wanted = opening.Wanted(game=game, checkpoint=checkpoint, device=device, seed=seed)
    opening.check(wanted)
    runner = Runner(
        lambda: Session(opening.open_setup(wanted), seed),
        lambda setup: Recorder(Path("recordings"), setup.spec, dream=setup.dream),
    )
    shown = window.Window(runner, title="aapt bench")
    threading.Thread(target=press, args=(shown, seconds, seed), name="keys", daemon=True).start()
    shown.run()
    if not len(shown.lag):
        raise ValueError(
            f"no key of {game!r} was answered within {seconds:g} s; try a longer --lag"
        )
    assert runner.setup is not None
    return of(shown, runner.setup.spec.k)


def of(shown: Window, k: int) -> Lag:
    """What the window measured."""
    half, most = (1e3 * shown.lag.seconds(percent) for percent in (50, 99))
    latent = 1e3 * k / shown.playhead.fps
    return Lag(len(shown.lag), half, most, latent, shown.playhead.late)


def press(shown: Window, seconds: float, seed: int) -> None:
    """Press and release the world's keys at random moments, then close the window. On a thread of its own."""
    import pygame

    from aapt_env.play.help_card import bound_keys

    rng, begun = random.Random(seed), None
    while shown.open and (begun is None or time.perf_counter() - begun < seconds):
        time.sleep(rng.uniform(*HELD))
        if shown.inputs is None or shown.playhead.latent is None:
            if shown.runner.error is not None:
                return  # the window tells
            continue
        begun = time.perf_counter() if begun is None else begun
        keys = sorted(bound_keys(shown.inputs.control))
        if not keys:
            break
        code = pygame.key.key_code(rng.choice(keys))
        for kind in (pygame.KEYDOWN, pygame.KEYUP):
            pygame.event.post(pygame.event.Event(kind, key=code, mod=0))
            time.sleep(rng.uniform(*HELD))
    pygame.event.post(pygame.event.Event(pygame.QUIT))


def text(lag: Lag) -> str:
    """In words."""
    holds = "within" if lag.prompt else "NOT within"
    return (
        f"key to frame  median {lag.median:.0f} ms, p99 {lag.p99:.0f} ms, of {lag.answers} changes of keys\n"
        f"p99 is {holds} one latent ({lag.latent:.0f} ms) plus {ALLOWED:.0f} ms; {lag.late} latents came late"
    )
