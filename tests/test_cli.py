import signal
import subprocess
import sys
import types
from pathlib import Path

import gymnasium as gym
import pytest

from aapt_env import cli, flags, paths


@pytest.fixture
def calls(monkeypatch):
    """Stand-ins for the modules that do the work; what they are called with."""
    seen = []
    work = {
        "aapt_env.data.record": {"record": lambda **flags: seen.append(("record", flags))},
        "aapt_env.train.run": {"train": lambda **flags: seen.append(("train", flags))},
        "aapt_env.evaluate.meter": {
            "watcher": "watcher",
            "ship": lambda run, out: seen.append(("meter", run, out)) or out,
        },
        "aapt_env.checkpoint": {"ship": lambda run, out: seen.append(("ship", run, out)) or out},
        "aapt_env.games": {
            "describe": lambda: {"driving": "drive", "maze": "get lost"},
            "known_games": lambda: {
                name: types.SimpleNamespace(source=f"of-{name}") for name in ("driving", "maze")
            },
            "passed_over": lambda: [("maze", types.SimpleNamespace(source="a-copy"))],
        },
        "aapt_env.play": {"main": lambda words: seen.append(("play", words))},
        "aapt_env.evaluate": {"main": lambda words: seen.append(("eval", words)) or 3},
        "aapt_env.bench": {"main": lambda words: seen.append(("bench", words))},
    }
    monkeypatch.setattr(flags, "load", lambda name: types.SimpleNamespace(**work[name]))
    return seen


def raising(error):
    def run(*_args, **_flags):
        raise error

    return types.SimpleNamespace(record=run, train=run, main=run, watcher=None)


@pytest.mark.parametrize(
    ("text", "count"),
    [("1", 1), ("5000", 5000), ("200k", 200_000), ("1.5M", 1_500_000), ("10_000", 10_000)],
)
def test_counts(text, count):
    assert flags.parse_count(text) == count


@pytest.mark.parametrize("text", ["", "0", "-5", "k", "1.5", "2q", "1e6", "200 k", "1.2345k"])
def test_bad_counts_say_what_is_expected(text):
    with pytest.raises(ValueError, match="5000, 200k or 1.5M"):
        flags.parse_count(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("9m", 540), ("2h", 7200), ("1h30m", 5400), ("1.5h", 5400), ("1h2m3s", 3723)],
)
def test_durations(text, seconds):
    assert flags.parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "90", "0s", "-9m", "m", "30m1h", "2 h", "1d"])
def test_bad_durations_say_what_is_expected(text):
    with pytest.raises(ValueError, match="90s, 9m, 2h or 1h30m"):
        flags.parse_seconds(text)


def test_record_passes_every_flag_on(calls):
    line = "record driving --frames 200k --workers 3 --out d --policy expert --seed 7"
    line += " --size 128 --k 2 --time-limit 9m --max-seconds 30 --scene time=night"
    assert cli.main(line.split()) == 0
    expected = dict(
        game="driving", frames=200_000, workers=3, out=Path("d"), policy="expert", seed=7
    )
    expected |= dict(height=128, width=128, k=2, max_seconds=30.0, time_limit=540.0, keys=None)
    expected |= dict(episodes=None, latents=False, scene={"time": "night"})
    assert calls == [("record", expected)]


def test_record_defaults(calls):
    assert cli.main(["record", "gym:ALE/Pong-v5", "--height", "96", "--width", "128"]) == 0
    flags = calls[0][1]
    assert flags["out"] == Path("data/gym-ALE-Pong-v5")
    assert (flags["height"], flags["width"], flags["time_limit"]) == (96, 128, None)


@pytest.mark.parametrize("sizes", ["--size 64 --width 96", "--height 96"])
def test_record_refuses_half_a_size(calls, capsys, sizes):
    assert cli.main(["record", "driving", *sizes.split()]) == 2
    assert "--size" in capsys.readouterr().err
    assert not calls


def test_a_height_of_0_is_no_default(calls):
    """It once recorded frames of 64 pixels instead."""
    assert cli.main("record driving --height 0 --width 64".split()) == 0
    assert (calls[0][1]["height"], calls[0][1]["width"]) == (0, 64)


def test_meter_passes_every_flag_on(monkeypatch):
    asked = []
    monkeypatch.setattr("aapt_env.evaluate.learn.learn", lambda **flags: asked.append(flags))
    line = "meter driving --budget 90s --time-limit 5m --data d --out o --device cpu --seed 3"
    assert cli.main(line.split()) == 0
    expected = dict(game="driving", budget=90.0, time_limit=300.0, data=Path("d"), out=Path("o"))
    assert asked == [expected | dict(device="cpu", seed=3)]


