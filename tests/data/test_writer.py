import dataclasses
import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from aapt_env.data import DatasetWriteError, Episodes, EpisodeWriter, files


def test_what_is_written_is_read_back(tmp_path, spec, episode):
    first, second = episode(3, seed=5), episode(2, seed=6)
    with EpisodeWriter(tmp_path, spec) as writer:
        assert (
            writer.add(**first, terminated=True, scene={"sky": "grey"}, policy="me", note=[1]) == 0
        )
        assert writer.add(**second, truncated=True, frames_real=7) == 1
    episodes = Episodes.open(tmp_path)
    assert episodes.spec == spec and episodes.fps == 8 and len(episodes) == 2
    for i, wanted in enumerate((first, second)):
        assert episodes.frames(i).shape == wanted["frames"].shape
        assert (episodes.controls(i) == wanted["controls"]).all()
        assert (episodes.rewards(i) == wanted["rewards"]).all()
    told = episodes.index[0]
    assert (told.seed, told.scene, told.policy, told.extras) == (
        5,
        {"sky": "grey"},
        "me",
        {"note": [1]},
    )
    assert episodes.terminated(0) and not episodes.terminated(1) and episodes.index[1].truncated
    assert episodes.index[1].frames_real == 7


def test_a_writer_continues_what_is_there(tmp_path, spec, episode):
    for seed in range(3):
        with EpisodeWriter(tmp_path, spec) as writer:
            assert writer.add(**episode(seed=seed)) == seed
    assert [e.seed for e in Episodes.open(tmp_path).index] == [0, 1, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(frames=np.zeros((13, 16, 16, 3), np.uint8)), r"expected uint8 \[F, 16, 24, 3\]"),
        (dict(frames=np.zeros((12, 16, 24, 3), np.uint8)), r"1 \+ n \* 4"),
        (dict(frames=np.zeros((1, 16, 24, 3), np.uint8)), "n at least 1"),
        (dict(controls=np.zeros((13, 2))), r"expected \(12, 2\)"),
        (dict(rewards=np.zeros(13)), r"expected \(12,\)"),
        (dict(rewards=np.r_[np.zeros(7), np.nan, np.zeros(4)]), "reward of frame 8 is nan"),
        (dict(rewards=np.full(12, np.inf)), "reward of frame 1 is inf; expected a finite number"),
        (dict(note=object()), "JSON"),
        (dict(seed=2**63), "expected a whole number of 64 bits"),  # a table has no room for it
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, spec, episode, change, message):
    writer = EpisodeWriter(tmp_path, spec)
    with pytest.raises(ValueError, match=message):
        writer.add(**episode() | change)
    assert len(Episodes.open(tmp_path)) == 0


def test_another_spec_is_refused(tmp_path, spec, episode):
    EpisodeWriter(tmp_path, spec).add(**episode())
    for other in (dict(game="other"), dict(height=32), dict(frame_fps=9), dict(k=2)):
        (name,) = other
        with pytest.raises(ValueError, match=f"another dataset .*{name}.*give another folder"):
            EpisodeWriter(tmp_path, dataclasses.replace(spec, **other))
    EpisodeWriter(tmp_path, dataclasses.replace(spec, channels=8))  # the VAE's own affair


def test_full_disk_is_one_sentence_and_loses_nothing(tmp_path, spec, episode, monkeypatch):
    writer = EpisodeWriter(tmp_path, spec)
    writer.add(**episode(seed=1))
    writes = []

    def full(path, target):
        writes.append(path)
        if len(writes) == 2:  # the table; the video is there already
            raise OSError(errno.ENOSPC, "No space left on device")
        return os.rename(path, target)

    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(
        DatasetWriteError, match="No space left.*make room.*file-001.parquet"
    ) as caught:
        writer.add(**episode(seed=2))
    assert isinstance(caught.value, OSError) and caught.value.errno == errno.ENOSPC
    monkeypatch.undo()
    assert [e.seed for e in Episodes.open(tmp_path).index] == [1]
    assert not list(tmp_path.rglob("*.tmp"))
    with EpisodeWriter(tmp_path, spec) as writer:
        assert writer.add(**episode(seed=2)) == 1  # the half-written one is replaced


def test_folder_that_cannot_be_written(tmp_path, spec):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DatasetWriteError, match="expected a folder with write permission"):
        EpisodeWriter(tmp_path / "file" / "data", spec)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes anywhere")
def test_read_only_folder(tmp_path, spec):
    tmp_path.chmod(0o500)
    with pytest.raises(DatasetWriteError, match="write permission"):
        EpisodeWriter(tmp_path / "data", spec)


def test_leftovers_of_dead_writers_are_swept(tmp_path, spec, episode):
    EpisodeWriter(tmp_path, spec).add(**episode())
    dead, alive = (tmp_path / f"data/chunk-000/.x.{pid}.tmp" for pid in (2**22 + 1, os.getpid()))
    dead.touch(), alive.touch()
    EpisodeWriter(tmp_path, spec)
    assert alive.exists() and not dead.exists()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_what_a_writer_left_that_has_ended_is_swept_though_nobody_asked_for_its_end(tmp_path):
    """In a container nobody may ask for the end of orphans for a while, and signals still reach them."""
    ended = subprocess.Popen([sys.executable, "-c", ""])  # it is not waited for
    stat = Path(f"/proc/{ended.pid}/stat")
    until = time.monotonic() + 30
    while ") Z " not in stat.read_text() and time.monotonic() < until:
        time.sleep(0.01)
    left, mine = (tmp_path / f".a.parquet.{pid}.tmp" for pid in (ended.pid, os.getpid()))
    for path in (left, mine):
        path.write_bytes(b"half")
    files.sweep(tmp_path)
    assert mine.exists() and not left.exists()
    ended.wait()
