"""Verbs for what comes from elsewhere and goes there: import, push and pull."""

from __future__ import annotations

import dataclasses
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from aapt_env import paths
from aapt_env.flags import square, unless


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
        flags = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        flags["height"], flags["width"] = square(flags.pop("size"), self.height, self.width)
        made = _load("aapt_env.data.importing").import_(**flags)
        frames = sum(episode.length for episode in made.index)
        name = made.spec.game
        print(
            f"{made.path}: {len(made)} episodes, {frames:,} frames, controls {made.spec.control.action_space()}"
        )
        print(
            f"train it with 'aapt train {name} --data {made.path}', then play it with 'aapt play {name}'"
        )


@dataclass(frozen=True, kw_only=True)
class Push:
    """Upload a checkpoint to a repository on a Hub, where others pull and play it.

    Log in first, with 'hf auth login'. HF_ENDPOINT is the Hub's address.

    Example: aapt push checkpoints/driving me/driving
    """

    source: Annotated[Positional[Path], arg(metavar="RUN")]
    """A training's folder, or a checkpoint's."""
    repo: Annotated[Positional[str], arg(metavar="ORG/NAME")]
    """The repository; it is made where there is none."""
    private: bool = False
    """Make a new repository a private one."""

    def run(self) -> None:
        """Upload, by `aapt_env.hub.push`."""
        if not self.source.exists():
            raise ValueError(
                f"{self.source} is not there; expected a training's or a checkpoint's folder"
            )
        done = _load("aapt_env.hub").push(
            paths.find_checkpoint(self.source), self.repo, self.private
        )
        print(f"pushed: {done}")


@dataclass(frozen=True, kw_only=True)
class Pull:
    """Fetch a checkpoint from a repository on a Hub, to be played by its game's name.

    `aapt play --checkpoint org/name` plays one without copying it.

    Example: aapt pull someone/driving --out checkpoints
    """

    repo: Annotated[Positional[str], arg(metavar="ORG/NAME")]
    """The repository."""
    revision: Annotated[str | None, unless("main", "REV")] = None
    """A branch, a tag or a commit."""
    out: Annotated[Path, arg(metavar="DIR")] = Path("checkpoints")
    """Folder that holds a checkpoint per game."""

    def run(self) -> None:
        """Fetch, by `aapt_env.hub.pull`, and copy by `aapt_env.checkpoint.ship`."""
        folder, checkpoint = (
            _load("aapt_env.hub").pull(self.repo, self.revision),
            _load("aapt_env.checkpoint"),
        )
        place = self.out / paths.folder_name(checkpoint.read(folder).spec.game)
        if (place / paths.CONFIG).is_file() and checkpoint.read_config(
            place
        ) != checkpoint.read_config(folder):
            raise ValueError(
                f"{place} is another world; give another --out, or play with --checkpoint {self.repo}"
            )
        place = checkpoint.ship(folder, self.out)
        print(f"pulled to {place}")


def _load(module: str) -> Any:
    """The module that does a verb's work, loaded when the verb is used."""
    return importlib.import_module(module)
