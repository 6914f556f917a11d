import dataclasses
import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from aapt_env import flags
from aapt_env.data import Episodes, files
from aapt_env.play import app, opening, window
from aapt_env.play.script import KeyScript
from aapt_env.play.session import Setup

from .conftest import Counting


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AAPT_HOME", raising=False)
    monkeypatch.delenv("AAPT_DEBUG", raising=False)


@pytest.fixture
def counting(monkeypatch, spec):
    """Whatever is asked for, the counting world is opened."""

    def setup(wanted, **env):
        its = Counting(spec, **env)
        return Setup(env=its, spec=spec, scene=wanted.scene, script=KeyScript(spec.control))

    monkeypatch.setattr(opening, "check", lambda wanted: None)
    monkeypatch.setattr(opening, "open_setup", setup)
    return setup


@pytest.mark.parametrize(
    "words, expected",
    [
        (["--game", "nothere"], "no checkpoint for 'nothere'"),
        (["--game", "nothere", "--real"], "unknown game 'nothere'"),
        (["--checkpoint", "missing"], "no checkpoint for 'missing'"),
        (["--game-itself", "--scene", "night"], "expected NAME=VALUE"),
        (["--game-itself", "--scene", "time=day", "--scene", "time=night"], "give one of them"),
        (["--game-itself", "--scene", "time=noon"], "expected one of day"),
        (["--game-itself", "--scene", "moon=full"], "driving has no 'moon'"),
        (["--game-itself", "--size", "20"], "expected a multiple of 8"),
        (["--game-itself", "--size", "72000"], "expected a multiple of 8, and at most 4096"),
        (["--game-itself", "--frames", "-3"], "--frames -3: expected a whole number >= 1"),
        (["--frames", "0"], "--frames 0: expected a whole number >= 1"),
        (["--fps", "0"], "--fps 0.0: expected 1 to 240"),
        (["--scale", "0"], "--scale 0.0: expected 1 to 64"),
        (["--game-itself", "--start", "3"], "--start is for a dream"),
        (["--game-itself", "--fast", "plain"], "--fast, --kernels and --weights are for a dream"),
        (["--game-itself", "--checkpoint", "x"], "--checkpoint is for a dream"),
        (["--fps", "nan"], "--fps nan: expected 1 to 240"),
        (["--fps", "0.3"], "--fps 0.3: expected 1 to 240"),
        (["--scale", "inf"], "--scale inf: expected 1 to 64"),
        (["--seed", "-1"], "--seed -1: expected a whole number from 0 to"),
        (["--seed", str(2**62)], "expected a whole number from 0 to 4611686018427387903"),
        (["--game-itself", "--out", "file/recordings"], "cannot write to"),
    ],
)
def test_what_cannot_be_met_is_one_sentence_and_status_2(words, expected, capsys):
    Path("file").write_text("")
    assert app.main(words) == 2
    err = capsys.readouterr().err
    assert expected in err and err.startswith("aapt play: ") and err.count("\n") == 1


