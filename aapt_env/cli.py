"""`aapt`: record, train, meter, play, eval, ablate, bench, ship and games; `python -m aapt_env.cli` is the same.

A verb is a frozen dataclass whose fields are its flags and whose `run` imports the module that does the work, so that
`aapt --help` needs no torch. `play`, `eval` and `bench` hand their flags on to a module that can also be run by itself.
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import gymnasium as gym
import tyro
from tyro.conf import Positional, arg, subcommand
from tyro.constructors import PrimitiveConstructorSpec

from aapt_env import __version__, paths
from aapt_env.flags import sentence, unless

UNITS = {"": 1, "k": 1_000, "m": 1_000_000, "b": 1_000_000_000}
STOPPED = {  # what to do after Ctrl-C
    "record": "; finished episodes are kept, and the same command goes on",
    "ablate": "; finished rows are kept, and the same command goes on",
    "train": "; what was saved last is kept, and the same with --resume goes on from there",
}
HANDED_ON = {"play": "aapt_env.play", "eval": "aapt_env.evaluate", "bench": "aapt_env.bench"}


def parse_count(text: str) -> int:
    """`5000`, `200k`, `1.5M` -> a whole number >= 1.

    Raises:
        ValueError: anything else; says what was expected.
    """
    match = re.fullmatch(r"(\d[\d_]*(?:\.\d+)?)([kmb]?)", text.strip().lower())
    value = float(match[1].replace("_", "")) * UNITS[match[2]] if match else 0.0
    if value < 1 or abs(value - round(value)) > 1e-6:
        raise ValueError(f"expected a whole number >= 1 such as 5000, 200k or 1.5M, got {text!r}")
    return round(value)


def parse_seconds(text: str) -> float:
    """`90s`, `9m`, `2h`, `1h30m` -> seconds, above 0.

    Raises:
        ValueError: anything else; says what was expected.
    """
    number = r"(\d+(?:\.\d+)?)"
    match = re.fullmatch(f"(?:{number}h)?(?:{number}m)?(?:{number}s)?", text.strip().lower())
    hours, minutes, seconds = (float(part or 0) for part in match.groups()) if match else (0, 0, 0)
    total = 3600 * hours + 60 * minutes + seconds
    if total <= 0:
        raise ValueError(
            f"expected a time with its unit such as 90s, 9m, 2h or 1h30m, got {text!r}"
        )
    return total


def _read_by(parse: Callable[[str], Any], metavar: str) -> PrimitiveConstructorSpec:
    """Tell tyro to read one word with `parse`; its ValueError becomes the message under the flag."""
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=lambda words: parse(words[0]),
        is_instance=lambda value: isinstance(value, (int, float)),
        str_from_instance=lambda value: [f"{value:g}"],
    )


Count = Annotated[int, _read_by(parse_count, "COUNT")]
Seconds = Annotated[float, _read_by(parse_seconds, "TIME")]
Game = Annotated[Positional[str], arg(metavar="GAME")]


@dataclass(frozen=True, kw_only=True)
class Record:
    """Play a game with a policy and write the episodes, ready for training.

    The same command continues a recording that was stopped; a larger --frames adds to it.

    Example: aapt record driving --frames 200k --size 64
    """

    game: Game
    """What to record: driving (one of ours, see `aapt games`), gym:ID (any Gymnasium environment) or dream:driving."""
    frames: Annotated[Count, unless("200k", "COUNT")] = 200_000
    """RGB frames in the dataset, reached with whole episodes: 5000, 200k, 1.5M."""
    out: Annotated[Path | None, unless("data/GAME", "DIR")] = None
    """Folder of the dataset."""
    workers: Annotated[int, unless("one per core", "N")] = os.cpu_count() or 1
    """Processes that play at once."""
    policy: Annotated[str | None, unless("the game's own, or random where it has none", "NAME")] = (
        None
    )
    """Who plays: scripted (the game's own), random, module:function, or several joined by +."""
    seed: int = 0
    """Every episode's seed derives from this one and the episode's number."""
    size: Annotated[int | None, unless("64", "PIXELS")] = None
    """Height and width of a square frame, a multiple of 8."""
    height: Annotated[int | None, unless("--size", "PIXELS")] = None
    """A multiple of 8; goes with --width."""
    width: Annotated[int | None, unless("--size", "PIXELS")] = None
    """A multiple of 8; goes with --height."""
    k: Literal[1, 2, 4] = 4
    """Frames per latent: how long one control is held."""
    max_seconds: Annotated[float, arg(metavar="SECONDS")] = 60.0
    """Game time of an episode; longer ones are cut there."""
    time_limit: Annotated[Seconds | None, unless("no limit", "TIME")] = None
    """Begin no episode after this long: 90s, 9m, 1h30m."""

    def run(self) -> None:
        """Record, by `aapt_env.data.record.record`."""
        height, width = self._frame()
        _import("aapt_env.data.record").record(
            game=self.game,
            out=self.out or paths.data_dir(self.game),
            frames=self.frames,
            workers=self.workers,
            policy=self.policy,
            seed=self.seed,
            height=height,
            width=width,
            k=self.k,
            max_seconds=self.max_seconds,
            time_limit=self.time_limit,
        )

    def _frame(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        if self.size is not None and (self.height is not None or self.width is not None):
            raise ValueError(
                "--size is for square frames: give either --size, or --height and --width"
            )
        if (self.height is None) != (self.width is None):
            raise ValueError("--height and --width go together; --size N is short for both")
        size = 64 if self.size is None else self.size
        if self.height is None or self.width is None:
            return size, size
        return self.height, self.width


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a world, through all stages, to a playable checkpoint in RUN/checkpoint.

    Example: aapt train driving --recipe cpu --budget 2h
    """

    game: Game
    """The game whose episodes are learned; its dataset is recorded first where there is none."""
    recipe: Annotated[str, arg(metavar="NAME")] = "cpu"
    """smoke (seconds, for tests), tiny, cpu (64x64, 2 hours on two cores) or h100 (128x128, 25 minutes on one)."""
    stage: Annotated[str | None, unless("the recipe's, in turn", "STAGE")] = None
    """Only this one: autoencode, diffusion, consistency, adversarial, long, polish or imitate."""
    budget: Annotated[Seconds | None, unless("the recipe's", "TIME")] = None
    """Time for the whole training, shared out over the stages: 25m, 2h, 1h30m."""
    time_limit: Annotated[Seconds | None, unless("no limit", "TIME")] = None
    """Stop this command after so long, resumable and playable; the budget stays as it was: 90s, 9m."""
    resume: bool = False
    """Go on where the run in --out stopped."""
    data: Annotated[Path | None, unless("data/GAME", "DIR")] = None
    """Folder of the dataset."""
    out: Annotated[Path | None, unless("runs/GAME", "DIR")] = None
    """Folder of the run."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; auto takes CUDA where there is one."""
    seed: int = 0
    """Of weights, noise and the order of clips."""
    compile: bool = False
    """torch.compile for the diffusion stage: a minute of compiling, then a sixth faster; needs a C++ compiler."""

    def run(self) -> None:
        """Train, by `aapt_env.train.run.train`."""
        flags = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        flags["data"] = self.data or paths.data_dir(self.game)
        flags["out"] = self.out or paths.run_dir(self.game)
        watch = _import("aapt_env.evaluate.meter").watcher
        _import("aapt_env.train.run").train(**flags, watch=watch)


@dataclass(frozen=True, kw_only=True)
class Meter:
    """Train the network with which `aapt eval` reads controls back from frames, on real recorded frames only.

    The same command goes on where one was stopped; `aapt ship runs/driving/meter` puts it beside the world.

    Example: aapt meter driving --budget 5m
    """

    game: Game
    """The game whose episodes it learns from."""
    budget: Annotated[Seconds, unless("5m", "TIME")] = 300.0
    """Time for all of it: 5m, 90s."""
    time_limit: Annotated[Seconds | None, unless("no limit", "TIME")] = None
    """Stop this command after so long, resumable."""
    data: Annotated[Path | None, unless("data/GAME", "DIR")] = None
    """Folder of the dataset."""
    out: Annotated[Path | None, unless("runs/GAME/meter", "DIR")] = None
    """Folder of the meter."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; auto takes CUDA where there is one."""
    seed: int = 0
    """Of weights and the order of frames."""

    def run(self) -> None:
        """Train, by `aapt_env.evaluate.learn.learn`."""
        flags = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        _import("aapt_env.evaluate.learn").learn(**flags)


@dataclass(frozen=True, kw_only=True)
class Ablate:
    """Train the method without each of its parts, at one budget, and print one table of what that did.

    Every row is kept as it ends; the same command goes on where one was stopped.

    Example: aapt ablate driving --updates 200
    """

    game: Game
    """The game whose world is trained."""
    only: tuple[str, ...] = ()
    """Names of variants, such as full teacher-forcing; all when not given."""
    recipe: Annotated[str, arg(metavar="NAME")] = "tiny"
    """Sizes and settings: tiny (a small generator at 64x64, for two cores), cpu or h100."""
    updates: Annotated[Count, unless("200", "COUNT")] = 200
    """Adversarial updates of each variant."""
    base: Annotated[Seconds, unless("10m", "TIME")] = 600.0
    """Time for the diffusion and consistency stages that all variants begin with."""
    count: Annotated[Count, unless("8", "COUNT")] = 8
    """Starts that the variants are examined on."""
    seconds: float = 30.0
    """Length of each rollout of the examination."""
    source: Annotated[Path | None, unless("runs/GAME", "RUN")] = None
    """A run whose VAE and latents are used."""
    data: Annotated[Path | None, unless("data/GAME", "DIR")] = None
    """Folder of the dataset."""
    out: Annotated[Path | None, unless("runs/GAME/ablate", "DIR")] = None
    """Folder of the table, the charts and a training per variant."""
    time_limit: Annotated[Seconds | None, unless("no limit", "TIME")] = None
    """Stop this command after so long, resumable: 90s, 9m."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; auto takes CUDA where there is one."""
    seed: int = 0
    """Of weights, noise, clips and starts."""

    def run(self) -> None:
        """Train, by `aapt_env.ablate.run.ablate`."""
        module = _import("aapt_env.ablate.run")
        settings = module.Settings(
            recipe=self.recipe, updates=self.updates, base_seconds=self.base, count=self.count,
            seconds=self.seconds, seed=self.seed,
        )  # fmt: skip
        module.ablate(
            self.game, settings, self.only, self.source, self.data, self.out, self.device, self.time_limit
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Ship:
    """Copy a run's checkpoint to checkpoints/, from where `aapt play` and gym.make find it.

    Example: aapt ship runs/driving
    """

    source: Annotated[Positional[Path], arg(metavar="RUN")]
    """A training's folder, a checkpoint's, or a meter's."""
    out: Annotated[Path, arg(metavar="DIR")] = Path("checkpoints")
    """Folder that holds a checkpoint per game."""

    def run(self) -> None:
        """Ship, by `aapt_env.checkpoint.ship`; a meter by `aapt_env.evaluate.meter.ship`."""
        if (self.source / "meter.json").is_file():
            place = _import("aapt_env.evaluate.meter").ship(self.source, self.out)
            print(f"shipped to {place}")
            return
        place = _import("aapt_env.checkpoint").ship(paths.find_checkpoint(self.source), self.out)
        print(f"shipped to {place}")


@dataclass(frozen=True, kw_only=True)
class Games:
    """List the games that can be recorded and the worlds that can be played."""

    def run(self) -> None:
        """Print one line per game, then one per world."""
        print("games (aapt record GAME):")
        for name, text in _import("aapt_env.games").describe().items():
            print(f"  {name:<12} {text}")
        print("  gym:ID       any Gymnasium environment with pixels, such as gym:CarRacing-v3")
        print("worlds (aapt play WORLD):")
        worlds = paths.available_checkpoints()
        for name, folder in worlds.items():
            print(f"  {name:<12} {folder}")
        if not worlds:
            print("  none yet; train one with 'aapt train driving --recipe cpu'")


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
    | Annotated[Train, subcommand("train")]
    | Annotated[Meter, subcommand("meter")]
    | Annotated[Play, subcommand("play")]
    | Annotated[Eval, subcommand("eval")]
    | Annotated[Bench, subcommand("bench")]
    | Annotated[Ablate, subcommand("ablate")]
    | Annotated[Ship, subcommand("ship")]
    | Annotated[Games, subcommand("games")]
)


def _import(module: str) -> Any:
    """The module that does a verb's work, loaded when the verb is used."""
    return importlib.import_module(module)


def _hand_on(verb: str, words: list[str]) -> int | None:
    """`aapt play driving ...` is `python -m aapt_env.play --game driving ...`."""
    if words and not words[0].startswith("-"):
        words = ["--game", *words]
    return _import(HANDED_ON[verb]).main(words)


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
    verb.run()
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """`aapt`: 0 when done, 2 after a sentence on stderr, 130 when interrupted. AAPT_DEBUG=1 shows tracebacks."""
    words = list(sys.argv[1:] if argv is None else argv)
    verb = " ".join(["aapt", *words[:1]])
    try:
        return _do(words)
    except KeyboardInterrupt:
        print(f"{verb}: stopped by Ctrl-C{STOPPED.get(words[0], '')}", file=sys.stderr)
        return 130
    except (ValueError, OSError, gym.error.Error) as error:
        if os.environ.get("AAPT_DEBUG"):
            raise
        print(f"{verb}: {sentence(error)}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
