"""A game that is quick to draw and shows its control twice, a world of it, and a meter trained on it in seconds."""

import pytest


@pytest.fixture(scope="session")
def sliding():
    """The name of a registered game: it slides aside under one key, down under the other; a strip shows both."""
    import cv2
    import gymnasium as gym
    import numpy as np

    class Sliding(gym.Env):
        metadata = {"render_modes": ["rgb_array"], "render_fps": 24}
        control_names = ("left", "right")
        observation_space = gym.spaces.Box(0, 255, (64, 64, 3), np.uint8)
        action_space = gym.spaces.MultiBinary(2)

        def __init__(self, render_mode=None):
            self.render_mode = render_mode

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            noise = self.np_random.integers(0, 256, (128, 128, 3)).astype(np.uint8)
            smooth = cv2.GaussianBlur(noise, (0, 0), 2, borderType=cv2.BORDER_REFLECT)
            self.wide = cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX)
            self.place, self.keys = np.zeros(2, int), (0, 0)
            return self.draw(), {}

        def step(self, action):
            self.keys = tuple(int(a) for a in action)
            self.place += 3 * np.array(self.keys[::-1])
            return self.draw(), 0.0, False, False, {}

        def draw(self):
            frame = np.roll(self.wide, self.place, axis=(0, 1))[:64, :64].copy()
            frame[56:, :32], frame[56:, 32:] = 250 * self.keys[0], 250 * self.keys[1]
            return frame

        def control_mask(self):
            mask = np.zeros((64, 64), bool)
            mask[56:] = True
            return mask

    gym.register("Sliding-v0", Sliding)
    yield "gym:Sliding-v0"
    del gym.registry["Sliding-v0"]


@pytest.fixture(autouse=True)
def quiet_board(monkeypatch):
    """No TensorBoard: it takes seconds to load and nothing here reads it."""
    import sys

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)


@pytest.fixture(scope="session")
def recorded(sliding, tmp_path_factory):
    """A folder of recorded episodes, 49 frames each."""
    from aapt_env.data.record import record

    out = tmp_path_factory.mktemp("data") / "sliding"
    record(sliding, out, 2400, max_seconds=2.0, progress=False)
    return out


@pytest.fixture(scope="session")
def small():
    """Settings of an observer that learns in seconds."""
    from aapt_env.evaluate.learn import Learn

    sizes = dict(motion=(16, 16, 16, 16), look=(8, 8, 8, 8), features=16, bank=128)
    return Learn(steps=80, batch=24, lr=4e-3, sizes=sizes)


@pytest.fixture(scope="session")
def taught(sliding, recorded, small, tmp_path_factory):
    """The folder of a trained meter, which tests read and do not change."""
    import sys

    from aapt_env.evaluate.learn import learn

    out = tmp_path_factory.mktemp("meters") / "sliding"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "torch.utils.tensorboard", None)
        assert learn(sliding, data=recorded, out=out, device="cpu", seed=1, config=small)
    return out


@pytest.fixture(scope="session")
def world(sliding, tmp_path_factory):
    """A checkpoint folder of that game, of random weights."""
    import numpy as np
    import torch

    from aapt_env import checkpoint
    from aapt_env.games import make_game, world_spec
    from aapt_env.model.generator import Generator
    from aapt_env.model.trunk import TrunkConfig
    from aapt_env.model.vae import VAE, VAEConfig
    from aapt_env.starts import PREFIX, Start

    game = make_game(sliding)
    spec = world_spec(game, sliding, 4)
    torch.manual_seed(0)
    sizes = TrunkConfig(channels=16, dim=32, depth=2, heads=2, window=3)
    generator, vae = (
        Generator(sizes, spec.control),
        VAE(VAEConfig(encoder=(8, 16), decoder=(8, 16))),
    )
    for p in [*generator.parameters(), *vae.parameters()]:
        torch.nn.init.normal_(p, std=0.2 if p.ndim == 1 else 0.7 * p[0].numel() ** -0.5)
    starts = []
    for seed in range(4):
        frames = [game.reset(seed=seed)[0]]
        rows = np.tile(np.float32([seed % 2, 0]), (PREFIX * 4, 1))
        frames += [game.step(spec.control.from_row(row))[0] for row in rows]
        starts.append(Start(frames=np.stack(frames), controls=rows, seed=seed, scene={}))
    folder = tmp_path_factory.mktemp("worlds") / "sliding"
    checkpoint.save(folder, spec, generator, vae, starts, {"recipe": "none", "stage": "none"})
    return folder
