"""Gymnasium's own vector wrappers take the native vector env; the Env's clients are in tests/test_env.py."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

import aapt_env  # noqa: F401  registers the world

pytest.importorskip("array_api_compat")
from gymnasium.wrappers.vector import ArrayConversion, RecordEpisodeStatistics  # noqa: E402


@pytest.mark.parametrize("mode", list(AutoresetMode)[:2])
def test_numpy_users_and_their_statistics(tiny, mode):
    envs = gym.make_vec(
        "AAPT-World-v0", num_envs=3, checkpoint=str(tiny), device="cpu", max_episode_steps=3, autoreset_mode=mode,
        reward_fn=lambda frames, controls: controls[:, 2],
    )  # fmt: skip
    envs = RecordEpisodeStatistics(ArrayConversion(envs, env_xp=torch, target_xp=np))
    observations, infos = envs.reset(seed=0)
    assert isinstance(observations, np.ndarray) and isinstance(infos["frames"], np.ndarray)
    assert envs.observation_space.contains(observations)
    for _ in range(3):
        observations, rewards, _, truncated, infos = envs.step(np.tile([0, 0, 1, 0], (3, 1)))
    assert rewards.tolist() == [1, 1, 1] and truncated.all()
    assert infos["episode"]["l"].tolist() == [3, 3, 3] and infos["episode"]["r"].tolist() == [
        3,
        3,
        3,
    ]