def test_cuda_without_a_gpu_is_refused_before_anything_is_loaded(capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(opening, "open_setup", lambda wanted: pytest.fail("loaded"))
    assert app.main(["--device", "cuda"]) == 2
    assert "sees no CUDA GPU; use cpu or auto" in capsys.readouterr().err


def test_an_unknown_flag_is_status_2(capsys):
    with pytest.raises(SystemExit) as stop:
        app.main(["--nonsense"])
    assert stop.value.code == 2


def test_without_a_display_it_films_and_says_where(counting, capsys):
    assert app.main(["--frames", "9", "--record", "--seed", "5"]) == 0
    out = capsys.readouterr().out
    assert "There is no display" in out and "recordings/counting-" in out
    suffixes = {p.suffix for p in Path("recordings").iterdir()}
    assert suffixes == {".mp4", ".png", ""}


def test_a_world_that_breaks_is_one_sentence_and_status_1(counting, capsys, monkeypatch):
    broken = lambda wanted: counting(wanted, fail_at=2)  # noqa: E731
    monkeypatch.setattr(opening, "open_setup", broken)
    assert app.main(["--frames", "40"]) == 1
    assert capsys.readouterr().err == "aapt play: RuntimeError: the engine caught fire\n"


def test_with_a_display_a_window_opens_and_stops_at_the_limit(counting, monkeypatch, capsys):
    monkeypatch.setattr(window, "screen_there", lambda: True)
    words = ["--frames", "10", "--record", "--fps", "100", "--scene", "time=night"]
    assert app.main(words) == 0
    assert "recorded recordings/counting-" in capsys.readouterr().out


def test_a_window_whose_world_breaks_ends_with_the_sentence(counting, monkeypatch, capsys):
    monkeypatch.setattr(window, "screen_there", lambda: True)
    broken = lambda wanted: counting(wanted, fail_at=2)  # noqa: E731
    monkeypatch.setattr(opening, "open_setup", broken)
    assert app.main(["--fps", "100"]) == 1
    assert capsys.readouterr().err == "aapt play: RuntimeError: the engine caught fire\n"


def test_ctrl_c_without_a_window_saves_what_there_is(counting, capsys, monkeypatch):
    """Without its last bytes the video could not be read, and the recording was lost."""
    step = Counting.step

    def interrupted(env, action):
        if len(env.actions) == 5:
            raise KeyboardInterrupt
        return step(env, action)

    monkeypatch.setattr(Counting, "step", interrupted)
    assert app.main(["--frames", "99", "--record"]) == 130
    said = capsys.readouterr()
    assert said.err == "aapt play: stopped by Ctrl-C\n"
    assert said.out == "what was made so far is in recordings\n"
    assert {p.suffix for p in Path("recordings").iterdir()} == {".mp4", ".png", ""}
    (video,) = Path("recordings").glob("*.mp4")
    with av.open(str(video)) as container:
        assert len(list(container.decode(video=0))) == 21
    assert Episodes.open(video.with_suffix("")).index[0].length == 21


def test_a_disk_that_fills_ends_the_recording_and_not_the_play(counting, monkeypatch, capsys):
    monkeypatch.setattr(window, "screen_there", lambda: True)
    monkeypatch.setattr("aapt_env.play.recorder.LONGEST", 12)
    written, write = [], files.write

    def fills(path, content):
        written.append(path)
        if len(written) > 4:  # the head and one episode
            raise files.DatasetWriteError(28, "cannot write a dataset here", str(path))
        write(path, content)

    monkeypatch.setattr(files, "write", fills)
    assert app.main(["--frames", "90", "--record", "--fps", "240"]) == 2
    said = capsys.readouterr()
    assert said.err.endswith(": cannot write a dataset here\n") and said.err.count("\n") == 1
    place = Path(said.out.removeprefix("recorded ").strip())
    assert len(Episodes.open(place)) == 1


def test_help_teaches_and_names_no_types(capsys):
    with pytest.raises(SystemExit):
        app.main(["--help"])
    text = capsys.readouterr().out
    assert "None" not in text and "STR" not in text and "FLOAT" not in text


def test_scene_words_and_starts(spec):
    assert flags.parse_scene((("a=b", "c=d"), ("e=f", "a=b"))) == {"a": "b", "c": "d", "e": "f"}
    with pytest.raises(ValueError, match="number of a start, or an image"):
        opening._start("nowhere.png", spec)
    assert opening._start("12", spec) == 12
    cv2.imwrite("photo.png", np.full((30, 50, 3), (0, 0, 250), np.uint8))
    picture = opening._start("photo.png", spec)
    assert picture.shape == (16, 16, 3) and picture[8, 8].tolist() == [250, 0, 0]
    with pytest.raises(ValueError, match="number of a start, or an image"):
        opening._start("\N{SUPERSCRIPT TWO}", spec)  # a digit to Python, and no number
    cv2.imwrite("dot.png", np.zeros((1, 1, 3), np.uint8))
    wide = dataclasses.replace(spec, width=48)
    assert opening._start("dot.png", wide).shape == (16, 48, 3)


def test_the_real_game_plays_here_with_its_own_driver(capsys):
    words = ["--game-itself", "--frames", "13", "--seed", "1", "--size", "64"]
    assert app.main([*words, "--scene", "time=night"]) == 0
    assert "The policy drove" in capsys.readouterr().out


def test_importing_the_player_opens_no_window_and_loads_no_torch():
    code = (
        "import sys, aapt_env.play, pygame; assert not pygame.display.get_init();"
        "assert not {'torch', 'aapt_env.world', 'aapt_env.train'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_without_a_window_and_a_seed_the_same_film_is_made_each_time(tiny, tmp_path, monkeypatch):
    films = []
    for name in "ab":
        words = [
            "--checkpoint",
            str(tiny),
            "--headless",
            "--frames",
            "9",
            "--out",
            str(tmp_path / name),
        ]
        assert app.main(words) == 0
        films.append(next((tmp_path / name).glob("*.mp4")).read_bytes())
    assert films[0] == films[1]
