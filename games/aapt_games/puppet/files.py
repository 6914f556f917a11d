"""Recorded sequences of poses: JSON, CSV and NPZ with the joints of the skeleton, and BVH.

- JSON: {"fps": 24, "poses": [[[x, y, z], ... 18 joints], ...]}, optionally "joints": their names in the file's order.
- CSV: a header of "hips x,hips y,hips z,chest x,...", in any order, optionally "time" in seconds; a row per pose.
- NPZ: "poses" [T, 18, 3] and "fps"; optionally "joints".
- BVH: motion capture; its joints are found by their usual names, its proportions give way to the figure's own.
"""

from __future__ import annotations

import csv
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from aapt_games.puppet import bvh
from aapt_games.puppet.skeleton import JOINTS, NAMES

FPS = 24.0
LONGEST = 3600  # seconds
FARTHEST = 1e4  # half frames from the middle
BROKEN = (ValueError, OSError)
DAMAGED = (
    KeyError, TypeError, IndexError, AttributeError, EOFError, OverflowError, MemoryError, zipfile.BadZipFile
)  # fmt: skip
COLUMNS = tuple(f"{joint} {axis}" for joint in NAMES for axis in "xyz")


def read(path: Path, rate: float) -> np.ndarray:
    """A file's poses, [T, JOINTS, 3], at `rate` per second.

    Raises:
        ValueError: no such file, an unknown format, missing joints, a wrong number of them, or numbers that are none.
    """
    readers = {".json": _json, ".csv": _csv, ".npz": _npz, ".bvh": bvh.read}
    reader = readers.get(path.suffix.lower())
    if reader is None or not path.is_file():
        what = "unknown format" if path.is_file() else "no such file"
        what = "a folder" if path.is_dir() else what
        raise ValueError(
            f"--pose {path}: {what}; expected a file that ends in {', '.join(readers)}"
        )
    try:
        poses, fps = reader(path)
        return resampled(check(poses), float(fps), rate)
    except BROKEN as error:
        raise ValueError(f"--pose {path}: {' '.join(str(error).split())}") from error
    except DAMAGED as error:  # what Python says of it helps nobody
        kind = path.suffix[1:].upper()
        raise ValueError(f"--pose {path}: damaged, or not {kind} at all ({error!r:.80})") from error


def check(poses: Any) -> np.ndarray:
    """[T, JOINTS, 3] float64. Raises ValueError for another shape, no poses, or a number that is none."""
    try:
        made = np.asarray(poses, float)
    except (ValueError, TypeError) as error:
        raise ValueError(f"poses of unequal size; expected [T, {JOINTS}, 3] numbers") from error
    if made.ndim == 2 and made.shape[1] == 3 * JOINTS:
        made = made.reshape(-1, JOINTS, 3)
    if made.ndim != 3 or made.shape[1:] != (JOINTS, 3) or not len(made):
        raise ValueError(
            f"poses of shape {made.shape}; expected [T, {JOINTS}, 3]: {', '.join(NAMES)}"
        )
    wrong = np.argwhere(~(np.abs(made) <= FARTHEST))
    if len(wrong):
        t, joint, axis = wrong[0]
        value = made[t, joint, axis]
        raise ValueError(
            f"pose {t} has {value:g} for {NAMES[joint]}; expected coordinates in half frames"
        )
    return made


def resampled(poses: np.ndarray, fps: float, rate: float) -> np.ndarray:
    """The same at another number of poses per second. Raises ValueError unless both are above 0."""
    if not (0 < fps <= 1e4 and rate > 0):
        raise ValueError(f"fps {fps}; expected a number above 0, at most 10000")
    if len(poses) / fps > LONGEST:
        raise ValueError(f"{len(poses) / fps:.3g} seconds of poses; expected an hour at most")
    count = max(1, int(np.floor((len(poses) - 1) / fps * rate)) + 1)
    at = np.arange(count) * fps / rate
    low = np.minimum(at.astype(int), len(poses) - 1)
    high = np.minimum(low + 1, len(poses) - 1)
    return poses[low] + (poses[high] - poses[low]) * (at - low)[:, None, None]


def _ordered(poses: Any, joints: Any) -> np.ndarray:
    """Poses whose joints are in a file's own order, in ours."""
    if joints is None:
        return poses
    names = [str(name) for name in joints]
    _once(names, "joint")
    missing = [name for name in NAMES if name not in names]
    if missing:
        raise ValueError(f"joints {missing} are missing; expected {', '.join(NAMES)}")
    made = np.asarray(poses, float)
    if made.ndim != 3 or made.shape[1] != len(names):
        raise ValueError(
            f"poses of shape {made.shape}; expected [T, {len(names)}, 3], as many as joints"
        )
    return made[:, [names.index(name) for name in NAMES]]


def _once(names: list[str], what: str) -> None:
    """Raise ValueError for a name that is there twice."""
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise ValueError(
            f"{what} {twice[0]!r} is there {names.count(twice[0])} times; expected once"
        )


def _json(path: Path) -> tuple[Any, float]:
    data = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(data, dict) or "poses" not in data:
        raise ValueError('expected {"fps": 24, "poses": [[[x, y, z], ...], ...]}')
    return _ordered(data["poses"], data.get("joints")), data.get("fps", FPS)


def _npz(path: Path) -> tuple[Any, float]:
    with np.load(path, allow_pickle=False) as data:
        if "poses" not in data:
            raise ValueError(f"holds {sorted(data)}; expected 'poses' [T, {JOINTS}, 3] and 'fps'")
        poses = data["poses"]
        if poses.dtype.kind not in "fiu":
            raise ValueError(f"poses of type {poses.dtype}; expected real numbers")
        names = data["joints"].tolist() if "joints" in data else None
        return _ordered(poses, names), float(data["fps"]) if "fps" in data else FPS


def _csv(path: Path) -> tuple[np.ndarray, float]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = [[cell.strip() for cell in row] for row in csv.reader(file) if row]
    if len(rows) < 2:
        raise ValueError("expected a header such as 'hips x,hips y,hips z,...' and a row per pose")
    header = rows[0]
    _once(header, "column")
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise ValueError(
            f"columns {missing[:6]} are missing; expected {JOINTS} joints, x, y and z each"
        )
    table = np.array([[float(cell or "nan") for cell in row] for row in rows[1:]])
    poses = table[:, [header.index(name) for name in COLUMNS]]
    fps = FPS
    if "time" in header and len(table) > 1:
        time = table[:, header.index("time")]
        span = time[-1] - time[0]
        if not span > 0:
            raise ValueError("column 'time' does not grow; expected seconds")
        fps = (len(time) - 1) / span
    return poses, fps
