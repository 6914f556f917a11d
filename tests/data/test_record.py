import json
import os
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import gymnasium as gym
import numpy as np
import pyarrow.parquet as pq
import pytest

from aapt_env.data import Episodes, EpisodeWriter, files, lerobot, policies
from aapt_env.data.player import Halted, Player, Recipe, episode_seeds
from aapt_env.data.record import record
from aapt_env.games import make_held, world_spec
from aapt_env.spec import ControlSpec, KeyBinding, WorldSpec

COLOURS = np.array([[0, 0, 0], [250, 20, 20], [20, 250, 20], [20, 20, 250]])


def shown(frames):
    """The control that each frame shows: int [F]."""
    colours = frames.mean((1, 2))
    return np.abs(colours[:, None] - COLOURS).sum(2).argmin(1)


def test_controls_align_with_frames(record_colour):
    """An off-by-one between controls and frames would teach a world to answer late."""
    episodes = Episodes.open(record_colour())
    for i, told in enumerate(episodes.index):
        frames, controls = episodes.frames(i), episodes.controls(i)
        assert len(frames) == told.length and (told.length - 1) % 4 == 0
        assert np.abs(frames[0].astype(int) - 128).max() <= 2
        assert (shown(frames[1:]) == controls[:, 0]).all()
        assert (controls.reshape(-1, 4) == controls[::4]).all()  # held for a latent
        real = told.frames_real - 1
        assert (episodes.rewards(i)[:real] == controls[:real, 0]).all()
        assert not episodes.rewards(i)[real:].any()
        assert told.terminated == (not told.truncated)
        assert told.scene["sky"] in ("clear", "grey")


def test_lengths_follow_the_clock_and_the_game(record_colour):
    lengths = [(e.length, e.terminated) for e in Episodes.open(record_colour(frames=400)).index]
    assert (65, False) in lengths  # 8 s of 8 frames, and the first
    assert any(terminated and length < 65 for length, terminated in lengths)


def test_recording_goes_on_where_it_stopped(record_colour, tree):
    whole = record_colour("whole", frames=300)
    for frames in (60, 150, 300, 300):
        parts = record_colour("parts", frames=frames)
    assert tree(parts) == tree(whole)


def test_number_of_workers_does_not_matter(record_colour, tree):
    assert tree(record_colour("two", workers=2)) == tree(record_colour("one"))


def test_another_seed_gives_other_episodes(record_colour):
    a, b = (Episodes.open(record_colour(f"s{seed}", seed=seed)) for seed in (0, 1))
    assert {e.seed for e in a.index}.isdisjoint(e.seed for e in b.index)
    assert episode_seeds(0, 1) != episode_seeds(1, 0)


KILLED = """
import sys
sys.path.insert(0, sys.argv[2])
from aapt_env.data.record import record
from aapt_env.spec import ControlSpec, KeyBinding, WorldSpec
if __name__ == "__main__":
    record("gym:colour_game:SlowColour-v0", sys.argv[1], 500, workers=int(sys.argv[3]), height=16, width=24,
           max_seconds=8, progress=False)
"""


