"""Verbs that make a dataset: record and import."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from aapt_env import flags, paths
from aapt_env.flags import Count, Game, Seconds, square, unless


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
    """Who plays: scripted (the game's own), echo (the same, whose hands now and then do again what they did before),
    random, module:function, or several joined by +."""
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
    keys: Annotated[str | None, unless("the game's own", "FILE")] = None
    """A keymap file (docs/your-own-game.md) for the world's player, or ask, to be asked for each key."""

    def run(self) -> None:
        """Record, by `aapt_env.data.record.record`."""
        height, width = square(self.size, self.height, self.width)
        flags.load("aapt_env.data.record").record(
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
            keys=self.keys,
        )


@dataclass(frozen=True, kw_only=True)
class Import:
    """Make a dataset of videos that were recorded elsewhere, with or without what was pressed.

    A table has a line of names, then rows: `time` in seconds (or `time_ms`, or `frame`), and a column per input. What
    is wrong is named by file and frame, and stops the import; --keep-good leaves it out.

    Example: aapt import drive.mp4 --actions inputs.csv --fps 24
    """

    source: Annotated[Positional[Path], arg(metavar="SOURCE")]
    """A video, a folder of pairs (a.mp4 and a.csv), or a LeRobot v3 or Minari dataset's folder."""
    actions: Annotated[Path | None, unless("none: a world that no key changes", "CSV")] = None
    """The table of inputs of a single video."""
    name: Annotated[str | None, unless("the source's", "NAME")] = None
    """What the world is called in train and play."""
    out: Annotated[Path | None, unless("data/NAME", "DIR")] = None
    """Folder of the dataset."""
    fps: Annotated[int | None, unless("the source's", "N")] = None
    """Frames per second; videos are resampled by their timestamps."""
    size: Annotated[int | None, unless("64", "PIXELS")] = None
    """Height and width of a square frame, a multiple of 8."""
    height: Annotated[int | None, unless("--size", "PIXELS")] = None
    """A multiple of 8; goes with --width."""
    width: Annotated[int | None, unless("--size", "PIXELS")] = None
    """A multiple of 8; goes with --height."""
    k: Literal[1, 2, 4] = 4
    """Frames per latent."""
    max_seconds: Annotated[float, arg(metavar="SECONDS")] = 60.0
    """Longer recordings become several episodes."""
    keys: Annotated[str | None, unless("guessed from the inputs", "FILE")] = None
    """A keymap file (docs/your-own-game.md) for the world's player, or ask, to be asked for each key."""
    camera: Annotated[str | None, unless("the first", "KEY")] = None
    """Which pictures of a dataset that has several."""
    keep_good: bool = False
    """Leave out what is wrong, and say what it was, instead of stopping."""

    def run(self) -> None:
        """Import, by `aapt_env.data.importing.import_`."""
        settings = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        settings["height"], settings["width"] = square(
            settings.pop("size"), self.height, self.width
        )
        made = flags.load("aapt_env.data.importing").import_(**settings)
        frames = sum(episode.length for episode in made.index)
        name = made.spec.game
        print(
            f"{made.path}: {len(made)} episodes, {frames:,} frames, controls {made.spec.control.action_space()}"
        )
        print(
            f"train it with 'aapt train {name} --data {made.path}', then play it with 'aapt play {name}'"
        )
