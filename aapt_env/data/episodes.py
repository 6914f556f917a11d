"""Read a dataset: its spec, its episodes, and their frames, controls and rewards."""

from __future__ import annotations

import hashlib
import json
import os
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError
from safetensors.numpy import load
from tqdm import tqdm

from aapt_env.data import files, video
from aapt_env.spec import WorldSpec
from aapt_env.strict import strict

HELD = 16  # latents that a training holds out at least


@dataclass(frozen=True, kw_only=True)
class Episode:
    """One recorded run, as its sidecar tells."""

    index: int  # its number on disk
    length: int  # frames F = 1 + n k
    frames_real: int  # frames the game made; those after it repeat the last one, to fill the latent
    seed: int
    scene: dict[str, str] = field(default_factory=dict)
    policy: str = ""
    terminated: bool = False
    truncated: bool = False
    total_reward: float = 0.0
    extras: dict = field(default_factory=dict)  # whatever the recorder added
    stats: dict = field(default_factory=dict)  # {feature: {min, max, mean, std, count}}

    def __post_init__(self):
        if not 0 < self.frames_real <= self.length:
            raise ValueError(f"{self.frames_real=} outside 1 to {self.length=}")
        if not -(2**63) <= self.seed < 2**63:
            raise ValueError(f"an episode's seed {self.seed}; expected a whole number of 64 bits")


class Episodes:
    """A dataset, read. `i` below counts the episodes of `index`, from 0.

    Example:
        >>> episodes = Episodes.open("data/driving")  # doctest: +SKIP
        >>> frames, controls = episodes.frames(0), episodes.controls(0)  # doctest: +SKIP

    Attributes:
        path: the folder.
        spec: what a frame, a latent and a control are.
        recipe: the arguments it was recorded with; None where it was not recorded by `record`.
        index: its episodes, in order of their numbers on disk.
    """

    def __init__(self, path: Path, spec: WorldSpec, recipe: dict | None, index: list[Episode]):
        self.path, self.spec, self.recipe, self.index = path, spec, recipe, index

    @classmethod
    def open(cls, path: str | os.PathLike) -> Episodes:
        """Open a dataset; one that is still being recorded shows the episodes it has.

        Raises:
            ValueError: there is none at `path`, or it is damaged; says what to do.
        """
        root = Path(path)
        spec, recipe = read_head(root)
        return cls(root, spec, recipe, read_index(root))

    @property
    def fps(self) -> int:
        """Frames per second."""
        return self.spec.frame_fps

    def __len__(self) -> int:
        return len(self.index)

    def frames(self, i: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Frames `start` to `stop` of an episode: uint8 [F, H, W, 3].

        Raises:
            IndexError: outside the episode.
            ValueError: the video is missing or damaged.
        """
        episode = self.index[i]
        stop = episode.length if stop is None else stop
        if not 0 <= start <= stop <= episode.length:
            raise IndexError(f"frames {start} to {stop} of an episode of {episode.length} frames")
        return video.decode(files.place(self.path, files.VIDEO, episode.index), start, stop)

    def controls(self, i: int) -> np.ndarray:
        """float32 [F-1, width]; row t led from frame t to frame t + 1."""
        column = self._column(i, "action")
        values = column.flatten() if pa.types.is_fixed_size_list(column.type) else column
        rows = np.asarray(values, np.float32).reshape(-1, self.spec.control.width)
        return rows[:-1].copy()

    def rewards(self, i: int) -> np.ndarray:
        """float32 [F-1]; what the step from frame t to frame t + 1 paid."""
        return np.asarray(self._column(i, "next.reward"), np.float32)[:-1].copy()

    def carried(self, i: int) -> np.ndarray | None:
        """float32 [F, names], what the game told of itself at each frame; None where the dataset has nothing of it."""
        if self.spec.carried is None:
            return None
        column = self._column(i, files.STATE)
        names = len(self.spec.carried.names)
        values = column.flatten() if pa.types.is_fixed_size_list(column.type) else column
        return np.asarray(values, np.float32).reshape(-1, names)

    def digests(self, i: int) -> np.ndarray | None:
        """int64 [F], `video.digests` of the frames as they were recorded; None in a dataset made before there were."""
        if not read_digested(self.path):
            return None
        return np.asarray(self._column(i, files.DIGEST), np.int64)

    def latents(self, i: int) -> np.ndarray:
        """float16 [1 + n, C, h, w], of a dream recorded with them: the start's last one, then those that were dreamt.

        Raises:
            ValueError: there are none, or the file is damaged.
        """
        episode = self.index[i]
        path = files.place(self.path, files.LATENTS, episode.index)
        if not path.is_file():
            raise ValueError(f"{path} is missing; record the dream with --latents")
        try:
            latents = load(path.read_bytes())["latents"]
        except (SafetensorError, ValueError, KeyError) as error:
            raise ValueError(_broken(path, str(error))) from error
        wanted = 1 + (episode.length - 1) // self.spec.k
        if latents.ndim != 4 or len(latents) != wanted:
            raise ValueError(_broken(path, f"latents {latents.shape}, expected {wanted}"))
        return latents

    def terminated(self, i: int) -> bool:
        """Whether the game ended the episode (and not the clock)."""
        return self.index[i].terminated

    def split(self, held_out: float = 0.05) -> tuple[list[int], list[int]]:
        """(train, held-out) episodes, by a hash of each episode's seed: more recording moves none across.

        Args:
            held_out: share of episodes held out, 0 to 1. At least one is, where there are two or more.
        """
        order = {i: _fraction(episode.seed) for i, episode in enumerate(self.index)}
        held = [i for i, fraction in order.items() if fraction < held_out]
        if not held and held_out > 0 and len(self) > 1:
            held = [min(order, key=order.__getitem__)]
        return sorted(set(order) - set(held)), held

    def _column(self, i: int, name: str) -> pa.Array:
        """One column of an episode's rows."""
        episode = self.index[i]
        path = files.place(self.path, files.DATA, episode.index)
        try:
            column = pq.read_table(path, columns=[name], partitioning=None)[name].combine_chunks()
        except (OSError, KeyError, pa.ArrowException) as error:
            raise ValueError(_broken(path, str(error))) from error
        if len(column) != episode.length:
            raise ValueError(_broken(path, f"{len(column)} rows, expected {episode.length}"))
        return column


def cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def load_frames(
    episodes: Episodes, indices: Sequence[int], workers: int | None = None, progress: bool = True
) -> list[np.ndarray]:
    """Decode many episodes at once.

    Args:
        episodes: an open dataset.
        indices: which of its episodes, as `Episodes.split` gives them.
        workers: threads, by default one per core; decoding leaves Python's lock free.
        progress: show a bar in frames, and frames per second at its end.

    Returns:
        uint8 [F, H, W, 3] of each episode, in the order of `indices`.
    """
    begun, total = time.perf_counter(), sum(episodes.index[i].length for i in indices)
    out: list[np.ndarray] = []
    with (
        ThreadPoolExecutor(workers or cores()) as pool,
        tqdm(
            total=total,
            unit="frame",
            unit_scale=True,
            desc="decode",
            disable=None if progress else True,
        ) as bar,
    ):
        for frames in pool.map(episodes.frames, indices):
            out.append(frames)
            bar.update(len(frames))
    if progress:
        seconds = time.perf_counter() - begun
        print(f"decoded {total:,} frames in {seconds:.1f} s ({total / seconds:,.0f} frames/s)")
    return out


def read_head(root: Path) -> tuple[WorldSpec, dict | None]:
    """(spec, recipe) of a dataset.

    Raises:
        ValueError: no dataset there, or a damaged one.
    """
    path = root / files.DATASET
    if not path.is_file():
        raise ValueError(
            f"no dataset in {root}: expected {files.DATASET} in it; record one with "
            f"'aapt record GAME --out {root}', or give the folder of another"
        )
    try:
        head = json.loads(path.read_bytes())
        newer = head["format"]
        if newer == files.FORMAT:
            return WorldSpec.from_dict(head["spec"]), head["recipe"]
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{path} is damaged ({error}); without it nobody knows what the episodes beside it are: bring it back "
            "from a copy, or record into another folder"
        ) from error
    raise ValueError(
        f"{path}: format {newer!r}, this version of aapt_env reads {files.FORMAT}; update aapt_env to read it"
    )