def children(pid):
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for(condition):
    """Poll for a condition; machines may be slow."""
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_killed_and_run_again_equals_unbroken(tmp_path, tree):
    """Workers of a killed recorder once played on, as orphans, into the next one's folder."""
    out, here = tmp_path / "killed", Path(__file__).parent
    args = [sys.executable, "-c", KILLED, str(out), str(here)]
    root = str(here.parent.parent)
    env = os.environ | {"PYTHONPATH": os.pathsep.join([root, f"{root}/games"])}
    process = subprocess.Popen([*args, "2"], env=env)
    wait_for(lambda: len(list(out.glob("meta/aapt/chunk-*/*.json"))) >= 3)
    workers = children(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for(lambda: not any(map(alive, workers)))
    had = Episodes.open(out)
    assert 3 <= len(had)
    assert all(len(had.frames(i)) == e.length for i, e in enumerate(had.index))
    (out / "data/chunk-000/.file-900.parquet.99999999.tmp").write_bytes(b"half")
    settings = dict(frames=500, height=16, width=24, max_seconds=8, progress=False)
    for folder in ("killed", "unbroken"):
        record("gym:colour_game:SlowColour-v0", tmp_path / folder, **settings)
    assert tree(out) == tree(tmp_path / "unbroken")


INTERRUPTED = """
import sys
sys.path.insert(0, sys.argv[2])
from aapt_env.cli import main
words = ["--workers", "2", "--height", "16", "--width", "24", "--max-seconds", "8"]
if __name__ == "__main__":
    sys.exit(main(["record", f"gym:colour_game:{sys.argv[3]}-v0", "--out", sys.argv[1], "--frames", "1m", *words]))
"""


def interruptible(out, game, **more):
    """A process that records until it is told to stop."""
    here = Path(__file__).parent
    root = str(here.parent.parent)
    return subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(out), str(here), game],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([root, f"{root}/games"])} | more,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.skipif(
    not hasattr(signal, "pthread_sigmask"), reason="needs signals that can be blocked"
)
@pytest.mark.parametrize("ready", ["meta/aapt.json", "meta/aapt/chunk-*/*.json"])
def test_ctrl_c_is_one_sentence_and_what_there_is_can_be_read(tmp_path, ready):
    """Workers that were still importing once printed a traceback each; later ones played on for a minute."""
    out = tmp_path / "data"
    process = interruptible(out, "SlowColour")
    wait_for(lambda: list(out.glob(ready)))
    wait_for(lambda: len(children(process.pid)) >= 2)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to all processes
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert (
        said.startswith("aapt record: stopped by Ctrl-C; finished episodes")
        and said.count("\n") == 1
    )
    had = Episodes.open(out)
    assert bool(len(had)) == (out / "meta/info.json").is_file()
    assert all(len(had.frames(i)) == e.length for i, e in enumerate(had.index))


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks processes up in /proc")
@pytest.mark.parametrize(
    ("number", "left", "send"),
    [(signal.SIGTERM, 0, os.kill), (signal.SIGTERM, 0, os.killpg), (signal.SIGKILL, 1, os.kill)],
)
def test_engines_of_the_game_end_with_the_recording(tmp_path, number, left, send):
    """Doom's processes once stayed after a recording was killed; of kill -9 the one beside the parent still does."""
    out, engines = tmp_path / "data", tmp_path / "engines"
    engines.mkdir()
    process = interruptible(out, "Engine", ENGINES=str(engines))
    wait_for(lambda: list(out.glob("meta/aapt/chunk-*/*.json")))
    wait_for(lambda: len(list(engines.iterdir())) == 3)
    send(process.pid, number)
    said = process.communicate(timeout=60)[1]
    wait_for(lambda: sum(alive(int(engine.name)) for engine in engines.iterdir()) <= left)
    for engine in engines.iterdir():
        if alive(int(engine.name)):
            os.kill(int(engine.name), signal.SIGKILL)
    if number == signal.SIGTERM:
        assert process.returncode == 130
        assert said.startswith("aapt record: stopped by SIGTERM; finished episodes"), said
        assert len(Episodes.open(out))


def test_an_episode_is_given_up_when_the_recording_stops(tmp_path):
    game = "gym:colour_game:Colour-v0"
    recipe = Recipe(game=game, height=16, width=24, k=4, policy="random", seed=0, max_seconds=8.0)
    env = make_held(game, 16, 24)
    writer = EpisodeWriter(tmp_path, world_spec(env, game, 4))
    with pytest.raises(Halted):
        Player(recipe, env, writer, halted=lambda: True).play(0)
    assert len(Episodes.open(tmp_path)) == 0


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        (dict(frames=0), "frames 0: expected a whole number >= 1"),
        (dict(workers=0), "workers 0: expected a whole number >= 1"),
        (dict(seed=-1), "seed -1: expected a whole number >= 0"),
        (dict(height=20), "frames of 20x24 pixels: expected multiples of 8"),
        (dict(width=0), "frames of 16x0 pixels: expected multiples of 8"),
        (dict(max_seconds=0), "max_seconds 0: expected a time above 0"),
        (dict(max_seconds=float("inf")), "max_seconds inf: expected a time above 0"),
        (dict(max_seconds=float("nan")), "max_seconds nan: expected a time above 0"),
    ],
    ids=str,
)
def test_numbers_that_make_no_sense_write_nothing(record_colour, tmp_path, numbers, message):
    """A negative seed once left a dataset behind, and a sentence of numpy's."""
    with pytest.raises(ValueError, match=message):
        record_colour(**numbers)
    assert not (tmp_path / "data").exists()


