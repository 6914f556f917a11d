"""The worked example of docs/controls.md: a steering wheel, end to end, in the user's own code."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from aapt_env import controls, games
from aapt_env.model.generator import Generator
from aapt_env.model.trunk import TrunkConfig
from aapt_env.play import inputs
from aapt_env.spec import ControlSpec

ROOT = Path(__file__).resolve().parent.parent
GAME = "gym:wheel:Wheel-v0"


@pytest.fixture
def wheel(monkeypatch):
    """The example, imported as a user would; what it registers is forgotten after the test."""
    import gymnasium as gym

    monkeypatch.setattr(controls, "ENCODERS", dict(controls.ENCODERS))
    monkeypatch.setattr(inputs, "DEVICES", dict(inputs.DEVICES))
    games.known_games()  # puts the games on the path
    spec = importlib.util.spec_from_file_location("wheel", ROOT / "examples" / "wheel.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "wheel", module)
    spec.loader.exec_module(module)
    yield module
    del gym.registry["Wheel-v0"]


def test_the_document_shows_the_example_as_it_is_and_it_is_short():
    code = (ROOT / "examples" / "wheel.py").read_text()
    assert code.strip() in (ROOT / "docs" / "controls.md").read_text()
    assert len([line for line in code.splitlines() if line.strip()]) < 60


def test_the_game_asks_for_its_kind_and_drives(wheel):
    env = games.make_held(GAME, 64, 64, 4)
    control = ControlSpec.of(env)
    assert (control.kind, control.size, control.settings) == ("wheel", 2, {"play": 0.25})
    env.reset(seed=1)
    speeds = [env.step(np.array([0.0, 1.0], np.float32))[4]["speed"] for _ in range(6)]
    assert speeds[-1] > speeds[0]


def test_both_ways_of_the_encoder_reach_the_generator(wheel):
    control = ControlSpec(kind="wheel", space="Box", size=2)
    torch.manual_seed(0)
    config = TrunkConfig(channels=4, rows=4, columns=4, dim=32, depth=1, heads=2, window=2)
    made = Generator(config, control).requires_grad_(False)
    for p in made.parameters():
        torch.nn.init.normal_(p, std=0.2)
    z = torch.ones(1, 1, 4, 4, 4)

    def out(*row):
        seen = made.trunk.clip(torch.zeros(1, 0, dtype=torch.int64), 1)
        return made(z, z, torch.tensor(row).expand(1, 1, 4, 2), torch.ones(1, 1), seen)

    middle = out(0.0, 0.0)
    assert (out(1.0, 0.0) - middle).abs().max() > 1e-3 < (out(0.0, 1.0) - middle).abs().max()


def test_the_wheel_steers_the_player_and_may_be_missing(wheel, monkeypatch):
    control = ControlSpec(kind="wheel", space="Box", size=2)
    assert "wheel device stopped" in inputs.Inputs(control).sample().note  # no joystick here

    class Stick:
        def get_axis(self, axis):
            return {0: -0.5, 2: -1.0}[axis]

    monkeypatch.setattr("pygame.joystick.Joystick", lambda number: Stick())
    assert inputs.Inputs(control).sample().row.tolist() == [-0.5, 1.0]


@pytest.mark.slow
def test_record_train_and_dream_with_a_wheel(wheel, tmp_path, monkeypatch):
    """The smoke recipe to its end, then a dream that is steered."""
    from aapt_env.data.record import record
    from aapt_env.env import AAPTEnv
    from aapt_env.train.recipes import smoke
    from aapt_env.train.run import train

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    record(GAME, tmp_path / "data", 400, policy="random", max_seconds=3, progress=False)
    train(GAME, smoke(), data=tmp_path / "data", out=tmp_path / "run", device="cpu")
    env = AAPTEnv(checkpoint=str(tmp_path / "run" / "checkpoint"), device="cpu")
    env.reset(seed=0)
    assert env.step([0.5, 1.0])[0].shape == (64, 64, 3)
