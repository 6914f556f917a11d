"""The LeRobotDataset v3.0 layout: a table per episode, and the metadata that covers them all.

Everything here but the tables is gathered from the episodes' sidecars and can be made again from them.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from aapt_env.data import files
from aapt_env.data.episodes import Episode, read_digested
from aapt_env.spec import WorldSpec

VERSION = "v3.0"
INFO, STATS, TASKS = "meta/info.json", "meta/stats.json", "meta/tasks.parquet"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"
SAMPLES = 64  # frames per episode that image statistics are taken from


def rows(
    episode: Episode,
    controls: np.ndarray,
    rewards: np.ndarray,
    spec: WorldSpec,
    first: int = 0,
    digests: np.ndarray | None = None,
    carried: np.ndarray | None = None,
) -> pa.Table:
    """The table of one episode: row t is frame t and the control that follows it; the last control is neutral.

    Args:
        episode: its sidecar.
        controls: float32 [F-1, width].
        rewards: float32 [F-1].
        spec: of the dataset.
        first: frames of the dataset before this episode.
        digests: int64 [F] of the frames; None in a dataset without them.
        carried: float32 [F, names] that the game tells of itself; None of one that does not.
    """
    count = episode.length
    number = np.arange(count)
    actions = np.zeros((count, spec.control.width), np.float32)
    actions[:-1] = controls
    over = (
        number >= episode.frames_real - 2
    )  # the step from the row before the last real frame ends it
    columns = {
        "action": vectors(actions),
        "next.reward": pa.array(np.append(rewards, np.float32(0))),
        "next.done": pa.array(over & episode.terminated),
        "next.truncated": pa.array(over & episode.truncated),
        "timestamp": pa.array((number / spec.frame_fps).astype(np.float32)),
        "frame_index": pa.array(number),
        "episode_index": pa.array(np.full(count, episode.index)),
        "index": pa.array(number + first),
        "task_index": pa.array(np.zeros(count, np.int64)),
    }
    if carried is not None:
        columns[files.STATE] = vectors(np.asarray(carried, np.float32))
    return pa.table(columns if digests is None else columns | {files.DIGEST: pa.array(digests)})


def vectors(values: np.ndarray) -> pa.Array:
    """A column of vectors [F, width]; of plain numbers where they have one element."""
    flat = pa.array(np.ascontiguousarray(values).ravel())
    width = values.shape[1]
    return flat if width == 1 else pa.FixedSizeListArray.from_arrays(flat, width)


def episode_stats(
    frames: np.ndarray, controls: np.ndarray, rewards: np.ndarray, carried: np.ndarray | None = None
) -> dict:
    """{feature: {min, max, mean, std, count}}; images per channel in [0, 1], as LeRobot has them."""
    some = frames[:: max(1, len(frames) // SAMPLES)].reshape(-1, 3) / np.float32(255)
    image = {n: [[[v]] for v in values] for n, values in _moments(some).items()}
    count = len(frames[:: max(1, len(frames) // SAMPLES)])
    told = {} if carried is None else {files.STATE: _moments(carried) | {"count": [len(carried)]}}
    return told | {
        files.IMAGE: image | {"count": [count]},
        "action": _moments(controls) | {"count": [len(controls)]},
        "next.reward": _moments(rewards[:, None]) | {"count": [len(rewards)]},
    }


def stale(root: Path, index: list[Episode]) -> bool:
    """Whether the gathered metadata tells of other episodes than there are."""
    try:
        info = json.loads((root / INFO).read_bytes())
        written = pq.read_table(root / EPISODES, columns=["length"], partitioning=None)
    except (OSError, ValueError, pa.ArrowException):
        return bool(index)
    if not all((root / name).is_file() for name in (STATS, TASKS)):
        return True
    index = unbroken(index)
    counts = info.get("total_episodes"), info.get("total_frames"), written.num_rows
    return counts != (len(index), sum(e.length for e in index), len(index))


def unbroken(index: list[Episode]) -> list[Episode]:
    """The episodes up to the first gap in their numbers: LeRobot counts them without gaps."""
    return [episode for i, episode in enumerate(index) if episode.index == i]


def gather(root: Path, spec: WorldSpec, index: list[Episode]) -> None:
    """Write info, statistics, tasks and the table of episodes, and set each row's place in the whole.

    Raises:
        DatasetWriteError: the folder cannot be written.
        ValueError: an episode's table is damaged.
    """
    index = unbroken(index)
    if not index:
        return
    starts = np.cumsum([0] + [e.length for e in index])
    for episode, first in zip(index, starts, strict=False):
        _number(root, episode, int(first))
    table = pa.Table.from_pylist(
        [_line(e, int(first), spec) for e, first in zip(index, starts, strict=False)]
    )
    files.write(root / EPISODES, parquet(table))
    files.write_json(root / STATS, _total_stats(index))
    files.write(root / TASKS, parquet(_tasks(spec)))
    digests = read_digested(root)
    files.write_json(root / INFO, info(spec, len(index), int(starts[-1]), digests))


def info(spec: WorldSpec, episodes: int, frames: int, digests: bool = True) -> dict:
    """`meta/info.json`."""
    names = list(spec.control.names) if len(spec.control.names) == spec.control.width else None
    scalar = {"shape": [1], "names": None}
    features = {
        files.IMAGE: {
            "dtype": "video",
            "shape": [spec.height, spec.width, 3],
            "names": ["height", "width", "channels"],
            "info": {
                "video.height": spec.height,
                "video.width": spec.width,
                "video.channels": 3,
                "video.codec": "h264",
                "video.pix_fmt": "gbrp",
                "video.fps": spec.frame_fps,
                "video.is_depth_map": False,
                "has_audio": False,
            },
        },
        "action": {"dtype": "float32", "shape": [spec.control.width], "names": names},
        "next.reward": {"dtype": "float32"} | scalar,
        "next.done": {"dtype": "bool"} | scalar,
        "next.truncated": {"dtype": "bool"} | scalar,
        "timestamp": {"dtype": "float32"} | scalar,
    }
    if spec.carried is not None:
        told = list(spec.carried.names)
        features[files.STATE] = {"dtype": "float32", "shape": [len(told)], "names": told}
    counts = ("frame_index", "episode_index", "index", "task_index")
    for name in counts + (files.DIGEST,) * digests:
        features[name] = {"dtype": "int64"} | scalar
    return {
        "codebase_version": VERSION,
        "robot_type": None,
        "total_episodes": episodes,
        "total_frames": frames,
        "total_tasks": 1,
        "chunks_size": files.CHUNK,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "fps": spec.frame_fps,
        "splits": {"train": f"0:{episodes}"},
        "data_path": files.DATA,
        "video_path": files.VIDEO,
        "features": features,
    }


def _task(spec: WorldSpec) -> str:
    return f"play {spec.game}"


def _tasks(spec: WorldSpec) -> pa.Table:
    """Tasks as pandas would write them: indexed by the task's name."""
    column = {"field_name": "task_index", "name": "task_index", "pandas_type": "int64"}
    label = {"field_name": "task", "name": "task", "pandas_type": "unicode"}
    pandas = {
        "index_columns": ["task"],
        "column_indexes": [],
        "columns": [
            column | {"numpy_type": "int64", "metadata": None},
            label | {"numpy_type": "object", "metadata": None},
        ],
    }
    table = pa.table({"task_index": pa.array([0], pa.int64()), "task": [_task(spec)]})
    return table.replace_schema_metadata({"pandas": json.dumps(pandas)})