def test_an_episode_lost_is_played_again(record_colour, tree):
    out = record_colour()
    before = tree(out)
    files.place(out, files.VIDEO, 1).unlink()
    with pytest.warns(UserWarning, match="incomplete"):
        record_colour()
    assert tree(out) == before


def test_policies_of_the_users(record_colour):
    red = Episodes.open(record_colour("red", policy="colour_game:always_red"))
    assert (red.controls(0) == 1).all() and red.index[0].policy == "colour_game:always_red"
    steps = Episodes.open(record_colour("steps", policy="colour_game:Stepper")).controls(0)[::4, 0]
    assert (np.diff(steps) % 4 == 1).all()


def test_policies_take_turns(record_colour):
    index = Episodes.open(record_colour(policy="random+colour_game:Stepper")).index
    assert [e.policy for e in index[:3]] == ["random", "colour_game:Stepper", "random"]


def test_random_controls_are_held_for_some_latents(record_colour):
    episodes = Episodes.open(record_colour(frames=600))
    controls = np.concatenate([episodes.controls(i)[::4, 0] for i in range(len(episodes))])
    assert set(controls) == {0, 1, 2, 3}
    assert (np.diff(controls) == 0).mean() > 0.5


def test_echoes_are_what_the_hands_did_before():
    """Every control is the policy's own answer, or one it gave earlier, in a stretch; and the same for a seed."""

    class Counter:
        def __init__(self, seed):
            self.n = 0

        def reset(self, game):
            self.game = game

        def __call__(self, obs, info):
            self.n += 1
            return self.n

    def play(seed):
        policy = policies.Echo(Counter, seed)
        policy.reset("game")
        assert policy._own.game == "game"
        return [policy(None, {}) for _ in range(600)]

    made = play(0)
    echoes = [(i, a) for i, a in enumerate(made, start=1) if a != i]
    assert 180 < len(echoes) < 420 and all(a < i for i, a in echoes)
    runs = [b == a + 1 for a, b in zip(made, made[1:], strict=False)]
    assert sum(runs) > 450, "played in a stretch"
    assert made == play(0) != play(1)


def test_a_policy_in_the_current_folder(record_colour, tmp_path, monkeypatch):
    (tmp_path / "my_policy_here.py").write_text(
        "def green(seed):\n    return lambda obs, info: 2\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert (Episodes.open(record_colour(policy="my_policy_here:green")).controls(0) == 2).all()


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("scripted", "no scripted policy of its own; use 'random'"),
        ("echo", "no scripted policy of its own; use 'random'"),
        ("elsewhere", "no scripted policy of its own; use 'random'"),
        ("expert", "expected 'scripted', 'echo', 'elsewhere', 'random' or 'module:function'"),
        ("nowhere_to_be:found", "no module 'nowhere_to_be'"),
        ("colour_game:nobody", "has no 'nobody'"),
        (".colour_game:always_red", "expected 'module:name'"),
        ("os:getcwd", "cannot be called with a seed.*; expected a function that takes a seed"),
        ("os:sep", "not a callable object; expected a function that takes a seed"),
    ],
)
def test_unknown_policies(record_colour, policy, message):
    with pytest.raises(ValueError, match=message):
        record_colour(policy=policy)


@pytest.mark.parametrize(
    "change", [dict(seed=1), dict(policy="colour_game:Stepper"), dict(height=32)]
)
def test_another_recording_is_refused(record_colour, change):
    record_colour(frames=20)
    (name,) = change
    with pytest.raises(ValueError, match=f"another dataset .*{name}.*give another folder"):
        record_colour(frames=20, **change)


class Dream(gym.Env):
    """As a world looks to a recorder: latent rhythm, frames in info, a spec of its own."""

    observation_space = gym.spaces.Box(0, 255, (16, 24, 3), np.uint8)

    def __init__(self, game, device="auto"):
        control = ControlSpec(space="Discrete", size=4, keymap=(KeyBinding(keys=("a",), index=1),))
        self.spec_world = WorldSpec(
            game=game, height=16, width=24, k=2, frame_fps=8, control=control, channels=8
        )
        self.action_space = control.action_space()

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        frames = np.zeros((1, 16, 24, 3), np.uint8)
        return frames[-1], {"frames": frames, "scene": {}, "start": {"index": 5}}

    def step(self, action):
        frames = np.broadcast_to(COLOURS[action], (2, 16, 24, 3)).astype(np.uint8)
        return frames[-1], 3.0, False, False, {"frames": frames}


