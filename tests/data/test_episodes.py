import json

import numpy as np
import pytest

from aapt_env.data import Episodes, EpisodeWriter, files, load_frames


@pytest.fixture
def dataset(tmp_path, spec, episode):
    with EpisodeWriter(tmp_path / "set", spec) as writer:
        for seed in range(4):
            writer.add(**episode(2 + seed, seed=seed))
    return tmp_path / "set"


def test_no_dataset(tmp_path):
    with pytest.raises(ValueError, match=f"no dataset in {tmp_path}/none.*aapt record"):
        Episodes.open(tmp_path / "none")


@pytest.mark.parametrize("text", ["{", "[]", '{"spec": {}}'])
def test_damaged_head(dataset, text):
    (dataset / files.DATASET).write_text(text)
    with pytest.raises(ValueError, match="aapt.json is damaged"):
        Episodes.open(dataset)
    with pytest.raises(ValueError, match="from a copy, or record into another folder"):
        Episodes.open(dataset)


def test_a_head_of_a_newer_version(dataset):
    (dataset / files.DATASET).write_text('{"format": 9, "spec": {}, "recipe": null}')
    with pytest.raises(ValueError, match="format 9, this version of aapt_env reads 1; update"):
        Episodes.open(dataset)


@pytest.mark.parametrize("how", ["cut", "empty", "keys", "number", "no video", "no table"])
def test_an_incomplete_episode_is_left_out_and_can_be_made_again(dataset, spec, episode, how):
    sidecar = files.place(dataset, files.RECORD, 1)
    text = sidecar.read_text()
    if how in ("cut", "empty"):
        sidecar.write_text(text[:50] if how == "cut" else "")
    elif how == "keys":
        sidecar.write_text(json.dumps(json.loads(text) | {"surprise": 1}))
    elif how == "number":
        sidecar.write_text(json.dumps(json.loads(text) | {"index": 3}))
    else:
        files.place(dataset, files.VIDEO if "video" in how else files.DATA, 1).unlink()
    with pytest.warns(UserWarning, match="incomplete episode.*file-001"):
        episodes = Episodes.open(dataset)
    assert [e.index for e in episodes.index] == [0, 2, 3]
    assert episodes.frames(1).shape[0] == episodes.index[1].length == 17  # i counts what is there
    with pytest.warns(UserWarning, match="incomplete"):
        writer = EpisodeWriter(dataset, spec)
        writer.add(**episode(3, seed=1), index=1)
    assert [e.index for e in Episodes.open(dataset).index] == [0, 1, 2, 3]


def test_damaged_table(dataset):
    path = files.place(dataset, files.DATA, 2)
    path.write_bytes(path.read_bytes()[:-20])
    episodes = Episodes.open(dataset)
    for read in (episodes.controls, episodes.rewards):
        with pytest.raises(ValueError, match="file-002.parquet is damaged.*delete it"):
            read(2)
    assert episodes.frames(2).shape[0] == 17


def test_damaged_video(dataset):
    files.place(dataset, files.VIDEO, 2).write_bytes(b"not a video")
    with pytest.raises(ValueError, match="file-002.mp4.*record again"):
        Episodes.open(dataset).frames(2)


def test_table_of_another_length(dataset):
    files.place(dataset, files.DATA, 2).write_bytes(
        files.place(dataset, files.DATA, 0).read_bytes()
    )
    with pytest.raises(ValueError, match="9 rows, expected 17"):
        Episodes.open(dataset).controls(2)


def test_windows_of_frames(dataset):
    episodes = Episodes.open(dataset)
    whole = episodes.frames(3)
    assert (episodes.frames(3, 4, 9) == whole[4:9]).all()
    assert (episodes.frames(3, 20) == whole[20:]).all()
    with pytest.raises(IndexError, match="of an episode of 21 frames"):
        episodes.frames(3, 5, 22)


def test_load_frames_keeps_the_order(dataset, capsys):
    episodes = Episodes.open(dataset)
    loaded = load_frames(episodes, [3, 0, 2], workers=2)
    assert all((a == episodes.frames(i)).all() for a, i in zip(loaded, [3, 0, 2], strict=True))
    assert "decoded 47 frames" in capsys.readouterr().out


def test_load_frames_takes_a_thread_per_core(dataset, monkeypatch):
    import os
    import threading

    from aapt_env.data import episodes as module

    assert 1 <= module.cores() <= os.cpu_count()
    monkeypatch.setattr(module, "cores", lambda: 3)
    together = threading.Barrier(3, timeout=20)  # broken, unless three are decoded at once
    monkeypatch.setattr(Episodes, "frames", lambda self, i: np.zeros(together.wait() + 1))
    loaded = load_frames(Episodes.open(dataset), [0, 1, 2], progress=False)
    assert sorted(map(len, loaded)) == [1, 2, 3]


def test_split_is_stable_and_complete(tmp_path, spec, episode):
    writer = EpisodeWriter(tmp_path, spec, gather_every=0)
    small = {k: v for k, v in episode(1).items() if k != "seed"}
    for seed in range(30):
        writer.add(**small, seed=seed)
    episodes = Episodes.open(tmp_path)
    train, held = episodes.split(0.3)
    assert sorted(train + held) == list(range(30)) and 3 <= len(held) <= 16
    for seed in range(30, 40):
        writer.add(**small, seed=seed)
    train_after, held_after = Episodes.open(tmp_path).split(0.3)
    assert set(train) <= set(train_after) and set(held) <= set(held_after)
    assert len(episodes.split(1e-9)[1]) == 1 and episodes.split(0)[1] == []


def test_results_are_the_callers_own(dataset):
    episodes = Episodes.open(dataset)
    controls = episodes.controls(0)
    controls[:] = 9
    assert np.abs(episodes.controls(0)).max() <= 1