def read_digested(root: Path) -> bool:
    """Whether the frames of a dataset, which has a head, have digests."""
    return bool(json.loads((root / files.DATASET).read_bytes()).get("digests", False))


def read_index(root: Path) -> list[Episode]:
    """The complete episodes of a dataset, in order; damaged ones are left out with a warning."""
    found = []
    for path in sorted((root / "meta/aapt").glob("chunk-*/file-*.json")):
        try:
            episode = read_episode(path)
            if files.place(root, files.RECORD, episode.index) != path:
                raise ValueError(f"it says it is episode {episode.index}")
            for pattern in (files.DATA, files.VIDEO):
                if not files.place(root, pattern, episode.index).is_file():
                    raise ValueError(f"{files.place(root, pattern, episode.index)} is missing")
        except (OSError, ValueError) as error:
            warnings.warn(f"left out an incomplete episode, {path}: {error}", stacklevel=2)
            continue
        found.append(episode)
    return sorted(found, key=lambda episode: episode.index)


def read_episode(path: Path) -> Episode:
    """One sidecar. Raises ValueError where it is damaged."""
    return strict(Episode, json.loads(path.read_bytes()), str(path))


def _fraction(seed: int) -> float:
    """A seed -> [0, 1), the same on every machine."""
    return int.from_bytes(hashlib.sha256(str(seed).encode()).digest()[:8], "big") / 2**64


def _broken(path: Path, why: str) -> str:
    return (
        f"{path} is damaged ({why}); delete it and run the same recording again: "
        "only what is missing is made anew"
    )