def test_a_dream_is_recorded_like_a_game(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "aapt_env.env", types.SimpleNamespace(AAPTEnv=Dream))
    with pytest.raises(ValueError, match="makes 2 frames per latent, asked for 4; use k=2"):
        record("dream:colour", tmp_path, 20, k=4, progress=False)
    record("dream:colour", tmp_path, 20, max_seconds=2, progress=False)  # as many as it makes
    episodes = Episodes.open(tmp_path)
    assert episodes.spec == Dream("dream:colour").spec_world
    assert episodes.index[0].length == 17 and episodes.index[0].extras["start"] == 5
    assert (shown(episodes.frames(0)[1:]) == episodes.controls(0)[:, 0]).all()
    assert (episodes.rewards(0) == 1.5).all()


def test_a_dream_is_played_by_its_own_player_where_it_carries_one(tmp_path, monkeypatch):
    class Carrying(Dream):
        def policy(self):
            return lambda obs, info: 2

    monkeypatch.setitem(sys.modules, "aapt_env.env", types.SimpleNamespace(AAPTEnv=Carrying))
    record("dream:colour", tmp_path, episodes=1, k=2, max_seconds=2, progress=False)
    episodes = Episodes.open(tmp_path)
    assert episodes.index[0].policy == "scripted" and (episodes.controls(0) == 2).all()


def test_a_checkpoint_that_changes_meanwhile_stops_the_recording(tmp_path):
    """A training writes its checkpoint anew while workers, which load it when they begin, dream."""
    env = Dream("dream:colour")
    env.checkpoint_hash = "new"
    recipe = Recipe(
        game="dream:colour", height=16, width=24, k=2, policy="random", seed=0, max_seconds=8.0,
        checkpoint="old",
    )  # fmt: skip
    with pytest.raises(ValueError, match="is now new, the recording was begun with old"):
        Player(recipe, env, EpisodeWriter(tmp_path, env.spec_world)).play(0)
    assert len(Episodes.open(tmp_path)) == 0


def test_a_number_of_episodes(record_colour, tree):
    assert len(Episodes.open(record_colour("some", frames=None, episodes=3))) == 3
    grown = record_colour("some", frames=None, episodes=5)
    assert tree(grown) == tree(record_colour("five", frames=None, episodes=5, workers=2))
    with pytest.raises(ValueError, match="frames=10 and episodes=5: give one of them"):
        record_colour("some", frames=10, episodes=5)


def test_a_dataset_without_digests_goes_on_without(record_colour):
    """LeRobot reads one table after the other, and all must have the columns of the first."""
    out = record_colour(frames=60)
    head = json.loads((out / files.DATASET).read_bytes())
    for path in sorted((out / "data").rglob("*.parquet")):
        path.write_bytes(lerobot.parquet(pq.read_table(path).drop_columns([files.DIGEST])))
    (out / files.DATASET).write_text(json.dumps({n: head[n] for n in ("format", "spec", "recipe")}))
    episodes = Episodes.open(record_colour(frames=200))
    assert len(episodes) > 1 and episodes.digests(len(episodes) - 1) is None
    assert files.DIGEST not in json.loads((out / lerobot.INFO).read_bytes())["features"]
    for path in (out / "data").rglob("*.parquet"):
        assert files.DIGEST not in pq.read_schema(path).names


def test_a_game_has_no_latents(record_colour, tmp_path):
    with pytest.raises(ValueError, match="has no latents, it is a game; leave --latents out"):
        record_colour(latents=True)
    assert not (tmp_path / "data").exists()


def test_time_limit_stops_between_episodes(tmp_path):
    out = tmp_path / "data"
    settings = dict(height=16, width=24, max_seconds=8, progress=False)
    summary = record("gym:colour_game:SlowColour-v0", out, 10**6, time_limit=0.5, **settings)
    assert 0 < summary.frames < 10**5 and summary.episodes == len(Episodes.open(out))


