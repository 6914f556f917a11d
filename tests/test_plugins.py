"""Games that other packages bring, and the template that a user copies."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from aapt_env import cli, games
from aapt_env.data import Episodes
from aapt_env.data.record import record

TEMPLATE = Path(__file__).parent.parent / "examples/catch"


BROKEN = {  # module -> what it is, or does when it is imported
    "wreck_loud": "raise RuntimeError('no\\nlicence')",
    "wreck_leaving": "import sys\nsys.exit(0)",
    "wreck_lacking": "import no_such_engine",
    "wreck_none": "def Game(height, width): return None",
    "wreck_upset": "def Game(height, width): return height / 0",
    "wreck_odd": "def Game(height, width): raise ValueError('odd')",
    "wreck_thing": "Game = 3",
}


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The template as pip would install it, and another package in which all is broken."""
    shutil.copy(TEMPLATE / "catch.py", tmp_path)
    for name, text in BROKEN.items():
        (tmp_path / f"{name}.py").write_text(text)
    for name, points in (
        ("aapt_catch", "catch = catch:Catch\ndriving = catch:Catch"),
        ("wreck", "\n".join(f"{name} = {name}:Game" for name in ("wreck", *BROKEN))),
    ):
        about = tmp_path / f"{name}-0.1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1.0\n")
        (about / "entry_points.txt").write_text(f"[aapt_env.games]\n{points}\n")
    monkeypatch.syspath_prepend(tmp_path)


def test_the_template_is_short_and_declares_itself():
    text = (TEMPLATE / "catch.py").read_text()
    assert len(text.splitlines()) < 60
    assert all(word in text for word in ("keymap", "driver_entry", "def recipe"))
    assert 'entry-points."aapt_env.games"' in (TEMPLATE / "pyproject.toml").read_text()


@pytest.mark.filterwarnings("ignore:.*")
def test_a_plugin_is_a_game_like_ours(installed, tmp_path, capsys):
    known = games.known_games()
    assert known["catch"] == games.Known("catch:Catch", "aapt_catch 0.1.0")
    assert known["driving"].source == "aapt-env", "nobody takes a name of ours"
    check_env(games.make_held("catch", 64, 64), skip_render_check=True)
    record("catch", tmp_path / "data", 130, max_seconds=4, progress=False)
    data = Episodes.open(tmp_path / "data")
    assert data.index[0].policy == "scripted" and data.spec.control.keymap[0].keys == ("left",)
    assert cli.main(["games"]) == 0
    out = capsys.readouterr().out
    assert "Catch the falling ball" in out and "[aapt_catch 0.1.0; no world yet]" in out


def test_a_plugin_that_fails_hides_no_other(installed, capsys):
    """One that called sys.exit(0) once ended the list after its first line, as if that were all."""
    assert cli.main(["games"]) == 0
    out = capsys.readouterr().out
    for name, said in (
        ("wreck", "'wreck:Game': there is no module 'wreck'"),
        ("wreck_loud", "RuntimeError: no licence"),
        ("wreck_leaving", "SystemExit: 0"),
        ("wreck_lacking", "ModuleNotFoundError: No module named 'no_such_engine'"),
    ):
        assert f"  {name:<12} cannot be loaded: {said}" in out
    assert "Catch the falling ball" in out and "worlds (aapt play WORLD):" in out


def test_a_plugin_whose_name_is_taken_is_told_of(installed, capsys):
    assert cli.main(["games"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "left out" in line]
    assert line.startswith("  driving      left out: aapt_catch 0.1.0 has a game of this name too")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("wreck", "failed when it was made: 'wreck:Game': there is no module 'wreck'"),
        ("wreck_loud", "failed when it was made: RuntimeError: no licence; expected a class or"),
        ("wreck_leaving", "failed when it was made: SystemExit: 0; expected a class or function"),
        ("wreck_lacking", "needs no_such_engine, which is not installed"),
        (
            "wreck_none",
            "wreck_none:Game makes None; expected a class or function that takes height",
        ),
        ("wreck_upset", "failed when it was made: ZeroDivisionError"),
        ("wreck_odd", "failed when it was made: odd; expected a class or function"),
        ("wreck_thing", "failed when it was made: TypeError: 'int' object is not callable"),
    ],
)
def test_a_plugin_that_makes_no_game_is_one_sentence(installed, tmp_path, capsys, name, said):
    assert cli.main(["record", name, "--out", str(tmp_path / "data")]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"aapt record: game '{name}' (of wreck 0.1.0)") and said in err
    assert err.count("\n") == 1 and not (tmp_path / "data").exists()


def test_our_own_games_speak_for_themselves():
    with pytest.raises(ValueError, match="^height and width must be"):
        games.make_game("driving", 4, 4)


def test_the_templates_recipe(installed):
    from aapt_env.train.recipes import recipe

    assert recipe("catch:recipe").name == "catch"


def test_the_racing_driver_stays_within_its_controls(monkeypatch):
    """Whatever its speed and wherever the road: what it answers is an action of CarRacing's."""
    monkeypatch.syspath_prepend(TEMPLATE.parent.parent)
    from examples.car_racing import Driver

    box = gymnasium.spaces.Box(-1.0, 1.0, (3,), np.float32)
    rng = np.random.default_rng(0)
    for seed in range(20):
        driver = Driver(seed)
        hull = SimpleNamespace(linearVelocity=rng.uniform(-70, 70, 2))
        hull.position, hull.angle = rng.uniform(-200, 200, 2), rng.uniform(-9, 9)
        track = [(0.0, 0.0, *point) for point in rng.uniform(-200, 200, (9, 2))]
        driver.reset(SimpleNamespace(car=SimpleNamespace(hull=hull), track=track))
        for _ in range(20):
            frame = np.full((64, 64, 3), rng.integers(0, 255), np.uint8)
            frame[:, rng.integers(64) :] = rng.integers(60, 150)
            assert box.contains(driver(frame, {}))
