import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from aapt_env.data import Episodes, EpisodeWriter, files, lerobot


@pytest.fixture
def dataset(tmp_path, spec, episode):
    with EpisodeWriter(tmp_path, spec) as writer:
        for seed in (1, 0, 2):  # numbers 1 and 2 before 0, as workers may have it
            writer.add(**episode(2 + seed, seed=seed), index=seed, terminated=seed == 1)
    return tmp_path


def rows_of(dataset):
    return [
        pq.read_table(path).to_pydict() for path in sorted((dataset / "data").rglob("*.parquet"))
    ]


def test_rows_count_through_the_dataset(dataset):
    tables = rows_of(dataset)
    assert [i for t in tables for i in t["index"]] == list(range(9 + 13 + 17))
    assert [i for t in tables for i in t["episode_index"]] == [0] * 9 + [1] * 13 + [2] * 17
    assert tables[1]["frame_index"] == list(range(13))
    assert np.allclose(tables[1]["timestamp"], np.arange(13) / 8)


def test_a_row_holds_the_control_that_follows_its_frame(dataset, episode):
    table = rows_of(dataset)[1]
    assert np.allclose(table["action"][:-1], episode(3, seed=1)["controls"])
    assert table["action"][-1] == [0, 0] and table["next.reward"][-1] == 0
    assert table["next.done"] == [False] * 11 + [True] * 2 and not any(table["next.truncated"])


def test_columns_are_those_info_declares(dataset):
    info = json.loads((dataset / lerobot.INFO).read_text())
    assert info["codebase_version"] == "v3.0" and info["fps"] == 8
    assert (info["total_episodes"], info["total_frames"], info["splits"]) == (
        3,
        39,
        {"train": "0:3"},
    )
    schema = pq.read_schema(files.place(dataset, files.DATA, 0))
    assert set(schema.names) == set(info["features"]) - {files.IMAGE}
    assert schema.field("action").type.list_size == 2
    assert info["features"]["action"]["names"] == ["x", "y"]
    for name in ("data_path", "video_path"):
        path = info[name].format(video_key=files.IMAGE, chunk_index=0, file_index=2)
        assert (dataset / path).is_file()


def test_one_control_is_a_plain_column(record_colour):
    path = files.place(record_colour(frames=20), files.DATA, 0)
    assert str(pq.read_schema(path).field("action").type) == "float"


def test_episodes_table(dataset):
    table = pq.read_table(dataset / lerobot.EPISODES).to_pydict()
    assert table["length"] == [9, 13, 17]
    assert table["dataset_from_index"] == [0, 9, 22] and table["dataset_to_index"] == [9, 22, 39]
    assert table[f"videos/{files.IMAGE}/file_index"] == [0, 1, 2]
    assert table[f"videos/{files.IMAGE}/to_timestamp"] == [9 / 8, 13 / 8, 17 / 8]


def test_statistics_are_those_of_all_rows(dataset):
    stats = json.loads((dataset / lerobot.STATS).read_text())
    controls = np.concatenate([Episodes.open(dataset).controls(i) for i in range(3)])
    for name in ("min", "max", "mean", "std"):
        assert np.allclose(stats["action"][name], getattr(controls, name)(0), atol=1e-6)
    assert stats["action"]["count"] == [36]
    assert np.shape(stats[files.IMAGE]["mean"]) == (3, 1, 1)
    assert 0.4 < np.mean(stats[files.IMAGE]["mean"]) < 0.6


def test_tasks_are_indexed_as_pandas_would(dataset):
    schema = pq.read_schema(dataset / lerobot.TASKS)
    assert schema.pandas_metadata["index_columns"] == ["task"]
    assert pq.read_table(dataset / lerobot.TASKS).to_pydict() == {
        "task_index": [0],
        "task": ["play test"],
    }


@pytest.mark.parametrize("lost", ["info.json", "stats.json", "episodes/chunk-000/file-000.parquet"])
def test_metadata_is_made_again_from_the_sidecars(dataset, spec, tree, lost):
    before = tree(dataset)
    (dataset / "meta" / lost).unlink()
    EpisodeWriter(dataset, spec)
    assert tree(dataset) == before


def test_stale_metadata_is_brought_up_to_date(dataset, spec, episode):
    """A writer killed before `close` leaves metadata that tells of fewer episodes."""
    EpisodeWriter(dataset, spec).add(**episode(2, seed=9))
    assert json.loads((dataset / lerobot.INFO).read_text())["total_episodes"] == 3
    EpisodeWriter(dataset, spec)
    assert json.loads((dataset / lerobot.INFO).read_text())["total_episodes"] == 4
    assert rows_of(dataset)[3]["index"] == list(range(39, 48))
