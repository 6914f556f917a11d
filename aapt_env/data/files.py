"""Where a dataset's files lie, and how each is written: whole or not at all.

meta/aapt.json                                     the WorldSpec and how it was recorded
meta/aapt/chunk-000/file-000.json                  one per episode; an episode exists when this does
data/chunk-000/file-000.parquet                    its controls and rewards, a row per frame
videos/observation.image/chunk-000/file-000.mp4    its frames
latents/chunk-000/file-000.safetensors             of a dream, where they were asked for
meta/{info,stats}.json, meta/tasks.parquet, meta/episodes/...    gathered from the above: see lerobot.py
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path

OURS = ("meta", "data", "videos", "latents")  # folders of a dataset
FORMAT = 1  # of what is ours in meta/
CHUNK = 1000  # files per folder
IMAGE = "observation.image"
DIGEST = "frame_digest"  # the column of `video.digests`
STATE = "observation.state"  # what a game tells of itself in numbers
FILE = "chunk-{chunk_index:03d}/file-{file_index:03d}"
DATASET = "meta/aapt.json"
RECORD = "meta/aapt/" + FILE + ".json"
DATA = "data/" + FILE + ".parquet"
VIDEO = "videos/{video_key}/" + FILE + ".mp4"
LATENTS = "latents/" + FILE + ".safetensors"


class DatasetWriteError(OSError):
    """A dataset's folder cannot be written: read-only, full, or gone."""


def place(root: Path, pattern: str, index: int) -> Path:
    """The file of episode `index` by one of the patterns above."""
    where = {"chunk_index": index // CHUNK, "file_index": index % CHUNK}
    return root / pattern.format(video_key=IMAGE, **where)


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        DatasetWriteError: names the path, the cause and the cure.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except OSError as error:
        forget(temporary)
        raise DatasetWriteError(
            error.errno,
            f"cannot write a dataset here ({error.strerror}); expected a folder with write permission and free "
            "space; episodes written so far are kept: make room or choose another folder, then run the same again",
            str(path),
        ) from error


def write_json(path: Path, content: dict) -> None:
    """`write` a JSON object."""
    write(path, json.dumps(content, indent=1).encode())


class OtherDatasetError(ValueError):
    """A folder holds a dataset, and not the one that was asked for."""


def vacant(root: Path) -> None:
    """Raises ValueError unless a dataset can begin here: nothing is there, or what a killed recorder left of one."""
    there = sorted(path for path in root.iterdir() if not _hidden(path)) if root.is_dir() else []
    if any(path.name != "meta" or not all(map(_hidden, path.glob("*"))) for path in there):
        names = ", ".join(path.name for path in there[:3]) + (", ..." if len(there) > 3 else "")
        raise ValueError(
            f"{root} holds no dataset, and is not empty (it has {names}); expected a new or empty folder, or a "
            "dataset to add to: give another folder"
        )


def _hidden(path: Path) -> bool:
    """Of no account: half-written files, and what file systems keep for themselves."""
    return path.name.startswith(".") or path.name == "lost+found"


def clear(root: Path) -> None:
    """Delete a dataset without episodes, its folder too where nothing else is in it; as far as it can be deleted."""
    for name in OURS:
        shutil.rmtree(root / name, ignore_errors=True)
    with contextlib.suppress(OSError):
        root.rmdir()


def sweep(root: Path) -> None:
    """Delete what writers that are no longer alive left half-written."""
    for path in root.rglob(".*.tmp"):
        pid = path.name.split(".")[-2]
        if pid.isdigit() and not _alive(int(pid)):
            forget(path)


def _alive(pid: int) -> bool:
    """Whether a process goes on; one that has ended and whose end nobody has asked for yet does not."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except ProcessLookupError:
        return False
    except OSError:  # another user's, or a system without /proc
        return True
    return state not in ("Z", "X")


def forget(path: Path) -> None:
    """Delete a file if it is there and can be deleted."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        pass  # it is hidden, and no reader looks at it
