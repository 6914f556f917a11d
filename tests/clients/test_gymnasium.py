"""Gymnasium's own tools: its player and its recorder take the Env, its vector wrappers the native vector env.

More of the Env's clients are in tests/test_env.py.
"""

import warnings

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

import aapt_env  # noqa: F401  registers the world


def test_its_player_plays_by_our_keys(tiny, monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    pygame = pytest.importorskip("pygame")
    from gymnasium.utils.play import play

    seen = []

    def pressed(before, after, action, reward, terminated, truncated, info):
        seen.append((tuple(action), after.shape))
        down = {2: pygame.KEYDOWN, 4: pygame.KEYUP}.get(len(seen))
        if down is not None:
            pygame.event.post(pygame.event.Event(down, key=pygame.K_UP))
        if len(seen) == 6:
            pygame.event.post(pygame.event.Event(pygame.QUIT))

    env = gym.make("AAPT-World-v0", checkpoint=str(tiny), device="cpu", render_mode="rgb_array")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        play(env, fps=200, callback=pressed, seed=0, noop=np.zeros(4, np.int8))
    assert [action for action, _ in seen] == [(0, 0, 0, 0)] * 2 + [(0, 0, 1, 0)] * 2 + [
        (0, 0, 0, 0)
    ] * 2
    assert {shape for _, shape in seen} == {(64, 64, 3)}


def test_its_recorder_writes_a_video_that_plays(tiny, tmp_path):
    pytest.importorskip("moviepy")
    import av
    from gymnasium.wrappers import RecordVideo

    env = gym.make(
        "AAPT-World-v0",
        checkpoint=str(tiny),
        device="cpu",
        render_mode="rgb_array",
        max_episode_steps=6,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        env = RecordVideo(env, str(tmp_path), episode_trigger=lambda _: True, disable_logger=True)
        env.reset(seed=0)
        while not any(env.step([0, 0, 1, 0])[2:4]):
            pass
        env.close()
    (path,) = tmp_path.glob("*.mp4")
    with av.open(str(path)) as video:
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
        assert len(frames) in (6, 7), "the first and one per step; moviepy rounds the duration"
        assert frames[0].shape == (64, 64, 3)
        assert video.streams.video[0].average_rate == env.metadata["render_fps"]


@pytest.mark.parametrize("mode", list(AutoresetMode)[:2])
def test_numpy_users_and_their_statistics(tiny, mode):
    pytest.importorskip("array_api_compat")
    from gymnasium.wrappers.vector import ArrayConversion, RecordEpisodeStatistics

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
