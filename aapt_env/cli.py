"""`aapt`: record, import, replay, export, train, meter, play, eval, bench, ablate, ship, push, pull and games.

`python -m aapt_env` is the same.

`play`, `eval` and `bench` hand their flags on to a module that can also be run by itself; all else is in `verbs`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Annotated, Any

import gymnasium as gym
import tyro
from tyro.conf import subcommand

from aapt_env import __version__, flags
from aapt_env.flags import Game, sentence
from aapt_env.verbs.data import Export, Import, Record, Replay
from aapt_env.verbs.training import Ablate, Meter, Train
from aapt_env.verbs.worlds import Games, Pull, Push, Ship

STOPPED = {  # what to do after Ctrl-C
    "record": "; finished episodes are kept, and the same command goes on",
    "ablate": "; finished rows are kept, and the same command goes on",
    "eval": "; finished parts are kept, and the same command goes on",
    "train": "; what was saved last is kept, and the same with --resume goes on from there",
}
HANDED_ON = {"play": "aapt_env.play", "eval": "aapt_env.evaluate", "bench": "aapt_env.bench"}


@dataclass(frozen=True, kw_only=True)
class Play:
    """Play a world with keyboard or gamepad. Flags: aapt play --help."""

    game: Game = "driving"


@dataclass(frozen=True, kw_only=True)
class Eval:
    """Hold a dream against its game: twin, control, drift, motion, latency. Flags: aapt eval --help."""

    game: Game = "driving"


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Measure speed beside the floor of the hardware. Flags: aapt bench --help."""

    game: Game = "driving"


Verb = (
    Annotated[Record, subcommand("record")]
    | Annotated[Import, subcommand("import")]
    | Annotated[Replay, subcommand("replay")]
    | Annotated[Export, subcommand("export")]
    | Annotated[Train, subcommand("train")]
    | Annotated[Meter, subcommand("meter")]
    | Annotated[Play, subcommand("play")]
    | Annotated[Eval, subcommand("eval")]
    | Annotated[Bench, subcommand("bench")]
    | Annotated[Ablate, subcommand("ablate")]
    | Annotated[Ship, subcommand("ship")]
    | Annotated[Push, subcommand("push")]
    | Annotated[Pull, subcommand("pull")]
    | Annotated[Games, subcommand("games")]
)


def _hand_on(verb: str, words: list[str]) -> int | None:
    """`aapt play driving ...` is `python -m aapt_env.play --game driving ...`."""
    if words and not words[0].startswith("-"):
        words = ["--game", *words]
    return flags.load(HANDED_ON[verb]).main(words)


def _do(words: list[str]) -> int:
    """Run one command line; its exit status."""
    if words in (["--version"], ["-V"]):
        print(f"aapt {__version__}")
        return 0
    if words and words[0] in HANDED_ON:
        return _hand_on(words[0], words[1:]) or 0
    verb: Any = tyro.cli(
        Verb,
        prog="aapt",
        description="A neural network that is the game: record, train, play. `aapt VERB --help` tells more.",
        args=words or ["--help"],
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    return verb.run() or 0


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM stops as Ctrl-C does: what was begun is ended, a game's engine and workers too."""
    here = threading.current_thread() is threading.main_thread()
    if not here or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt("SIGTERM")

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def main(argv: Sequence[str] | None = None) -> int:
    """`aapt`: 0 when done, 2 after a sentence on stderr, 130 when interrupted. AAPT_DEBUG=1 shows tracebacks."""
    words = list(sys.argv[1:] if argv is None else argv)
    verb = " ".join(["aapt", *words[:1]])
    try:
        with terminable():
            return _do(words)
    except KeyboardInterrupt as asked:
        by = asked.args[0] if asked.args else "Ctrl-C"
        print(f"{verb}: stopped by {by}{STOPPED.get(words[0], '')}", file=sys.stderr)
        return 130
    except (ValueError, OSError, gym.error.Error) as error:
        if os.environ.get("AAPT_DEBUG"):
            raise
        print(f"{verb}: {sentence(error)}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