def test_summary(record_colour, tmp_path, capsys):
    settings = dict(height=16, width=24, max_seconds=8)
    summary = record("gym:colour_game:Colour-v0", tmp_path / "data", 100, **settings)
    assert summary.frames >= 100 and summary.new_frames == summary.frames
    assert str(summary) in capsys.readouterr().out
    assert record("gym:colour_game:Colour-v0", tmp_path / "data", 50, **settings).new_frames == 0


def test_a_policy_that_fails_leaves_a_readable_dataset(record_colour, tmp_path):
    (tmp_path / "failing.py").write_text(
        "count = 0\n"
        "def make(seed):\n"
        "    global count\n"
        "    count += 1\n"
        "    return (lambda obs, info: 1) if count < 3 else (lambda obs, info: 7)\n"
    )
    sys.path.insert(0, str(tmp_path))
    try:
        with pytest.raises(ValueError, match="action 7 is outside"):
            record_colour(policy="failing:make")
    finally:
        sys.path.remove(str(tmp_path))
    assert len(Episodes.open(tmp_path / "data")) == 2
    assert (tmp_path / "data/meta/info.json").is_file()


WRONG = """
class Upset:
    def __init__(self, seed): ...
    def reset(self, game): raise RuntimeError("no seat\\nleft")
def number(seed): return 3
def silent(seed): return lambda obs, info: None
def lost(seed): return lambda obs, info: info["road"]
def text(seed): return lambda obs, info: "left"
"""


@pytest.mark.parametrize(
    ("policy", "message", "workers"),
    [
        ("os:system", "policy 'os:system' failed: TypeError: .*", 1),
        ("wrong_policies:number", ".* 'int' object is not callable", 1),
        ("wrong_policies:silent", ".* action None is outside Discrete.*", 1),
        ("wrong_policies:silent", ".* action None is outside Discrete.*", 2),
        ("wrong_policies:lost", ".*failed: KeyError: 'road'", 1),
        ("wrong_policies:text", ".*action 'left' is outside.*", 1),
        ("wrong_policies:Upset", ".*RuntimeError: no seat left", 1),
    ],
)
def test_a_policy_that_fails_at_once_is_one_sentence_and_leaves_nothing(
    record_colour, tmp_path, monkeypatch, policy, message, workers
):
    (tmp_path / "wrong_policies.py").write_text(WRONG)
    monkeypatch.syspath_prepend(str(tmp_path))
    wanted = (
        r"; expected a function that takes a seed and returns a policy, .* action of Discrete\(4\)"
    )
    with pytest.raises(ValueError, match=message + wanted) as caught:
        record_colour(policy=policy, workers=workers)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "data").exists()
    record_colour()


def test_a_failure_takes_back_only_what_it_began(record_colour, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/.keep").touch()
    with pytest.raises(ValueError, match="os:system"):
        record_colour(policy="os:system")
    assert [path.name for path in (tmp_path / "data").iterdir()] == [".keep"]
    record_colour(frames=20)
    with pytest.raises(ValueError, match="another dataset"):
        record_colour(policy="os:system")
    assert len(Episodes.open(tmp_path / "data")) > 0


def test_a_folder_that_holds_something_else_is_refused(record_colour, tmp_path):
    mine = tmp_path / "data" / "thesis.txt"
    mine.parent.mkdir()
    mine.write_text("all of it")
    with pytest.raises(ValueError, match=r"data holds no dataset.*it has thesis.txt\).*another"):
        record_colour()
    assert [path.name for path in mine.parent.iterdir()] == ["thesis.txt"]
    mine.unlink()
    (mine.parent / "meta").mkdir()
    (mine.parent / "meta/.aapt.json.99999999.tmp").write_text("killed while it began")
    assert len(Episodes.open(record_colour())) > 0


def threads(seed):
    """A policy that presses a key where its process works in one thread."""
    import cv2
    import torch

    return lambda obs, info: int(cv2.getNumThreads() == torch.get_num_threads() == 1)


def test_workers_take_one_thread_each_and_this_process_keeps_its_own(record_colour, monkeypatch):
    import cv2

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    before = cv2.getNumThreads()
    out = record_colour(policy="test_record:threads", workers=2, frames=20)
    assert (Episodes.open(out).controls(0) == 1).all() and cv2.getNumThreads() == before
