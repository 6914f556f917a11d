"""What happens to a recording when the game fails: a sentence that names the episode, and what was finished is kept."""

import traceback

import pytest

from aapt_env import cli
from aapt_env.data import Episodes
from aapt_env.data.record import record

SETTINGS = dict(height=16, width=24, max_seconds=8, progress=False)
KEPT = "; finished episodes are kept, and the same command goes on once that is repaired"


@pytest.mark.parametrize(
    ("game", "said"),
    [
        ("Breaks", "failed in step 5 after reset with seed .*: RuntimeError: engine exploded"),
        ("Leaves", "failed in step 5 after reset with seed .*: SystemExit: 0"),
        ("Unpaid", "failed in step 5 after reset with seed .*: the reward is None; expected a num"),
        ("NoNumber", "the reward of frame 5 is nan; expected a finite number"),
        ("Endless", "the reward of frame 5 is inf; expected a finite number"),
    ],
)
def test_the_episode_in_which_a_game_fails_is_named_and_those_before_it_are_kept(
    tmp_path, game, said
):
    with pytest.raises(ValueError, match=f"^episode 2: .*{said}.*{KEPT}$") as caught:
        record(f"gym:frail_game:{game}-v0", tmp_path / "data", episodes=5, **SETTINGS)
    assert "\n" not in str(caught.value)
    had = Episodes.open(tmp_path / "data")
    assert [episode.index for episode in had.index] == [0, 1]
    assert (tmp_path / "data/meta/info.json").is_file(), "other tools can read what there is"


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("game", ["Breaks", "Leaves"])
def test_aapt_record_says_it_in_one_line_and_exits_2(tmp_path, capsys, monkeypatch, game, workers):
    """An environment that calls sys.exit(0) once ended the recording as if all were done."""
    monkeypatch.delenv("AAPT_DEBUG", raising=False)
    words = f"--episodes 9 --height 16 --width 24 --max-seconds 8 --workers {workers}".split()
    out = str(tmp_path / "data")
    assert cli.main(["record", f"gym:frail_game:{game}-v0", "--out", out, *words]) == 2
    err = capsys.readouterr().err.splitlines()[-1]
    assert err.startswith("aapt record: episode 2: gym:frail_game:")
    assert "Traceback" not in err and err.endswith(KEPT)


@pytest.mark.parametrize(
    ("game", "said"),
    [
        ("Unmade", "gym:frail_game:Unmade-v0 failed when it was made: RuntimeError: no licence"),
        ("Unset", "gym:frail_game:Unset-v0 failed at reset with seed 1: KeyError: 'map'"),
        ("Hasty", "gym:frail_game:Hasty-v0 has 'fast' for render_fps .*; expected frames per sec"),
        ("Unbound", r"keymap is \{'left': 99\}; expected a list of \(keys, index, value\)"),
        ("Unlike", r"scenes=\['sky'\]; expected \{attribute: its values\}"),
        ("Spaceless", "Spaceless-v0 failed when it was .*: RuntimeError: no controls yet"),
    ],
)
def test_a_game_that_fails_before_the_first_episode_leaves_nothing(tmp_path, game, said):
    with pytest.raises(ValueError, match=said) as caught:
        record(f"gym:frail_game:{game}-v0", tmp_path / "data", episodes=2, **SETTINGS)
    assert "\n" not in str(caught.value) and not (tmp_path / "data").exists()


def test_a_game_that_can_be_made_once_only_is_not_called_a_worker_that_died(
    tmp_path, monkeypatch, capfd
):
    monkeypatch.setenv("ENGINES", str(tmp_path))
    game, out = "gym:frail_game:Once-v0", tmp_path / "data"
    with pytest.raises(ValueError, match="Once-v0 failed when it was made: .*the port is taken"):
        record(game, out, episodes=4, workers=2, **SETTINGS)
    assert "Traceback" not in capfd.readouterr().err and not out.exists()


def test_rewards_in_arrays_of_one_number_are_numbers(tmp_path):
    for game in ("Wrapped", "Colour"):
        name = f"gym:{'frail' if game == 'Wrapped' else 'colour'}_game:{game}-v0"
        record(name, tmp_path / game, episodes=2, **SETTINGS)
    wrapped, plain = (Episodes.open(tmp_path / game) for game in ("Wrapped", "Colour"))
    assert (wrapped.rewards(1) == plain.rewards(1)).all() and plain.rewards(1).any()


def test_what_a_game_says_for_itself_is_its_own_affair(tmp_path):
    record("gym:frail_game:Chatty-v0", tmp_path / "data", episodes=1, **SETTINGS)
    (told,) = Episodes.open(tmp_path / "data").index
    assert told.scene == {} and "start" not in told.extras


def test_a_policy_that_leaves_is_a_policy_that_fails(record_colour, tmp_path, monkeypatch):
    (tmp_path / "leaving_policy.py").write_text("import sys\ndef make(seed): sys.exit(0)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match="episode 0: policy .* failed: SystemExit: 0; expected a"):
        record_colour(policy="leaving_policy:make")


def test_debug_shows_where_in_the_games_code(tmp_path, monkeypatch):
    monkeypatch.setenv("AAPT_DEBUG", "1")
    words = ["--episodes", "3", "--size", "16", "--out", str(tmp_path / "data"), "--workers", "1"]
    with pytest.raises(ValueError) as caught:
        cli.main(["record", "gym:frail_game:Breaks-v0", *words])
    shown = "".join(traceback.format_exception(caught.value))
    assert 'raise RuntimeError("engine' in shown and "frail_game.py" in shown


def test_sizes_that_no_machine_can_hold_are_refused_at_once(record_colour, tmp_path):
    """The system once killed the process."""
    with pytest.raises(ValueError, match="frames of 72000x24 pixels: .*at most 4096"):
        record_colour(height=72_000)
    assert not (tmp_path / "data").exists()
