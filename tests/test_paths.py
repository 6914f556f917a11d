import subprocess
import sys
from pathlib import Path

import pytest

from aapt_env import paths


def checkpoint(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return folder


@pytest.fixture
def homes(tmp_path, monkeypatch):
    """A home, a working directory, a checkout and an installed package, all empty."""
    for name in ("home", "cwd", "checkout/aapt_env"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "checkout" / "pyproject.toml").touch()
    monkeypatch.setattr(paths, "PACKAGE", tmp_path / "checkout" / "aapt_env")
    monkeypatch.setenv("AAPT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "cwd")
    return tmp_path


def test_the_search_goes_from_the_nearest_will_to_the_farthest(homes):
    checkpoint(homes / "cwd/runs/driving/checkpoint")
    assert paths.find_checkpoint("driving") == Path("runs/driving/checkpoint")
    shipped = checkpoint(homes / "checkout/aapt_env/_checkpoints/driving")
    assert paths.find_checkpoint("driving") == shipped
    tree = checkpoint(homes / "checkout/checkpoints/driving")
    assert paths.find_checkpoint("driving") == tree
    checkpoint(homes / "cwd/checkpoints/driving")
    assert paths.find_checkpoint("driving") == Path("checkpoints/driving")
    home = checkpoint(homes / "home/checkpoints/driving")
    assert paths.find_checkpoint("driving") == home
    given = checkpoint(homes / "elsewhere")
    assert paths.find_checkpoint(given) == given


def test_a_run_stands_for_its_checkpoint_even_with_a_config_of_its_own(homes):
    run = checkpoint(homes / "cwd/somewhere")
    inner = checkpoint(run / "checkpoint")
    assert paths.find_checkpoint(run) == inner


def test_names_become_folders(homes):
    checkpoint(homes / "cwd/runs/gym-ALE-Pong-v5/checkpoint")
    assert paths.find_checkpoint("gym:ALE/Pong-v5") == Path("runs/gym-ALE-Pong-v5/checkpoint")
    assert paths.data_dir("gym:ALE/Pong-v5") == Path("data/gym-ALE-Pong-v5")


def test_not_found_says_where_it_looked_and_what_to_do(homes):
    checkpoint(homes / "cwd/checkpoints/maze")
    (homes / "cwd/checkpoints/driving").mkdir()  # no config.json: not a checkpoint
    with pytest.raises(ValueError) as error:
        paths.find_checkpoint("driving")
    text = str(error.value)
    for part in ("'driving'", str(homes / "home"), "runs/driving/checkpoint", "worlds here: maze"):
        assert part in text
    assert "aapt train driving --recipe cpu" in text and "--checkpoint DIR" in text
    assert "\n" not in text


def test_a_folder_that_is_no_checkpoint_is_named_as_such(homes):
    with pytest.raises(ValueError, match="no config.json in it"):
        paths.find_checkpoint(homes / "cwd")
    with pytest.raises(ValueError, match="checkpoint ''; expected the name of a game"):
        paths.find_checkpoint("")


def test_a_folder_that_is_not_there_is_no_game_to_train(homes):
    """`aapt ship runs/maze` once advised to train a game called runs/maze."""
    with pytest.raises(
        ValueError, match="no checkpoint in runs/maze: expected the folder"
    ) as error:
        paths.find_checkpoint("runs/maze")
    assert "aapt train" not in str(error.value)
    with pytest.raises(ValueError, match="aapt train gym:ALE/Pong-v5"):
        paths.find_checkpoint("gym:ALE/Pong-v5")


def test_one_folder_is_searched_once(homes, monkeypatch):
    monkeypatch.setenv("AAPT_HOME", str(homes / "checkout"))
    monkeypatch.chdir(homes / "checkout")
    package = homes / "checkout/aapt_env/_checkpoints"
    assert paths.checkpoint_dirs() == [homes / "checkout/checkpoints", package]


def test_available_checkpoints_are_those_that_would_be_found(homes):
    for place in (
        "cwd/checkpoints/driving",
        "checkout/checkpoints/driving",
        "checkout/checkpoints/maze",
    ):
        checkpoint(homes / place)
    checkpoint(homes / "cwd/runs/runner/checkpoint")
    checkpoint(homes / "cwd/runs/maze/checkpoint")
    found = paths.available_checkpoints()
    assert set(found) == {"driving", "maze", "runner"}
    assert all(paths.find_checkpoint(name) == folder for name, folder in found.items())


def test_games_are_found_in_a_checkout_without_installing(tmp_path):
    games = paths.checkout() and paths.checkout() / "games" / "aapt_games"
    if not games or not games.is_dir():
        pytest.skip("not a checkout")
    code = (
        "import sys; sys.path = [p for p in sys.path if not p.endswith('games')];"
        f"sys.path.insert(0, {str(games.parent.parent)!r});"
        "import aapt_env.paths as paths; paths.ensure_games(); import aapt_games"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, timeout=60)
