"""TorchRL's wrapper and its spec checker take the Env. Skipped where it is not installed."""

import warnings

import gymnasium as gym
import pytest

import aapt_env  # noqa: F401  registers the world


@pytest.mark.filterwarnings("ignore")
def test_gym_env_and_wrapper_keep_their_specs(tiny):
    with (
        warnings.catch_warnings()
    ):  # not at the top: it imports triton, whose interpreter tests/fast has to ask for first
        warnings.simplefilter("ignore")
        pytest.importorskip("torchrl.envs")
    from torchrl.envs import GymEnv, GymWrapper
    from torchrl.envs.utils import check_env_specs

    check_env_specs(GymEnv("AAPT-World-v0", checkpoint=str(tiny), device="cpu"))
    check_env_specs(GymWrapper(gym.make("AAPT-World-v0", checkpoint=str(tiny), device="cpu")))
