"""The game and the dream under the same controls: forks of either are what an unforked rollout would have been."""

import numpy as np
import pytest
import torch

from aapt_env import checkpoint
from aapt_env.evaluate import rollouts
from aapt_env.games import make_game, world_spec
from aapt_env.spec import ControlSpec
from aapt_env.starts import Start
from aapt_env.twin import Twin


@pytest.mark.parametrize("name", ["driving", "sliding"])
def test_forks_of_a_game_are_what_it_would_have_played(name, sliding):
    """driving clones its state, sliding walks to its start again."""
    name = sliding if name == "sliding" else name
    game = make_game(name)
    spec = world_spec(game, name, 4)
    twin = Twin(game, spec)
    controls = np.zeros((6, spec.control.width), np.float32)
    start = Start(frames=np.zeros((1, 64, 64, 3), np.uint8), controls=controls, seed=3, scene={})
    branches = np.stack([np.eye(spec.control.width, dtype=np.float32)[[i] * 3] for i in (0, 1)])
    forks = rollouts.fork_game(twin, start, branches)
    for branch, fork in zip(branches, forks, strict=True):
        plain, _, _ = rollouts.play_game(twin, start, 3, None, branch)
        np.testing.assert_array_equal(fork, plain)
    assert (forks[0] != forks[1]).any()
    twin.close()


def test_forks_of_a_dream_are_what_it_would_have_dreamt(world):
    loaded, device = checkpoint.read(world), torch.device("cpu")
    starts, seeds = loaded.starts[:2], [5, 6]
    before = np.float32([[[1, 0]] * 2, [[0, 1]] * 2])
    branches = np.float32([[[1, 0]] * 3, [[0, 0]] * 3])
    forks = rollouts.fork_dream(loaded, starts, before, branches, seeds, device)
    for branch, fork in zip(branches, forks, strict=True):
        rows = np.concatenate([before, np.repeat(branch[None], 2, axis=0)], axis=1)
        plain = rollouts.play_dream(loaded, starts, rows, seeds, device)
        np.testing.assert_array_equal(fork, plain[:, 8:])
    assert (forks[0] != forks[1]).any()


def test_variants_tell_every_control_apart():
    names = ("left", "right", "throttle", "brake")
    keys = rollouts.variants(ControlSpec(space="MultiBinary", size=4, names=names))
    assert list(keys) == ["nothing", *names]
    assert keys["left"].tolist() == [1, 0, 1, 0] and keys["brake"].tolist() == [0, 0, 0, 1]
    moves = rollouts.variants(ControlSpec(space="Discrete", size=9))
    assert [row.tolist() for row in moves.values()] == [[i] for i in range(rollouts.VARIANTS)]
    wheel = rollouts.variants(ControlSpec(kind="vector", space="Box", size=1, names=("wheel",)))
    assert {name: float(row[0]) for name, row in wheel.items()} == {
        "nothing": 0,
        "wheel": 1,
        "wheel-": -1,
    }


def test_hands_at_rest_hold_a_pose_and_press_no_key():
    last = np.float32([[0.5, -0.5], [0.25, 0.75]])
    picture = np.zeros((1, 64, 64, 3), np.uint8)
    starts = [Start(frames=picture, controls=last, seed=0, scene={})]
    names = ("hand x", "hand y")
    pose = ControlSpec(kind="pose", space="Box", size=2, names=names, rest=(0.0, 1.0))
    assert rollouts.resting(pose, starts).tolist() == [[0.25, 0.75]]
    fresh = [Start(frames=picture, controls=last[:0], seed=0, scene={})]
    assert rollouts.resting(pose, fresh).tolist() == [[0.0, 1.0]]
    keys = ControlSpec(kind="vector", space="Box", size=2, names=names)
    assert rollouts.resting(keys, starts).tolist() == [[0.0, 0.0]]
