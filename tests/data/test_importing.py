"""Videos that others made: time rules everything, and what is wrong is named by file and frame."""

import itertools

import av
import numpy as np
import pytest

from aapt_env.data.importing import advice, import_
from aapt_env.train.dataset import split
from tests.films import EVEN, film, table, told


def test_a_video_and_its_inputs_become_episodes_that_agree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keys = [(1.0, 1.6), (2.51, 2.53), (3.2, 4.0)]
    video = film(tmp_path / "drive.mp4", EVEN, keys)
    events = sorted([(0.0, 0), (5.0, 0)] + [(t, v) for a, b in keys for t, v in ((a, 1), (b, 0))])
    rows = [(t, v, 0) for t, v in events]
    actions = table(
        tmp_path / "in.csv", ["time", "space", "left"], [*rows[:-1], (4.98, 0, 0), (5.0, 0, 0)]
    )
    data = import_(video, actions, fps=24, max_seconds=60, keep_good=True)
    assert (
        str(data.path) == "data/drive"
        and data.fps == 24
        and data.spec.control.space == "MultiBinary"
    )
    assert data.spec.control.names == ("space", "left")
    assert ("space",) in {b.keys for b in data.spec.control.keymap}
    frames, controls = data.frames(0), data.controls(0)
    assert np.abs(told(frames) - np.arange(len(frames)) / 24).max() < 0.06
    seconds = np.arange(len(controls)) / 24
    down = controls[:, 0] == 1
    for a, b in keys:
        inside = (seconds >= a - 1e-6) & (seconds + 1 / 24 <= b + 1e-6)
        assert down[inside].all()
    assert down[(seconds > 2.45) & (seconds < 2.56)].any(), "a tap shorter than a frame is kept"
    assert not down[(seconds > 1.7) & (seconds < 2.4)].any() and (controls[:, 1] == 0).all()
    inside_latents = controls[: len(controls) // 4 * 4, 0].reshape(-1, 4)
    assert (inside_latents.std(axis=1) > 0).any(), (
        "inputs that change inside a latent keep their k values"
    )


def test_uneven_clocks_are_resampled_by_timestamp(tmp_path):
    rng = np.random.default_rng(0)
    times = np.cumsum(np.r_[0, rng.choice([1 / 60, 1 / 30, 1 / 12], 120)])
    times = times[times < 5]
    data = import_(film(tmp_path / "uneven.mkv", times), fps=24, out=tmp_path / "out")
    frames = data.frames(0)
    assert np.abs(told(frames) - np.arange(len(frames)) / 24).max() < 0.5 / 12 + 0.03
    assert data.spec.control.size == 1 and (data.controls(0) == 0).all(), "no table: unconditional"


def test_a_long_pause_begins_another_episode(tmp_path):
    times = np.r_[np.arange(0, 1.5, 1 / 24), np.arange(4, 5.5, 1 / 24)]
    data = import_(film(tmp_path / "pause.mkv", times), fps=24, out=tmp_path / "out")
    assert len(data) == 2
    assert abs(told(data.frames(1))[0] - 4) < 0.06 and told(data.frames(0)).max() < 1.6


def test_wheels_keep_their_values_and_are_scaled(tmp_path):
    video = film(tmp_path / "a.mp4", EVEN)
    rows = [(i, 300 * np.sin(i / 9), i / len(EVEN)) for i in range(len(EVEN))]
    data = import_(
        video, table(tmp_path / "a.csv", ["frame", "wheel", "gas"], rows), out=tmp_path / "out"
    )
    controls = data.controls(0)
    assert data.spec.control.space == "Box" and np.abs(controls).max() <= 1
    assert np.allclose(controls[:, 0], np.sin(np.arange(len(controls)) / 9), atol=0.02)
    assert np.allclose(controls[:, 1], np.arange(len(controls)) / len(EVEN), atol=0.02)


def keys_at(times, **changes):
    """Rows (time, key) with some replaced."""
    return [(t, changes.get(f"row{i}", 0)) for i, t in enumerate(times)]


@pytest.mark.parametrize(
    ("times", "changes", "said", "kept"),
    [
        (EVEN[:60], {}, r"in.csv is shorter than .*drive.mp4: it ends at 2.50 s, frame 60, the video at 5.00 s", 57),
        (np.arange(0, 8, 1 / 24), {}, r"in.csv is longer than .*drive.mp4: it ends at 8.00 s, frame 119", 117),
        (EVEN * 1.04, {}, r"longer than.*4.0% apart: do the two clocks drift", 117),
        (EVEN + 1, {}, r"in.csv begins at 1.00 s, frame 24 of", 93),
        (EVEN, {"row70": "nan"}, r"in.csv, line 72: space is no number, at frame 70 of .*drive.mp4", 69 + 45),
        (EVEN, {"row70": ""}, r"in.csv, line 72: space is no number, at frame 70 of", 69 + 45),
    ],
)  # fmt: skip
def test_inputs_that_do_not_fit_are_named_and_the_good_part_is_kept(
    tmp_path, times, changes, said, kept, capsys
):
    video = film(tmp_path / "drive.mp4", EVEN)
    actions = table(tmp_path / "in.csv", ["time", "space"], keys_at(times, **changes))
    with pytest.raises(ValueError, match=said + ".*--keep-good"):
        import_(video, actions, fps=24, out=tmp_path / "out")
    assert not (tmp_path / "out").exists() and not (tmp_path / "out.partial").exists()
    data = import_(video, actions, fps=24, max_seconds=60, out=tmp_path / "out", keep_good=True)
    assert "left out: " in capsys.readouterr().out
    assert abs(sum(e.length for e in data.index) - kept) <= 4


def test_columns_that_contradict_each_other_are_a_drift(tmp_path):
    video = film(tmp_path / "drive.mp4", EVEN)
    rows = [(i, t * 1.05, 0) for i, t in enumerate(EVEN)]
    actions = table(tmp_path / "in.csv", ["frame", "time", "space"], rows)
    with pytest.raises(ValueError, match=r"drift apart, by 0.25 s at frame 119"):
        import_(video, actions, fps=24, out=tmp_path / "out")
    data = import_(video, actions, fps=24, out=tmp_path / "out", keep_good=True)
    assert sum(episode.length - 1 for episode in data.index) == 116


@pytest.mark.parametrize(
    ("head", "rows", "said"),
    [
        (["time"], [(0,)], "a line of names"),
        (["0.0", "1"], [(0.1, 1)], "a line of names"),
        (["time", "space"], [], "a line of names"),
    ],
)  # fmt: skip
def test_tables_that_are_none(tmp_path, head, rows, said):
    video = film(tmp_path / "drive.mp4", EVEN[:30])
    with pytest.raises(ValueError, match=said):
        import_(video, table(tmp_path / "in.csv", head, rows), out=tmp_path / "out", keep_good=True)


def test_videos_that_cannot_be_read(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(ValueError, match="text.mp4 cannot be read as a video"):
        import_(tmp_path / "text.mp4", out=tmp_path / "out")
    with pytest.raises(ValueError, match="nowhere.mp4 is not there"):
        import_(tmp_path / "nowhere.mp4", out=tmp_path / "out")
    with av.open(str(tmp_path / "empty.mkv"), "w") as container:
        stream = container.add_stream("mpeg4", rate=24)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        container.start_encoding()
    with pytest.raises(ValueError, match="empty.mkv (has no frames|cannot be read)"):
        import_(tmp_path / "empty.mkv", out=tmp_path / "out")
    whole = film(tmp_path / "whole.mkv", EVEN).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(film(tmp_path / "w.mp4", EVEN).read_bytes()[:2000])
    with pytest.raises(ValueError, match="cut.mp4 cannot be read.*cut off"):
        import_(tmp_path / "cut.mp4", out=tmp_path / "out")
    (tmp_path / "half.mkv").write_bytes(whole[: len(whole) // 2])  # what there is of it plays
    assert len(import_(tmp_path / "half.mkv", out=tmp_path / "out", keep_good=True)) == 2


def test_a_folder_of_pairs(tmp_path):
    folder = tmp_path / "runs"
    folder.mkdir()
    for name, size in (("a", (48, 64)), ("b", (48, 64)), ("c", (96, 64)), ("d", (48, 64))):
        film(folder / f"{name}.mp4", EVEN[:49], size=size)
        if name != "d":
            table(folder / f"{name}.csv", ["space"], [(i % 2,) for i in range(49)])
    with pytest.raises(
        ValueError, match=r"d.mp4 has no table beside it \(d.csv\), .*has; --keep-good"
    ):
        import_(folder, out=tmp_path / "out")
    (folder / "d.mp4").unlink()
    with pytest.raises(ValueError, match=r"c.mp4 has frames of 64x96 pixels, .*a.mp4 of 64x48"):
        import_(folder, out=tmp_path / "out")
    data = import_(folder, out=tmp_path / "out", keep_good=True)
    assert len(data) == 2 and data.spec.game == "runs"
    assert (data.controls(1)[:, 0] == np.arange(48) % 2).all()
    with pytest.raises(ValueError, match="holds a dataset already"):
        import_(folder, out=tmp_path / "out")


@pytest.mark.parametrize("seconds", [3, 5, 12, 60, 650])
def test_a_lone_video_becomes_episodes_to_train_on_and_to_hold_out(tmp_path, seconds):
    video = film(tmp_path / "drive.mkv", np.arange(0, seconds, 0.125), size=(16, 16))
    data = import_(video, out=tmp_path / "out", height=16, width=16)
    made = [(episode.extras["seconds"], episode.length) for episode in data.index]
    assert all(a + (n - 1) / 8 == b for (a, n), (b, _) in itertools.pairwise(made)), "no gap"
    assert sum(n - 1 for _, n in made) == (8 * seconds - 1) // 4 * 4 and made[0][0] == 0
    train, held = split(data, data.spec.k)
    assert min(len(train), len(held)) >= 1 and max(data.index[i].length for i in train) >= 9
    lengths = [data.index[i].length for i in held]
    assert sum(lengths) <= 0.6 * (8 * seconds + len(made)) and (seconds < 60 or min(lengths) > 64)
    assert max(episode.length for episode in data.index) <= 1 + 60 * 8
    words = advice(data)
    assert f"train it with 'aapt train drive --data {data.path}'" in words
    assert ("little to train on, expected 50 s" in words) == (seconds < 60)


def test_what_cannot_be_trained_on_is_said(tmp_path):
    video = film(tmp_path / "drive.mp4", EVEN[:60], size=(16, 16))
    short = import_(video, out=tmp_path / "short", fps=2, height=16, width=16)
    one = import_(video, out=tmp_path / "one", max_seconds=60, height=16, width=16)
    for data in (short, one):
        assert len(data) == 1
        assert advice(data).startswith("it cannot be trained on: expected two episodes of 9 frames")
    two = import_(video, out=tmp_path / "two", max_seconds=1, height=16, width=16)
    assert "aapt train" in advice(two)


def test_several_recordings_stay_as_they_are(tmp_path):
    folder = tmp_path / "runs"
    folder.mkdir()
    for name in "ab":
        film(folder / f"{name}.mp4", EVEN)
    assert [e.length for e in import_(folder, out=tmp_path / "out").index] == [117, 117]


def test_a_lerobot_dataset(record_colour, tmp_path):
    """Ours has that layout; what it holds comes back, at another size and rate."""
    source = record_colour()
    from aapt_env.data import Episodes

    before = Episodes.open(source)
    (source / "meta/aapt.json").unlink()  # as one that others wrote
    data = import_(source, name="colours", out=tmp_path / "out", height=16, width=24)
    assert (
        len(data) == len(before)
        and data.fps == before.fps
        and data.spec.control.space == "Discrete"
    )
    for i in range(len(before)):
        steps = len(data.controls(i))
        assert before.index[i].length - data.index[i].length in range(0, 5)
        assert (data.controls(i) == before.controls(i)[:steps]).all()
        assert np.allclose(data.rewards(i), before.rewards(i)[:steps])
        assert np.abs(data.frames(i).astype(int) - before.frames(i)[: 1 + steps]).mean() < 3


@pytest.mark.parametrize(
    ("version", "said"), [("v4.0", "newer than v3; this version"), ("v2.1", "not v3; convert it")]
)
def test_lerobot_datasets_of_another_version(tmp_path, version, said):
    (tmp_path / "set/meta").mkdir(parents=True)
    (tmp_path / "set/meta/info.json").write_text(f'{{"codebase_version": "{version}"}}')
    with pytest.raises(ValueError, match=said):
        import_(tmp_path / "set", out=tmp_path / "out")


def test_our_own_datasets_of_a_newer_format(record_colour):
    from aapt_env.data import Episodes

    head = record_colour() / "meta/aapt.json"
    head.write_text(head.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(ValueError, match=r"format 2, this version of aapt_env reads 1; update"):
        Episodes.open(head.parent.parent)


def minari(root, rewards):
    """Write a dataset of two episodes; returns the second one's actions."""
    h5py = pytest.importorskip("h5py")
    path = root / "data/main_data.hdf5"
    path.parent.mkdir(parents=True)
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        for i in range(2):
            group = file.create_group(f"episode_{i}")
            group["observations"] = np.full((22, 20, 30, 3), 50 * i, np.uint8)
            group["actions"] = rng.integers(0, 3, 21)
            group["rewards"] = rewards[i]
            group["terminations"] = np.arange(21) == 20
        return file["episode_1/actions"][:]


def test_a_minari_dataset(tmp_path):
    actions = minari(tmp_path / "set", np.arange(42.0).reshape(2, 21) % 21)
    data = import_(tmp_path / "set", name="mine", out=tmp_path / "out")
    assert len(data) == 2 and data.spec.control.space == "Discrete" and data.index[1].terminated
    assert (data.controls(1)[:, 0] == actions[:20]).all() and (
        data.rewards(1) == np.arange(20)
    ).all()
    assert (data.frames(1) > 40).mean() > 0.9


def test_rewards_that_are_no_numbers_are_named_and_the_good_part_is_kept(tmp_path):
    """Training once died of them, in its last stages."""
    rewards = np.zeros((2, 21))
    rewards[0, 3] = np.nan
    minari(tmp_path / "set", rewards)
    with pytest.raises(ValueError, match="episode_0.*: the reward is nan.*--keep-good goes on"):
        import_(tmp_path / "set", name="mine", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    kept = import_(tmp_path / "set", name="mine", out=tmp_path / "out", keep_good=True)
    assert [episode.extras["source"] for episode in kept.index] == ["episode_1"]
