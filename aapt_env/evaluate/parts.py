"""What an evaluation has measured so far, on disk: an interrupted one goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

Figures = dict[str, np.ndarray]  # a name -> values, one per start along the first axis

FORMAT = 4  # of what is measured; a change makes old parts unknown


class Parts:
    """Arrays by name in a folder of their own per key.

    Args:
        folder: of the evaluation.
        key: all that the arrays depend on: hashes and settings, as JSON knows them.
    """

    def __init__(self, folder: Path, key: dict):
        text = json.dumps([FORMAT, key], sort_keys=True)
        self.folder = folder / "parts" / hashlib.sha256(text.encode()).hexdigest()[:12]
        self.folder.mkdir(parents=True, exist_ok=True)

    def get(self, name: str, make: Callable[[], Figures]) -> Figures:
        """The arrays of that name: read, or made and written in one stroke."""
        path = self.folder / f"{name}.npz"
        if path.is_file():
            try:
                with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                    return dict(file)
            except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
                path.unlink()  # damaged: made anew
        found = make()
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            np.savez(file, **found)
        os.replace(partial, path)
        return found


def join(parts: list[Figures]) -> Figures:
    """Figures of several groups of starts as one."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