def test_train_passes_every_flag_on(calls):
    line = "train driving --recipe h100 --stage long --budget 25m --time-limit 9m --resume --compile --plain"
    line += " --data d --out o"
    assert cli.main(line.split()) == 0
    expected = dict(
        game="driving", recipe="h100", stage="long", budget=1500.0, time_limit=540.0, resume=True
    )
    expected |= dict(
        data=Path("d"),
        out=Path("o"),
        device="auto",
        seed=0,
        compile=True,
        plain=True,
        begin_with=None,
        dry_run=False,
        watch="watcher",
    )
    assert calls == [("train", expected)]


def test_train_defaults_to_the_games_own_folders(calls):
    assert cli.main(["train", "gym:CartPole-v1"]) == 0
    flags = calls[0][1]
    assert (flags["data"], flags["out"]) == (
        Path("data/gym-CartPole-v1"),
        Path("runs/gym-CartPole-v1"),
    )
    assert (flags["budget"], flags["time_limit"], flags["stage"], flags["resume"]) == (
        None,
        None,
        None,
        False,
    )


def test_play_eval_and_bench_hand_their_flags_on(calls):
    assert cli.main(["play", "driving", "--fullscreen"]) == 0
    assert cli.main(["eval", "--game", "driving"]) == 3
    assert cli.main(["bench", "--help"]) == 0
    assert calls == [
        ("play", ["--game", "driving", "--fullscreen"]),
        ("eval", ["--game", "driving"]),
        ("bench", ["--help"]),
    ]


def test_ship_takes_the_checkpoint_of_a_run(calls, tmp_path, capsys):
    checkpoint = tmp_path / "run" / "checkpoint"
    checkpoint.mkdir(parents=True)
    (checkpoint / "config.json").write_text("{}")
    assert cli.main(["ship", str(tmp_path / "run"), "--out", "there"]) == 0
    assert calls == [("ship", checkpoint, Path("there"))]
    assert "there" in capsys.readouterr().out


def test_ship_takes_a_world_and_the_meter_beside_it(calls, tmp_path):
    world = tmp_path / "world"
    world.mkdir()
    for name in ("config.json", "meter.json"):
        (world / name).write_text("{}")
    assert cli.main(["ship", str(world), "--out", "there"]) == 0
    assert calls == [("ship", world, Path("there")), ("meter", world, Path("there"))]
    (world / "config.json").unlink()
    calls.clear()
    assert cli.main(["ship", str(world), "--out", "there"]) == 0
    assert calls == [("meter", world, Path("there"))]


def test_import_passes_every_flag_on(monkeypatch, capsys):
    from aapt_env.data import Episodes, importing
    from aapt_env.data.episodes import Episode
    from aapt_env.spec import ControlSpec, WorldSpec

    spec = WorldSpec(game="a", height=8, width=8, control=ControlSpec(space="Discrete", size=1))
    parts = [Episode(index=i, length=801, frames_real=801, seed=i) for i in range(2)]
    asked, made = [], Episodes(Path("d"), spec, None, parts)
    monkeypatch.setattr(importing, "import_", lambda **flags: asked.append(flags) or made)
    line = "import a.mp4 --actions a.csv --name a --out d --fps 30 --size 128 --k 2 --max-seconds 9"
    assert cli.main([*line.split(), "--keys", "k.toml", "--camera", "c", "--keep-good"]) == 0
    expected = dict(source=Path("a.mp4"), actions=Path("a.csv"), name="a", out=Path("d"), fps=30)
    expected |= dict(height=128, width=128, k=2, max_seconds=9.0, keys="k.toml", camera="c")
    assert asked == [expected | dict(keep_good=True)]
    assert "\ntrain it with 'aapt train a --data d'" in capsys.readouterr().out


def test_replay_is_1_where_an_episode_differs(monkeypatch, capsys):
    from aapt_env.data import replay

    def told(*asked):
        calls.append(asked)
        yield replay.Verdict(index=0, frames=25, difference=None)
        yield replay.Verdict(index=4, frames=25, difference=differences.pop())

    calls, differences = [], [replay.Difference(frame=9, what="by a hair"), None]
    monkeypatch.setattr(replay, "replay", told)
    assert cli.main("replay d --checkpoint c --episodes 0 4 --game driving".split()) == 0
    assert calls == [(Path("d"), "c", "driving", (0, 4))]
    assert capsys.readouterr().out.endswith("d: 2 of 2 episodes equal\n")
    assert cli.main(["replay", "d"]) == 1
    assert "episode 4: frame 9 is the first that differs: by a hair" in capsys.readouterr().out


