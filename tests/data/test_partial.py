"""A folder is whole or not there, and none is touched that another import, or somebody else, has made."""

import os
import signal
import subprocess
import sys

import pytest

from aapt_env.data.files import DatasetWriteError
from aapt_env.data.importing import import_
from aapt_env.data.partial import MARK, all_or_nothing
from tests.films import EVEN, film

OTHERS = """
import os, sys
from pathlib import Path
from aapt_env.data.partial import all_or_nothing
with all_or_nothing(Path(sys.argv[1])) as partial:
    (partial / "data").mkdir()
    (partial / "data/theirs").write_text("theirs")
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """Another process, at the same folder `tmp_path`/out until its input ends."""
    command = [sys.executable, "-c", OTHERS, str(tmp_path / "out")]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def test_it_is_there_whole_or_not_at_all(tmp_path, tree):
    out = tmp_path / "a/b/out"
    with pytest.raises(RuntimeError), all_or_nothing(out) as partial:
        (partial / "file").write_text("half")
        raise RuntimeError
    assert not any(tmp_path.iterdir()), "nor are folders that were made for it"
    with all_or_nothing(out) as partial:
        (partial / "file").write_text("whole")
        assert not out.exists()
    assert tree(tmp_path) == {"a/b/out/file": b"whole"}


def test_an_empty_folder_or_a_link_to_one_is_a_place(tmp_path, tree):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    with all_or_nothing(tmp_path / "link") as partial:
        (partial / "file").write_text("whole")
    assert tree(tmp_path / "there") == {"file": b"whole"}


@pytest.mark.parametrize("name", ["out", "out.partial"])
@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_others_made_is_refused_and_stays(tmp_path, tree, name, kind):
    place = tmp_path / name
    place.mkdir() if kind == "folder" else place.write_text("x")
    if kind == "folder":
        (place / "notes.txt").write_text("x")
    before = tree(tmp_path)
    with pytest.raises(ValueError, match=f"{name} is .*give another --out"):
        import_(tmp_path / "nowhere.mp4", name="mine", out=tmp_path / "out")
    assert tree(tmp_path) == before


def test_a_folder_that_is_being_written_is_refused_and_stays(tmp_path, tree, other):
    with pytest.raises(ValueError, match="out.partial is being written by another process; wait"):
        import_(film(tmp_path / "a.mp4", EVEN[:20]), out=tmp_path / "out")
    other.communicate("")
    assert tree(tmp_path / "out") == {"data/theirs": b"theirs"}


def test_what_a_killed_one_left_is_taken_over(tmp_path, tree, other):
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert set(tree(tmp_path / "out.partial")) == {MARK, "data/theirs"}
    with all_or_nothing(tmp_path / "out") as partial:
        assert set(tree(partial)) == {MARK}
        (partial / "file").write_text("whole")
    assert tree(tmp_path) == {"out/file": b"whole"}


def test_a_folder_that_was_killed_before_its_mark_is_taken_over(tmp_path):
    (tmp_path / "out.partial").mkdir()
    with all_or_nothing(tmp_path / "out"):
        pass
    assert os.listdir(tmp_path) == ["out"] and not os.listdir(tmp_path / "out")


def test_a_place_that_is_taken_meanwhile_stays(tmp_path, tree):
    with pytest.raises(ValueError, match="out cannot be put there"):
        with all_or_nothing(tmp_path / "out"):
            (tmp_path / "out").mkdir()
            (tmp_path / "out/theirs").write_text("x")
    assert tree(tmp_path) == {"out/theirs": b"x"}


def test_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(DatasetWriteError, match="cannot write here.*give another --out"):
        with all_or_nothing(tmp_path / "file/out"):
            pass
