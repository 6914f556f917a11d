"""Datasets that other libraries wrote, read without them: LeRobot v3 (Parquet and video) and Minari (HDF5)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from aapt_env.data import footage
from aapt_env.data.footage import Clock, Trouble
from aapt_env.data.inputs import Inputs, control_of
from aapt_env.pixels import rgb
from aapt_env.spec import ControlSpec

READS = 3  # LeRobot's major version
DEFAULT_FPS = 24


class LeRobot:
    """A LeRobotDataset of format v3: `meta/info.json`, tables in `data/`, videos in `videos/`.

    Args:
        root: its folder.
        camera: which of its videos; the first by name by default.

    Raises:
        ValueError: another version, no video, or a damaged file; names it.
    """

    def __init__(self, root: Path, camera: str | None = None):
        self.root = root
        self.info = _json(root / "meta/info.json")
        version = str(self.info.get("codebase_version", "")).lstrip("v")
        if version.partition(".")[0] != str(READS):
            newer = version[:1].isdigit() and int(version.partition(".")[0]) > READS
            cure = (
                "this version of aapt_env reads v3: export it as v3"
                if newer
                else "convert it to v3 with lerobot's own converter"
            )
            raise ValueError(
                f"{root}/meta/info.json: format v{version or '?'} is {'newer than' if newer else 'not'} v3; {cure}"
            )
        features = self.info.get("features", {})
        cameras = sorted(n for n, f in features.items() if f.get("dtype") == "video")
        if camera is not None and camera not in cameras or not cameras:
            raise ValueError(f"{root}: no video {camera or ''} in it; there are {cameras}")
        if "action" not in features:
            raise ValueError(f"{root}: it has no feature 'action'; there are {sorted(features)}")
        self.camera = camera or cameras[0]
        self.fps = max(1, round(float(self.info["fps"])))
        names = features["action"].get("names")
        width = int(np.prod(features["action"].get("shape", [1])))
        flat = list(names) if isinstance(names, list) and len(names) == width else []
        self.names = tuple(map(str, flat or [f"action {i}" for i in range(width)]))
        self.episodes = self._read("meta/episodes")
        self.rows = self._read(
            "data", ["action", "episode_index", "timestamp", "next.reward", "next.done"]
        )
        self.which = np.asarray(self.rows["episode_index"])
        self.actions = _matrix(self.rows["action"].combine_chunks(), width)
        self.control, self.scale = control_of(
            [Inputs(root, self.names, np.zeros(1), self.actions, 0)]
        )

    @staticmethod
    def fits(root: Path) -> bool:
        """Whether the folder is one."""
        return (root / "meta/info.json").is_file()

    def parts(self, trouble: Trouble) -> Iterator[dict[str, Any]]:
        """The episodes, as arguments of a Take."""
        key, clocks = f"videos/{self.camera}", {}
        for line in self.episodes.to_pylist():
            number = line["episode_index"]
            mine = np.flatnonzero(self.which == number)
            place = {
                "chunk_index": line[f"{key}/chunk_index"],
                "file_index": line[f"{key}/file_index"],
            }
            path = self.root / self.info["video_path"].format(video_key=self.camera, **place)
            if path not in clocks:
                clocks[path] = footage.read(path, trouble)
            if (clock := clocks[path]) is None:
                continue
            begin, end = float(line[f"{key}/from_timestamp"]), float(line[f"{key}/to_timestamp"])
            times = np.asarray(self.rows["timestamp"].take(pa.array(mine)), np.float64) + begin
            where = f"{self.root}, episode {number}"
            if len(times) < 2 or not (np.diff(times) > 0).all():
                trouble(f"{where}: its timestamps do not rise")
                continue
            table = Inputs(
                Path(where), self.names, times, self.actions[mine] / self.scale, 1 / self.fps
            )
            yield dict(
                name=f"episode {number}", video=clock, inputs=table, begin=begin, end=end,
                rewards=self._rewards(mine, times), terminated=self._done(mine),
            )  # fmt: skip

    def _rewards(self, mine: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        if "next.reward" not in self.rows.column_names:
            return None
        return times, np.asarray(self.rows["next.reward"].take(pa.array(mine)), np.float32)

    def _done(self, mine: np.ndarray) -> bool:
        return "next.done" in self.rows.column_names and bool(
            np.asarray(self.rows["next.done"].take(pa.array(mine))).any()
        )

    def _read(self, folder: str, columns: list[str] | None = None) -> pa.Table:
        """All tables of a folder, in order."""
        paths = sorted((self.root / folder).glob("chunk-*/file-*.parquet"))
        if not paths:
            raise ValueError(
                f"{self.root / folder}: no tables (chunk-*/file-*.parquet) in it; get the dataset again"
            )
        tables = []
        for path in paths:
            try:
                there = pq.read_schema(path).names
                wanted = [name for name in there if columns is None or name in columns]
                wanted = [name for name in wanted if not name.startswith("stats/")]
                tables.append(pq.read_table(path, columns=wanted, partitioning=None))
            except (OSError, pa.ArrowException) as error:
                raise ValueError(f"{path} is damaged ({error}); get the dataset again") from error
        return pa.concat_tables(tables, promote_options="default")


@dataclass(frozen=True)
class Stills(Clock):
    """Frames of an array rather than a video."""

    images: Any = None  # [n, ...] pictures, read when they are needed


class Minari:
    """A Minari dataset in HDF5: `data/main_data.hdf5` in its folder. Reading it needs h5py.

    Raises:
        ValueError: another format, no pictures, or a damaged file; names it.
    """

    def __init__(self, root: Path, camera: str | None = None):
        try:
            import h5py
        except ImportError as error:
            raise ValueError(
                "a Minari dataset needs h5py: pip install 'aapt-env[minari]'"
            ) from error
        path = next(
            p for p in (root / "data/main_data.hdf5", root / "main_data.hdf5") if p.is_file()
        )
        try:
            self.file: Any = h5py.File(path, "r")
        except OSError as error:
            raise ValueError(f"{path} is damaged ({error}); get the dataset again") from error
        self.path, self.camera = path, camera
        found = (name for name in self.file if name.startswith("episode_"))
        self.numbers = sorted(found, key=lambda name: int(name.rpartition("_")[2]))
        if not self.numbers:
            raise ValueError(f"{path} has no episodes in it")
        actions = np.concatenate([self._actions(name) for name in self.numbers])
        self.names = tuple(f"action {i}" for i in range(actions.shape[1]))
        about = path.with_name("metadata.json")
        told = _json(about) if about.is_file() else {}
        self.fps = max(
            1, round(float(told.get("fps", DEFAULT_FPS)))
        )  # Minari has none; our exports do
        self.control: ControlSpec
        self.control, self.scale = control_of([Inputs(path, self.names, np.zeros(1), actions, 0)])
        declared = _declared(told.get("action_space"), self.names)
        if declared is not None and _fits(declared, actions):
            self.control, self.scale = declared, np.ones(actions.shape[1])

    @staticmethod
    def fits(root: Path) -> bool:
        """Whether the folder is one."""
        return any((root / name).is_file() for name in ("data/main_data.hdf5", "main_data.hdf5"))

    def parts(self, trouble: Trouble) -> Iterator[dict[str, Any]]:
        """The episodes, as arguments of a Take."""
        for name in self.numbers:
            group, images, actions = self.file[name], self._images(name), self._actions(name)
            if len(images) != len(actions) + 1:
                trouble(
                    f"{self.path}, {name}: {len(actions)} actions for {len(images)} frames, expected one fewer"
                )
                continue
            times = np.arange(len(images)) / self.fps
            rows = np.concatenate([actions, actions[-1:]]) / self.scale
            first = rgb(np.asarray(images[0]))
            paid = (
                np.asarray(group["rewards"], np.float32)
                if "rewards" in group
                else np.zeros(len(actions))
            )
            over = (
                bool(np.asarray(group["terminations"]).any()) if "terminations" in group else False
            )
            yield dict(
                name=name, video=Stills(self.path, times, first.shape[:2], images=images),
                inputs=Inputs(self.path, self.names, times, rows, 1 / self.fps), rewards=(times[:-1], paid),
                terminated=over,
            )  # fmt: skip

    def _actions(self, name: str) -> np.ndarray:
        actions = self.file[name].get("actions")
        if actions is None or not hasattr(actions, "shape"):
            raise ValueError(
                f"{self.path}, {name}: its actions are no array; expected a Discrete, MultiBinary or Box space"
            )
        return np.asarray(actions, np.float64).reshape(len(actions), -1)

    def _images(self, name: str) -> Any:
        """The pictures of an episode: its observations, or the one image among them."""
        seen = self.file[name]["observations"]
        parts = (
            {"observations": seen}
            if hasattr(seen, "shape")
            else {n: p for n, p in seen.items() if hasattr(p, "shape")}
        )
        images = {
            n: p
            for n, p in parts.items()
            if len(p.shape) in (3, 4) and p.dtype == np.uint8 and min(p.shape[1:3]) > 7
        }
        if self.camera is not None:
            images = {n: p for n, p in images.items() if n == self.camera}
        if len(images) != 1:
            raise ValueError(
                f"{self.path}, {name}: {len(images)} of its observations {sorted(parts)} are pictures; expected one"
            )
        return next(iter(images.values()))


def frames(
    video: Clock, begin: float, end: float, trouble: Trouble
) -> Iterator[tuple[float, np.ndarray]]:
    """`footage.frames`, for stills too."""
    if not isinstance(video, Stills):
        yield from footage.frames(video, begin, end, trouble)
        return
    for time, image in zip(video.times, video.images, strict=True):
        if begin - 1e-9 <= time < end:
            yield float(time), rgb(np.asarray(image))


def _matrix(column: pa.Array, width: int) -> np.ndarray:
    """A column of numbers or of lists of numbers: float64 [N, width]."""
    lists = (
        pa.types.is_list(column.type)
        or pa.types.is_fixed_size_list(column.type)
        or pa.types.is_large_list(column.type)
    )
    return np.asarray(column.flatten() if lists else column, np.float64).reshape(-1, width)


def _declared(space: Any, names: tuple[str, ...]) -> ControlSpec | None:
    """The control that Minari's text of a space tells of; None where it is none of ours."""
    try:
        told = json.loads(space)
        if told["type"] == "Discrete" and told["start"] == 0:
            return ControlSpec(space="Discrete", size=told["n"])
        if told["type"] == "MultiBinary":
            return ControlSpec(space="MultiBinary", size=told["n"], names=names)
        unit = told["type"] == "Box" and {*told["low"]} == {-1.0} and {*told["high"]} == {1.0}
        return (
            ControlSpec(kind="vector", space="Box", size=len(names), names=names) if unit else None
        )
    except (ValueError, TypeError, KeyError):
        return None


def _fits(control: ControlSpec, actions: np.ndarray) -> bool:
    """Whether all actions [N, width] are of a control."""
    if control.width != actions.shape[1]:
        return False
    if control.space == "Box":
        return bool((np.abs(actions) <= 1).all())
    top = control.size - 1 if control.space == "Discrete" else 1
    return bool((actions == np.rint(actions)).all() and 0 <= actions.min() and actions.max() <= top)


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({error}); get the dataset again") from error
