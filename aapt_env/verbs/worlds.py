"""Verbs for worlds that are trained: ship, push, pull, and games, which lists them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from aapt_env import flags, paths
from aapt_env.flags import unless


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
        """Ship, by `aapt_env.checkpoint.ship`; a meter by `aapt_env.evaluate.meter.ship`; both where both are there."""
        meter = (self.source / "meter.json").is_file()
        if not meter or (self.source / "config.json").is_file():
            world = paths.find_checkpoint(self.source)
            place = flags.load("aapt_env.checkpoint").ship(world, self.out)
            print(f"shipped to {place}")
        if meter:
            place = flags.load("aapt_env.evaluate.meter").ship(self.source, self.out)
            print(f"shipped the meter to {place}")


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
        done = flags.load("aapt_env.hub").push(
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
        checkpoint = flags.load("aapt_env.checkpoint")
        folder = flags.load("aapt_env.hub").pull(self.repo, self.revision)
        config = checkpoint.read_config(folder)
        place = self.out / paths.folder_name(checkpoint.read(folder).spec.game)
        if (place / paths.CONFIG).is_file() and checkpoint.read_config(place) != config:
            raise ValueError(
                f"{place} is another world; give another --out, or play with --checkpoint {self.repo}"
            )
        place = checkpoint.ship(folder, self.out)
        print(f"pulled to {place}")


@dataclass(frozen=True, kw_only=True)
class Games:
    """List the games that can be recorded and the worlds that can be played."""

    def run(self) -> None:
        """Print one line per game (where it is from, whether a world of it is here), then one per world."""
        games = flags.load("aapt_env.games")
        known, worlds = games.known_games(), paths.available_checkpoints()
        print("games (aapt record GAME):")
        for name, text in games.describe().items():
            world = "world here" if paths.folder_name(name) in worlds else "no world yet"
            print(f"  {name:<12} {text} [{known[name].source}; {world}]")
        for name, other in games.passed_over():
            print(
                f"  {name:<12} left out: {other.source} has a game of this name too; its entry point wants another name"
            )
        print("  gym:ID       any Gymnasium environment with pixels, such as gym:CarRacing-v3")
        print("worlds (aapt play WORLD):")
        for name, folder in worlds.items():
            print(f"  {name:<12} {folder}")
        if not worlds:
            print("  none yet; train one with 'aapt train driving --recipe cpu'")
