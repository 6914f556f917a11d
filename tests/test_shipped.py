"""Every world in checkpoints/ is whole, small enough, passes check_env and plays in one pass per step."""

from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import aapt_env  # noqa: F401
from aapt_env import checkpoint as checkpoints
from aapt_env.data.episodes import Episodes
from aapt_env.play import app

WORLDS = sorted(p.parent for p in Path(__file__).parent.parent.glob("checkpoints/*/config.json"))
pytestmark = pytest.mark.parametrize("folder", WORLDS, ids=lambda p: p.name)


def test_it_is_whole_and_small(folder):
    loaded = checkpoints.read(folder)
    assert len(loaded.starts) >= 32
    assert sum(f.stat().st_size for f in folder.iterdir()) <= 24e6
    assert loaded.training["stage"] in ("adversarial", "long")
    assert (folder / "README.md").is_file()


def test_it_plays_by_its_own_policy_in_one_pass_per_step(folder):
    env = gym.make("AAPT-World-v0", checkpoint=str(folder), device="cpu").unwrapped
    calls = []
    hook = env.world.generator.register_forward_hook(lambda *_: calls.append(1))
    observation, info = env.reset(seed=1)
    calls.clear()
    player = env.policy()
    for _ in range(12):
        observation, _, _, _, info = env.step(player(observation, info))
        assert info["frames"].std() > 1
    hook.remove()
    assert len(calls) == 12 == env.world.passes


def test_check_env(folder):
    check_env(gym.make("AAPT-World-v0", checkpoint=str(folder), device="cpu").unwrapped)


def two_ways(env) -> list[np.ndarray]:
    """Two rows of control that differ as much as a player's would: left and right."""
    control, width = env.spec_world.control, env.spec_world.control.width
    if (
        control.kind == "pose"
    ):  # the last real pose, moved to either side: x, y, depth of each joint
        pose = np.asarray(env.world.starts[0].controls[-1])
        return [(pose + np.tile([side, 0, 0], width // 3)).clip(-1, 1) for side in (-0.3, 0.3)]
    if control.kind == "camera":
        turn = np.arange(width) == control.names.index("yaw")
        return [-1.0 * turn, 1.0 * turn]
    ahead = np.arange(width) == 2
    return [np.eye(width)[side] + ahead for side in (0, 1)]


def test_the_control_changes_the_picture(folder):
    env = gym.make("AAPT-World-v0", checkpoint=str(folder), device="cpu").unwrapped
    env.reset(seed=2)
    state, ends = env.clone_state(), []
    for row in two_ways(env):
        env.restore_state(state)
        for _ in range(4):
            observation = env.step(env.spec_world.control.from_row(row.astype(np.float32)))[0]
        ends.append(observation.astype(float))
    assert np.abs(ends[0] - ends[1]).mean() > 2


def test_what_is_played_can_be_recorded(folder, tmp_path, capsys):
    """With all that a world carries beside its picture."""
    words = ["--checkpoint", str(folder), "--headless", "--frames", "24", "--record"]
    assert app.main([*words, "--out", str(tmp_path)]) == 0, capsys.readouterr().err
    (place,) = (path for path in tmp_path.iterdir() if path.is_dir())
    episodes = Episodes.open(place)
    told, spec = episodes.carried(0), checkpoints.read(folder).spec
    assert len(episodes.frames(0)) >= 24 and (told is None) == (spec.carried is None)
