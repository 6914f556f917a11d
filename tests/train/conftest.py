"""A game that is quick to draw, a dataset of it, and a run of the smoke recipe on that."""

import dataclasses

import pytest


@pytest.fixture(scope="session")
def rolling():
    """The name of a registered game: a bar of a colour rolls left or right as its two keys say, on a ramp of grey."""
    import gymnasium as gym
    import numpy as np

    class Rolling(gym.Env):
        metadata = {"render_modes": ["rgb_array"], "render_fps": 24}
        control_names = ("left", "right")
        scenes = {"colour": ("red", "blue")}
        observation_space = gym.spaces.Box(0, 255, (64, 64, 3), np.uint8)
        action_space = gym.spaces.MultiBinary(2)

        def __init__(self, render_mode=None):
            self.render_mode = render_mode

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            self.place, self.colour = (int(n) for n in self.np_random.integers((64, 2)))
            return self.draw(), {"scene": {"colour": ("red", "blue")[self.colour]}}

        def step(self, action):
            self.place += 2 * (int(action[1]) - int(action[0]))
            return self.draw(), 0.0, False, False, {}

        def draw(self):
            frame = np.tile(np.arange(64, dtype=np.uint8)[:, None, None], (1, 64, 3))
            frame[:, np.arange(self.place, self.place + 12) % 64, 2 * self.colour] = 250
            return frame

    gym.register("Rolling-v0", Rolling)
    yield "gym:Rolling-v0"
    del gym.registry["Rolling-v0"]


@pytest.fixture(scope="session")
def dataset(rolling, tmp_path_factory):
    """A folder of recorded episodes, 65 frames each."""
    from aapt_env.data.record import record

    out = tmp_path_factory.mktemp("data") / "rolling"
    record(rolling, out, 400, max_seconds=2.7, progress=False)
    return out


@pytest.fixture(scope="session")
def small():
    """Returns f(**changes of stages) -> the smoke recipe, shortened further."""
    from aapt_env.train.recipes import smoke

    def make(**stages):
        recipe = smoke()
        long = dataclasses.replace(recipe.long, steps=2, length=4, leads=(0, 4))
        changes = dict(
            autoencode=dataclasses.replace(recipe.autoencode, steps=2),
            diffusion=dataclasses.replace(recipe.diffusion, steps=2),
            consistency=dataclasses.replace(recipe.consistency, steps=2),
            follow=dataclasses.replace(recipe.follow, steps=2, length=4, leads=(0, 4)),
            adversarial=dataclasses.replace(recipe.adversarial, steps=2, length=4),
            long=long,
            polish=dataclasses.replace(recipe.polish, steps=2),
            imitate=dataclasses.replace(recipe.imitate, steps=2),
        )
        return dataclasses.replace(recipe, **(changes | stages))

    return make


@pytest.fixture(autouse=True)
def quiet_board(monkeypatch):
    """No TensorBoard: it takes seconds to load and nothing here reads it."""
    import sys

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)


@pytest.fixture(scope="session")
def trained(dataset, rolling, small, tmp_path_factory):
    """A run folder with all stages trained, which tests read and do not change."""
    import sys

    from aapt_env.train.run import train

    out = tmp_path_factory.mktemp("runs") / "rolling"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "torch.utils.tensorboard", None)
        train(rolling, small(), data=dataset, out=out, device="cpu", seed=3)
    return out


@pytest.fixture
def noise_clips():
    """LatentClips of one episode of noise: 20 latents of [4, 4, 4], two keys held at random, one scene attribute."""
    import torch

    from aapt_env.train.clips import EncodedEpisode, LatentClips

    rng = torch.Generator().manual_seed(0)
    latents, alone = (torch.randn(20, 4, 4, 4, generator=rng).half() for _ in range(2))
    controls = torch.randint(0, 2, (19, 4, 2), generator=rng).float()
    return LatentClips(
        [EncodedEpisode(latents, alone, controls, torch.zeros(1, dtype=torch.int64))]
    )