def _line(episode: Episode, first: int, spec: WorldSpec) -> dict:
    """One row of the table of episodes."""
    where = {"chunk_index": episode.index // files.CHUNK, "file_index": episode.index % files.CHUNK}
    video = f"videos/{files.IMAGE}"
    line = {
        "episode_index": episode.index,
        "tasks": [_task(spec)],
        "length": episode.length,
        "dataset_from_index": first,
        "dataset_to_index": first + episode.length,
        "meta/episodes/chunk_index": 0,
        "meta/episodes/file_index": 0,
        **{f"data/{n}": v for n, v in where.items()},
        **{f"{video}/{n}": v for n, v in where.items()},
        f"{video}/from_timestamp": 0.0,
        f"{video}/to_timestamp": episode.length / spec.frame_fps,
        "seed": episode.seed,
        "scene": json.dumps(episode.scene),
        "policy": episode.policy,
        "terminated": episode.terminated,
        "truncated": episode.truncated,
        "frames_real": episode.frames_real,
        "extras": json.dumps(episode.extras),
    }
    for feature, moments in episode.stats.items():
        line |= {f"stats/{feature}/{n}": value for n, value in moments.items()}
    return line


def _number(root: Path, episode: Episode, first: int) -> None:
    """Set the `index` column of an episode's table to count from `first`, where it does not yet."""
    path = files.place(root, files.DATA, episode.index)
    try:
        meta = pq.read_metadata(path)
        column = meta.schema.names.index("index")
        if meta.row_group(0).column(column).statistics.min == first:
            return
        table = pq.read_table(path, partitioning=None)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise ValueError(
            f"{path} is damaged ({error}); delete it and run the same recording again"
        ) from error
    place = table.schema.get_field_index("index")
    table = table.set_column(place, "index", pa.array(np.arange(table.num_rows) + first))
    files.write(path, parquet(table))


def parquet(table: pa.Table) -> bytes:
    """A Parquet file of a table."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="snappy")
    return sink.getvalue().to_pybytes()


def _moments(values: np.ndarray) -> dict[str, list[float]]:
    """Min, max, mean and standard deviation of each column."""
    values = np.asarray(values, np.float64)
    names = ("min", "max", "mean", "std")
    return {n: [float(v) for v in getattr(values, n)(axis=0)] for n in names}


def _total_stats(index: list[Episode]) -> dict:
    """The statistics of all episodes, from those of each."""
    total = {}
    for feature in index[0].stats:
        each = {n: np.array([e.stats[feature][n] for e in index]) for n in index[0].stats[feature]}
        count = each["count"].astype(np.float64)
        weight = (count / count.sum()).reshape(-1, *[1] * (each["mean"].ndim - 1))
        mean = (weight * each["mean"]).sum(0)
        variance = (weight * (each["std"] ** 2 + (each["mean"] - mean) ** 2)).sum(0)
        total[feature] = {
            "min": each["min"].min(0).tolist(),
            "max": each["max"].max(0).tolist(),
            "mean": mean.tolist(),
            "std": np.sqrt(variance).tolist(),
            "count": [int(count.sum())],
        }
    return total
