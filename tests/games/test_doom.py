"""Doom through ViZDoom: a game like the others. Skipped where ViZDoom is not installed."""

import sys

import gymnasium
import numpy as np
import pytest

from aapt_env import games
from aapt_games.doom.env import TURN


def test_doom_says_what_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "vizdoom", None)
    with pytest.raises(ValueError, match=r"needs vizdoom, .*pip install 'aapt-env\[doom\]'"):
        games.make_game("doom")
    assert "Freedoom" in games.describe()["doom"] and "Freedoom" in games.describe()["freedoom"]


@pytest.fixture(scope="module", params=["doom", "freedoom"])
def doom(request):
    pytest.importorskip("vizdoom")
    env = games.make_game(request.param, 64, 64)
    yield env
    env.close()


def run(env, seed, rows):
    """Frames, rewards and infos of a run."""
    obs, info = env.reset(seed=seed)
    frames, rewards, infos = [obs], [], [info]
    for row in rows:
        obs, reward, terminated, _, info = env.step(row)
        frames.append(obs)
        rewards.append(reward)
        infos.append(info)
        if terminated:
            break
    return np.array(frames), rewards, infos


@pytest.mark.slow
def test_same_seed_and_keys_same_frames(doom):
    rows = np.random.default_rng(0).integers(0, 2, (40, len(doom.control_names))).astype(np.int8)
    first, rewards, infos = run(doom, 3, rows)
    run(doom, 4, rows[:5])
    again, same, _ = run(doom, 3, rows)
    assert (first == again).all() and rewards == same
    assert first.shape[1:] == (64, 64, 3) and first.std() > 10
    (kind,) = doom.scenes
    assert infos[0]["scene"][kind] in doom.scenes[kind]


@pytest.mark.slow
def test_keys_do_what_they_are_called(doom):
    names = doom.control_names
    rest = np.zeros(len(names), np.int8)
    key = dict(zip(names, np.eye(len(names), dtype=np.int8), strict=True))
    _, _, still = run(doom, 5, [rest] * 12)
    for name, sign in (("turn_left", 1), ("turn_right", -1)):
        _, _, turned = run(doom, 5, [key[name]] * 12)
        change = (turned[-1]["angle"] - still[-1]["angle"] + 180) % 360 - 180
        assert sign * change == pytest.approx(TURN * 12, abs=0.1)
    scene = {kind: known[0] for kind, known in doom.scenes.items()}
    _, armed = doom.reset(seed=5, options={"scene": scene})
    for _ in range(40):
        shot = doom.step(key["fire"])[-1]
    assert shot["ammo"] < armed["ammo"]


@pytest.mark.slow
def test_the_scene_is_the_room_or_the_map(doom):
    ((kind, known),) = doom.scenes.items()
    first = {}
    for name in known:
        first[name], info = doom.reset(seed=0, options={"scene": {kind: name}})
        assert info["scene"] == {kind: name}
    assert all((first[known[0]] != first[name]).any() for name in known[1:])
    for options in ({"scene": {kind: "map99"}}, {"level": 3}, {"scene": known[0]}):
        with pytest.raises(ValueError, match=known[0]):
            doom.reset(options=options)


@pytest.mark.slow
def test_rewards_are_kills_health_and_ammo(doom):
    """The explorer finds something to fight, and what it is paid is what it has."""
    from aapt_games.doom.explorer import Explorer

    _, info = doom.reset(seed=1)
    player, paid, first, cells = Explorer(1), 0.0, info, set()
    player.reset(doom.unwrapped)
    for _ in range(60):
        action = player(None, info)
        for _ in range(4):
            _, reward, over, _, info = doom.step(action)
            paid += reward
            if over:
                break
        cells.add((info["x"] // 64, info["y"] // 64))
        if over:
            break
    owed = (
        (info["kills"] - first["kills"])
        + 0.01 * (info["health"] - first["health"])
        + 0.005 * (info["ammo"] - first["ammo"])
    )
    assert paid == pytest.approx(owed, abs=1e-6)
    assert len(cells) > 1 or info["kills"] > first["kills"]


def test_the_eye_stays_level_while_its_owner_walks():
    """Doom's bob moves it by a fifth of its height, at a phase that one frame does not tell."""
    vizdoom = pytest.importorskip("vizdoom")
    env = games.make_game("doom", 64, 64)
    _, info = env.reset(seed=1, options={"scene": {"room": "garden"}})
    ahead = np.eye(7, dtype=np.int8)[env.control_names.index("forward")]
    fast, eyes = 0.0, set()
    for _ in range(20):
        _, _, over, _, info = env.step(ahead)
        fast = max(fast, np.hypot(info["vx"], info["vy"]))
        eyes.add(env.unwrapped._doom.get_game_variable(vizdoom.GameVariable.CAMERA_POSITION_Z))
    env.close()
    assert not over and fast > 2
    assert eyes == {41.0}


def test_a_game_that_was_closed_says_so_and_a_fist_has_no_bullets():
    pytest.importorskip("vizdoom")
    env = games.make_game("doom", 64, 64)
    _, info = env.reset(seed=1, options={"scene": {"room": "garden"}})
    assert info["ammo"] == 0
    env.close()
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(np.zeros(7, np.int8))
