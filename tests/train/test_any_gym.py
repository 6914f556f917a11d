"""Gymnasium ids of every kind go through record, a smoke training and play, or are refused with the reason."""

import importlib.util

import gymnasium as gym
import numpy as np
import pytest

from aapt_env import cli
from aapt_env.data import Episodes
from aapt_env.data.record import record
from aapt_env.paths import data_dir, run_dir
from aapt_env.play.app import main as play
from aapt_env.train import beginnings
from aapt_env.train.dataset import split
from aapt_env.train.run import train

KINDS = {  # id: the package that it needs beside gymnasium
    "CartPole-v1": "pygame",  # classic control, Discrete, episodes shorter than a training window
    "MountainCarContinuous-v0": "pygame",  # Box
    "LunarLander-v3": "Box2D",
    "BipedalWalker-v3": "Box2D",  # its episodes are no function of their seed
    "CarRacing-v3": "Box2D",  # image observations, Box with one-sided elements
    "MiniGrid-Empty-8x8-v0": "minigrid",  # a dict of observations, one of them a picture that is none
    "ALE/Pong-v5": "ale_py",
    "HalfCheetah-v5": "mujoco",  # refused where OpenGL is missing
    "FrozenLake-v1": "pygame",  # toy text, 4 frames per second
    "CliffWalking-v1": "pygame",  # toy text, three times as wide as high
    "Blackjack-v1": "pygame",  # rounds of a few steps
}
REFUSED = "cannot draw its frames here"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*")
@pytest.mark.parametrize("name", KINDS)
def test_record_train_play(name, small, tmp_path, monkeypatch, capfd):
    if importlib.util.find_spec(KINDS[name]) is None:
        pytest.skip(f"{KINDS[name]} is not installed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        beginnings, "STARTS", 4
    )  # most of a short training is spent on decoding them
    game = f"gym:{name}"
    try:
        record(game, data_dir(game), 300, max_seconds=4, progress=False)
    except ValueError as error:
        assert REFUSED in str(error) and "MUJOCO_GL" in str(error), error
        assert cli.main(["record", game, "--frames", "300", "--workers", "1"]) == 2
        said = capfd.readouterr().err
        assert REFUSED in said and len([x for x in said.splitlines() if "WARNING" not in x]) <= 3
        return
    data = Episodes.open(data_dir(game))
    frames = np.concatenate([data.frames(i) for i in range(len(data))])
    assert frames.std() > 5, "there is something to see"
    assert data.spec.control.keymap and data.fps == max(
        1, round(gym.make(name).metadata["render_fps"])
    )
    if max(data.index[i].length for i in split(data, data.spec.k)[0]) < 1 + 2 * data.spec.k:
        with pytest.raises(ValueError, match="no episode to train on has two latents.*--k 1"):
            train(game, small(), data=data_dir(game), out=run_dir(game), device="cpu")
        return
    train(game, small(), data=data_dir(game), out=run_dir(game), device="cpu")
    assert (
        play(["--game", game, "--headless", "--frames", "12", "--out", "films", "--seed", "0"]) == 0
    )
    assert list((tmp_path / "films").rglob("*.mp4")) and list((tmp_path / "films").rglob("*.png"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gym:Taxi-v3", "Gymnasium cannot make it"),
        ("gym:Nowhere-v0", "gym:PACKAGE:ID"),
        ("gym:GymV21Environment-v0", "Gymnasium cannot make it"),
    ],
)
def test_ids_that_gymnasium_refuses(name, said, capsys):
    assert cli.main(["record", name, "--frames", "100", "--workers", "1"]) == 2
    assert said in capsys.readouterr().err


def test_play_without_a_world_says_how_to_get_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert play(["--game", "gym:CartPole-v1", "--headless"]) == 2
    said = capsys.readouterr().err
    assert "aapt train gym:CartPole-v1" in said and "--real plays the game itself" in said
