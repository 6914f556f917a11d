import subprocess
import sys
import types
from pathlib import Path

import cv2
import numpy as np
import pytest

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
        (["--game-itself", "--scene", "time=noon"], "expected one of day"),
        (["--game-itself", "--scene", "moon=full"], "driving has no 'moon'"),
        (["--game-itself", "--size", "20"], "expected a multiple of 8"),
        (["--game-itself", "--frames", "-3"], "expected 0 or more"),
        (["--game-itself", "--out", "file/recordings"], "cannot write to"),
    ],
)
def test_what_cannot_be_met_is_one_sentence_and_status_2(words, expected, capsys):
    Path("file").write_text("")
    assert app.main(words) == 2
    err = capsys.readouterr().err
    assert expected in err and err.startswith("aapt play: ") and err.count("\n") == 1


def test_cuda_without_a_gpu_is_refused_before_anything_is_loaded(capsys, monkeypatch):
    fake = types.SimpleNamespace(cuda=types.SimpleNamespace(is_available=lambda: False))
    monkeypatch.setitem(sys.modules, "torch", fake)  # importing the real one takes seconds
    assert app.main(["--device", "cuda"]) == 2
    assert "no CUDA device" in capsys.readouterr().err


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


def test_scene_words_and_starts(spec):
    assert opening.parse_scene(("a=b", "c=d")) == {"a": "b", "c": "d"}
    with pytest.raises(ValueError, match="number of a start, or an image"):
        opening._start("nowhere.png", spec)
    assert opening._start("12", spec) == 12
    cv2.imwrite("photo.png", np.full((30, 50, 3), (0, 0, 250), np.uint8))
    picture = opening._start("photo.png", spec)
    assert picture.shape == (16, 16, 3) and picture[8, 8].tolist() == [250, 0, 0]


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
