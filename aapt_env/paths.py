"""Where things lie: one resolver for checkpoints, datasets, trainings and the games of a checkout.

`$AAPT_HOME/checkpoints`, then `./checkpoints`, the checkout's, the installed package's; then `./runs/<game>`, where a
training keeps a playable checkpoint.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
CONFIG = "config.json"  # what makes a folder a checkpoint


def folder_name(game: str) -> str:
    """A game's name as a folder: `gym:ALE/Pong-v5` -> `gym-ALE-Pong-v5`; never a path to elsewhere."""
    return re.sub(r"[:/\\\x00]", "-", game).lstrip(".") or "-"


def data_dir(game: str) -> Path:
    """Where a game's episodes go unless --data or --out says otherwise."""
    return Path("data") / folder_name(game)


def run_dir(game: str) -> Path:
    """Where a game's training goes unless --out says otherwise."""
    return Path("runs") / folder_name(game)


def checkout() -> Path | None:
    """The git checkout (or unpacked source) this package is imported from; None for an installed wheel."""
    root = PACKAGE.parent
    return root if (root / "pyproject.toml").is_file() else None


def checkpoint_dirs() -> list[Path]:
    """The folders that hold one checkpoint per game, in the order they are searched; some may not exist."""
    dirs = [Path("checkpoints"), PACKAGE / "_checkpoints"]
    if root := checkout():
        dirs.insert(1, root / "checkpoints")
    if home := os.environ.get("AAPT_HOME"):
        dirs.insert(0, Path(home).expanduser() / "checkpoints")
    first: dict[Path, Path] = {}
    for folder in dirs:
        first.setdefault(folder.resolve(), folder)
    return list(first.values())


def find_checkpoint(name_or_path: str | os.PathLike) -> Path:
    """The checkpoint folder of a game, a run or a path.

    Args:
        name_or_path: a game's name (`driving`), a checkpoint folder, a run folder with a `checkpoint` in it, or a
            repository on a Hub (`org/name`), which is fetched.

    Returns:
        A folder that has a `config.json`.

    Raises:
        ValueError: none found; says where it looked and what to do.
    """
    name = os.fspath(name_or_path) if isinstance(name_or_path, (str, os.PathLike)) else ""
    if not name or not isinstance(name, str):
        raise ValueError(
            f"checkpoint {name_or_path!r}; expected the name of a game such as 'driving', or a folder"
        )
    given = Path(name).expanduser()
    places = [given / "checkpoint", given]  # a run first: it may keep a config.json of its own
    places += [folder / folder_name(name) for folder in checkpoint_dirs()]
    places += [run_dir(name) / "checkpoint"]
    for place in places:
        if (place / CONFIG).is_file():
            return place
    from aapt_env import hub  # here, since it knows this module

    if hub.is_repo(name):
        return hub.pull(name)
    raise ValueError(_not_found(name, given, places))


def writable(folder: Path, flag: str) -> Path:
    """Make a folder for results, and write to it once.

    Raises:
        ValueError: it cannot be written; names the flag that gives another.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".probe"
        probe.touch()
        probe.unlink(missing_ok=True)  # another command may look here too
    except OSError as error:
        raise ValueError(
            f"cannot write to {folder} ({error.strerror}); expected a folder with write permission and free space: "
            f"give another with {flag}"
        ) from error
    return folder


def available_checkpoints() -> dict[str, Path]:
    """Every checkpoint that can be found by name: {folder name: folder}, each as `find_checkpoint` would give it."""
    configs = [c for folder in checkpoint_dirs() for c in sorted(folder.glob(f"*/{CONFIG}"))]
    found = {c.parent.name: c.parent for c in reversed(configs)}
    runs = sorted(Path("runs").glob(f"*/checkpoint/{CONFIG}"))
    return {c.parent.parent.name: c.parent for c in runs} | dict(sorted(found.items()))


def ensure_games() -> None:
    """Make `aapt_games` importable from a checkout that is not installed."""
    root = checkout()
    if root and importlib.util.find_spec("aapt_games") is None:
        sys.path.append(str(root / "games"))


def _not_found(name: str, given: Path, places: list[Path]) -> str:
    """One sentence: what was asked for, where it was sought, and the cure."""
    if given.is_dir() and (given.is_absolute() or name.startswith(".")):
        return (
            f"{name} is not a checkpoint: there is no {CONFIG} in it, nor in its 'checkpoint' folder; "
            "give the folder that a training wrote, RUN/checkpoint"
        )
    known = ", ".join(available_checkpoints()) or "none"
    if os.sep in name and ":" not in name:  # gym:ALE/Pong-v5 is a game
        return (
            f"there is no checkpoint in {name}: expected the folder of a training or of a checkpoint "
            f"(worlds here: {known})"
        )
    looked = ", ".join(dict.fromkeys(str(p) for p in places))
    return (
        f"no checkpoint for {name!r} (looked in {looked}; worlds here: {known}); "
        f"train one with 'aapt train {name} --recipe cpu', or give its folder with --checkpoint DIR"
    )
