"""Verbs of datasets: record and import make one, replay plays it again, export hands it on."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from aapt_env import flags, paths
from aapt_env.flags import Game, MaybeCount, MaybeSeconds, square, unless


@dataclass(frozen=True, kw_only=True)
class Record:
    """Play a game, or a dream of it, with a policy and write the episodes, ready for training.

    The same command continues a recording that was stopped; a larger --frames or --episodes adds to it.

    Example: aapt record driving --frames 200k --size 64; aapt record dream:driving --episodes 100
    """

    game: Game
    """What to record: driving (one of ours, see `aapt games`), gym:ID (any Gymnasium environment) or dream:driving."""
    frames: Annotated[MaybeCount, unless("200k", "COUNT")] = None
    """RGB frames in the dataset, reached with whole episodes: 5000, 200k, 1.5M."""
    episodes: Annotated[MaybeCount, unless("as --frames has it", "COUNT")] = None
    """Episodes in the dataset, instead of --frames."""
    out: Annotated[Path | None, unless("data/GAME", "DIR")] = None
    """Folder of the dataset."""
    workers: Annotated[int, unless("one per core", "N")] = os.cpu_count() or 1
    """Processes that play at once."""
    policy: Annotated[str | None, unless("the game's own, or random where it has none", "NAME")] = (
        None
    )
    """Who plays: scripted (the game's own; of a dream, the player its checkpoint carries), echo (the same, whose hands
    now and then do again what they did before), elsewhere (the same, whose hands are for 3 to 8 seconds at
    a time in another race of the game, or off), random, module:function, or several joined by +."""
    seed: int = 0
    """Every episode's seed derives from this one and the episode's number."""
    size: Annotated[int | None, unless("64", "PIXELS")] = None
    """Height and width of a square frame, a multiple of 8 up to 4096."""
    height: Annotated[int | None, unless("--size", "PIXELS")] = None
    """A multiple of 8; goes with --width."""
    width: Annotated[int | None, unless("--size", "PIXELS")] = None
    """A multiple of 8; goes with --height."""
    k: Annotated[Literal[1, 2, 4] | None, unless("4, or the dream's own", "{1,2,4}")] = None
    """Frames per latent: how long one control is held."""
    max_seconds: Annotated[float, arg(metavar="SECONDS")] = 60.0
    """Game time of an episode; longer ones are cut there."""
    time_limit: Annotated[MaybeSeconds, unless("no limit", "TIME")] = None
    """Begin no episode after this long: 90s, 9m, 1h30m."""
    keys: Annotated[str | None, unless("the game's own", "FILE")] = None
    """A keymap file (docs/your-own-game.md) for the world's player, or ask, to be asked for each key."""
    latents: bool = False
    """Keep a dream's latents beside its frames."""
    scene: Annotated[flags.Words, unless("as the seed draws it", "NAME=VALUE ...")] = ()
    """Only in such places: --scene style=villa time=day. A word that the game does not have is
    answered with those it has."""

    def run(self) -> None:
        """Record, by `aapt_env.data.record.record`."""
        sides = self.size, self.height, self.width
        if self.game.startswith("dream:") and any(side is not None for side in sides):
            raise ValueError(
                "a dream's frames have the size of its world; leave --size, --height and --width out"
            )
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
            episodes=self.episodes,
            latents=self.latents,
            scene=flags.parse_scene(self.scene),
        )


@dataclass(frozen=True, kw_only=True)
class Replay:
    """Play every episode of a dataset again, from its seed and controls, and compare.

    Says of each episode that it is equal, or which frame is the first that differs. A dream wants the very checkpoint
    that dreamt it. Exit status 1 where something differs.

    Example: aapt replay data/dream-driving --episodes 0 5
    """

    data: Annotated[Positional[Path], arg(metavar="DATASET")]
    """Folder of a dataset that `aapt record` wrote."""
    checkpoint: Annotated[str | None, unless("looked up by name", "DIR")] = None
    """The checkpoint that dreamt it."""
    episodes: Annotated[tuple[int, ...], unless("all", "N")] = ()
    """Only these, by their numbers."""
    game: Annotated[str | None, unless("the dataset's, where it is known here", "GAME")] = None
    """The recorded game once more, gym:PACKAGE:ID: that its package may be imported."""

    def run(self) -> int:
        """Replay, by `aapt_env.data.replay.replay`; 1 where an episode differs."""
        replay = flags.load("aapt_env.data.replay").replay
        verdicts = []
        for verdict in replay(self.data, self.checkpoint, self.game, self.episodes):
            print(verdict, flush=True)
            verdicts.append(verdict)
        equal = sum(verdict.difference is None for verdict in verdicts)
        print(f"{self.data}: {equal} of {len(verdicts)} episodes equal")
        return int(equal < len(verdicts))


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write a dataset in another library's format.

    Example: aapt export data/dream-driving --to minari
    """

    data: Annotated[Positional[Path], arg(metavar="DATASET")]
    """Folder of a dataset."""
    to: Literal["minari"] = "minari"
    """Whose: Minari's, in HDF5."""
    name: Annotated[str | None, unless("the game's, as in dream-driving-v0", "NAME-v0")] = None
    """What minari.load_dataset will call it."""
    out: Annotated[Path | None, unless("MINARI_DATASETS_PATH, or Minari's own folder", "DIR")] = (
        None
    )
    """Folder of Minari's datasets."""
    rhythm: Annotated[
        Literal["frame", "step"] | None, unless("step for a dream, frame for a game", "WHAT")
    ] = None
    """What a transition is: every frame; or every step of the dream's Env, which holds a control for the frames of
    a latent and shows the last one."""

    def run(self) -> None:
        """Export, by `aapt_env.data.exporting.export`."""
        place = flags.load("aapt_env.data.exporting").export(
            self.data, self.name, self.out, self.rhythm
        )
        print(f"{place}: load it with minari.load_dataset({self.name or place.name!r})")
        if self.out is not None:
            print(f"with MINARI_DATASETS_PATH={self.out} in the environment")


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
    """Height and width of a square frame, a multiple of 8 up to 4096."""
    height: Annotated[int | None, unless("--size", "PIXELS")] = None
    """A multiple of 8; goes with --width."""
    width: Annotated[int | None, unless("--size", "PIXELS")] = None
    """A multiple of 8; goes with --height."""
    k: Literal[1, 2, 4] = 4
    """Frames per latent."""
    max_seconds: Annotated[
        float | None,
        unless("60; a lone recording's are shorter, so that there are several", "SECONDS"),
    ] = None
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
        importing = flags.load("aapt_env.data.importing")
        made = importing.import_(**settings)
        frames = sum(episode.length for episode in made.index)
        print(
            f"{made.path}: {len(made)} episodes, {frames:,} frames, controls {made.spec.control.action_space()}"
        )
        print(importing.advice(made))
