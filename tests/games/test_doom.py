"""Doom through ViZDoom: a game like the others. Skipped where ViZDoom is not installed."""

import sys

import numpy as np
import pytest

from aapt_env import games


def test_doom_says_what_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "vizdoom", None)
    with pytest.raises(ValueError, match=r"needs vizdoom, .*pip install 'aapt-env\[doom\]'"):
        games.make_game("doom")
    assert "Freedoom" in games.describe()["doom"]


@pytest.fixture(scope="module")
def doom():
    pytest.importorskip("vizdoom")
    env = games.make_game("doom", 64, 64)
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
    rows = np.random.default_rng(0).integers(0, 2, (40, 8)).astype(np.int8)
    first, rewards, infos = run(doom, 3, rows)
    run(doom, 4, rows[:5])
    again, same, _ = run(doom, 3, rows)
    assert (first == again).all() and rewards == same
    assert first.shape[1:] == (64, 64, 3) and first.std() > 10
    assert infos[0]["scene"]["map"] in doom.scenes["map"]


@pytest.mark.slow
def test_keys_do_what_they_are_called(doom):
    rest = np.zeros(8, np.int8)
    key = {name: np.eye(8, dtype=np.int8)[i] for i, name in enumerate(doom.control_names)}
    _, _, still = run(doom, 5, [rest] * 12)
    for name, sign in (("turn_left", 1), ("turn_right", -1)):
        _, _, turned = run(doom, 5, [key[name]] * 12)
        change = (turned[-1]["angle"] - still[-1]["angle"] + 180) % 360 - 180
        assert sign * change > 5
    _, rewards, shot = run(doom, 5, [key["fire"]] * 40)
    assert shot[-1]["ammo"] < shot[0]["ammo"]


@pytest.mark.slow
def test_the_scene_is_the_map(doom):
    _, info = doom.reset(seed=0, options={"scene": {"map": "map05"}})
    assert info["scene"] == {"map": "map05"}
    for options in ({"scene": {"map": "map99"}}, {"level": 3}, {"scene": "map01"}):
        with pytest.raises(ValueError, match="map01"):
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
    assert len(cells) > 1 or info["kills"] > 0