def test_export_passes_every_flag_on(monkeypatch, capsys):
    from aapt_env.data import exporting

    asked = []
    monkeypatch.setattr(exporting, "export", lambda *all: asked.append(all) or Path("o/n-v1"))
    line = "export d --to minari --name n-v1 --out o --rhythm step"
    assert cli.main(line.split()) == 0
    assert asked == [(Path("d"), "n-v1", Path("o"), "step")]
    assert "minari.load_dataset('n-v1')" in capsys.readouterr().out


def test_import_of_nothing_is_one_sentence(capsys):
    assert cli.main(["import", "nowhere.mp4"]) == 2
    assert capsys.readouterr().err.startswith("aapt import: nowhere.mp4 is not there; expected")


def test_games_lists_games_and_worlds(calls, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(paths, "available_checkpoints", lambda: {"maze": tmp_path})
    assert cli.main(["games"]) == 0
    out = capsys.readouterr().out
    assert "drive [of-driving; no world yet]" in out and "get lost [of-maze; world here]" in out
    assert "gym:ID" in out and f"{tmp_path}" in out
    assert "maze         left out: a-copy has a game of this name too" in out


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ValueError("no dataset\n  in data/driving"), "aapt train: no dataset in data/driving\n"),
        (
            FileNotFoundError(2, "No such file or directory", "a.mp4"),
            "aapt train: a.mp4: No such file or directory\n",
        ),
        (OSError("disk gone"), "aapt train: disk gone\n"),
        (gym.error.NameNotFound("no Nope-v0"), "aapt train: no Nope-v0\n"),
    ],
)
def test_an_error_is_one_sentence(monkeypatch, capsys, error, sentence):
    monkeypatch.delenv("AAPT_DEBUG", raising=False)
    monkeypatch.setattr(flags, "load", lambda name: raising(error))
    assert cli.main(["train", "driving"]) == 2
    assert capsys.readouterr().err == sentence
    monkeypatch.setenv("AAPT_DEBUG", "1")
    with pytest.raises(type(error)):
        cli.main(["train", "driving"])


def test_ctrl_c_is_130(monkeypatch, capsys):
    monkeypatch.setattr(flags, "load", lambda name: raising(KeyboardInterrupt()))
    assert cli.main(["play", "driving"]) == 130
    assert capsys.readouterr().err == "aapt play: stopped by Ctrl-C\n"
    assert cli.main(["record", "driving"]) == 130
    assert "finished episodes are kept, and the same command goes on" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(signal, "raise_signal"), reason="needs signals")
def test_sigterm_is_heard_as_ctrl_c_is(monkeypatch, capsys):
    """What a verb began, such as a game's engine, is ended; afterwards the signal does what it did."""
    ended, before = [], signal.getsignal(signal.SIGTERM)

    def told(name):
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            ended.append(name)

    monkeypatch.setattr(flags, "load", told)
    assert cli.main(["eval", "driving"]) == 130
    assert "aapt eval: stopped by SIGTERM; finished parts are kept" in capsys.readouterr().err
    assert ended and signal.getsignal(signal.SIGTERM) is before


def test_a_bug_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(flags, "load", lambda name: raising(RuntimeError("a bug")))
    with pytest.raises(RuntimeError):
        cli.main(["train", "driving"])


@pytest.mark.parametrize(
    "line",
    [
        "record",
        "record driving --frames many",
        "train driving --budget 90",
        "fly driving",
        "train d --device x",
    ],
)
def test_a_wrong_command_line_exits_2(calls, capsys, line):
    with pytest.raises(SystemExit) as stop:
        cli.main(line.split())
    assert stop.value.code == 2
    assert not calls
    assert capsys.readouterr().err


VERBS = ["record", "import", "replay", "export", "train", "ship", "push", "pull", "games"]


@pytest.mark.parametrize("line", ["train driving --budget abc", "record driving --time-limit 5"])
def test_a_bad_value_is_told_by_what_was_expected_and_nothing_else(calls, capsys, line):
    with pytest.raises(SystemExit) as stop:
        cli.main(line.split())
    said = capsys.readouterr().err
    assert stop.value.code == 2 and line.split()[2] in said
    assert "such as 90s, 9m," in said and f"got {line.split()[3]!r}" in said
    assert "expected a time with its unit" in said and "lambda" not in said and "None" not in said


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_every_verb(verb, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([verb, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "None" not in text and "STR" not in text


def test_help_and_version_as_a_program():
    def run(*words):
        command = [sys.executable, "-m", "aapt_env", *words]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=60
        ).stdout

    for verb in ("record", "train", "play", "eval", "bench", "ship", "games"):
        assert verb in run()
    assert run("--version").startswith("aapt ")
