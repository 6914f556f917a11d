"""Stable-Baselines3: its checker on the Env, its PPO on the adapter. Skipped where it is not installed."""

import warnings

import gymnasium as gym
import numpy as np
import pytest

import aapt_env  # noqa: F401  registers the world

pytest.importorskip("stable_baselines3")


@pytest.fixture
def make(tiny):
    from aapt_env.sb3 import DreamVecEnv

    def pays(frames, controls):
        return controls[:, 2], controls[:, 3] > 0

    def envs(count=3, **kwargs):
        return DreamVecEnv(
            num_envs=count, checkpoint=str(tiny), device="cpu", **({"reward_fn": pays} | kwargs)
        )

    return envs


def test_its_checker_passes(tiny):
    from stable_baselines3.common.env_checker import check_env

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_env(gym.make("AAPT-World-v0", checkpoint=str(tiny), device="cpu").unwrapped)


def test_episodes_end_and_begin_as_sb3_has_it(make):
    envs = make(max_episode_steps=3, keep_frames=True)
    envs.seed(5)
    first = envs.reset()
    go, stop = [0, 0, 1, 0], [0, 0, 0, 1]
    observations, rewards, dones, infos = envs.step(np.array([go, stop, go]))
    assert first.shape == observations.shape == (3, 64, 64, 3) and observations.dtype == np.uint8
    assert rewards.tolist() == [1, 0, 1] and dones.tolist() == [False, True, False]
    assert (
        infos[1]["terminal_observation"].shape == (64, 64, 3)
        and not infos[1]["TimeLimit.truncated"]
    )
    assert infos[0].keys() == {"frames"} and infos[0]["frames"].shape == (4, 64, 64, 3)
    assert np.array_equal(infos[0]["frames"][-1], observations[0])
    for _ in range(2):
        dones, infos = envs.step(np.array([go] * 3))[2:]
    assert dones.tolist() == [True, False, True] and infos[0]["TimeLimit.truncated"]
    envs.seed(5)
    assert np.array_equal(envs.reset(), first)
    envs.close()


def test_frames_kept_at_an_end_are_the_last_ones(make):
    envs = make(max_episode_steps=2, keep_frames=True)
    envs.reset()
    go = np.array([[0, 0, 1, 0]] * 3)
    envs.step(go)
    infos = envs.step(go)[3]
    for info in infos:
        assert np.array_equal(info["frames"][-1], info["terminal_observation"])


def test_a_start_for_every_row_and_one_scene(make):
    envs = make()
    envs.set_options([{"start": 2}, {}, {"start": 0}])
    envs.reset()
    assert envs.envs.dreams.start[[0, 2]].tolist() == [2, 0]
    envs.set_options([{"scene": {"time": "day"}}, {}, {}])
    with pytest.raises(ValueError, match="expected one scene for all rows"):
        envs.reset()


def test_what_is_asked_of_some_rows_only_is_refused(make):
    envs = make()
    assert envs.get_attr("action_space", np.int64(1)) == [envs.action_space]
    assert envs.env_method("clone_state")[0].rows == 3
    for ask in (
        lambda: envs.env_method("reset", indices=[0]),
        lambda: envs.set_attr("limit", 2, indices=[0]),
    ):
        with pytest.raises(ValueError, match=r"rows \[0\] alone: all rows are one env"):
            ask()


def test_a_short_ppo_runs(make):
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import VecMonitor

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        envs = VecMonitor(make(2, max_episode_steps=4))
        model = PPO("CnnPolicy", envs, n_steps=8, batch_size=8, n_epochs=1, device="cpu", seed=0)
        model.learn(32)
    assert model.num_timesteps == 32 and len(model.ep_info_buffer) > 0
