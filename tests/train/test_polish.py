"""Polishing: the decoder learns, and nothing that a generator was trained on moves."""

import copy

import numpy as np
import torch

from aapt_env.model.vae import VAE, VAEConfig
from aapt_env.train.clips import FrameClips
from aapt_env.train.loop import Run, train
from aapt_env.train.polish import Polish, PolishStage


def ramps():
    """Episodes of moving ramps of grey."""
    rng = np.random.default_rng(0)
    rows = np.arange(32)[:, None] * 4
    episodes = [
        [rows + np.arange(32) * 2 + rng.integers(60) + 2 * i for i in range(20)] for _ in range(3)
    ]
    return [np.repeat(np.uint8(e)[..., None], 3, axis=-1) for e in episodes]


def test_only_the_decoder_learns(tmp_path):
    torch.manual_seed(0)
    vae = VAE(VAEConfig(channels=4, encoder=(8, 16), decoder=(8, 16)))
    vae.scale.fill_(0.5)
    before, frames = copy.deepcopy(vae), FrameClips(ramps(), 4)
    settings = Polish(share=1, batch=2, latents=2, lr=4e-3)
    stage = PolishStage(settings, vae, frames, frames, torch.device("cpu"))
    run = Run(folder=tmp_path, steps=30, log_every=1, warmup=1)
    assert train(stage, run)
    window = torch.from_numpy(np.stack(ramps())[:, :9])
    assert torch.equal(vae.encode(window), before.encode(window)), "latents are what they were"
    for name, value in before.state_dict().items():
        same = torch.equal(value, vae.state_dict()[name])
        assert same != name.startswith("decoder."), name

    def error(coder):
        shown = coder.decode(coder.encode(window))[0][:, 1:].flatten(1, 2)
        return float((shown.float() - window[:, 1:].float()).square().mean())

    with torch.no_grad():
        assert error(vae) < 0.5 * error(before)


def test_detail_that_latents_do_not_tell_is_not_blurred_away(tmp_path):
    """Stripes of either sign under noisy latents: reconstruction shows grey, with `grain` there are stripes."""
    stripes = np.where(np.arange(16) % 2, 60, -60)[:, None]
    signs = np.random.default_rng(1).choice([-1, 1], (16, 9, 1, 1, 1))
    clips = (128 + signs * stripes).repeat(16, 2).repeat(3, 4).astype(np.uint8)
    frames, window, found = FrameClips(list(clips), 4), torch.from_numpy(clips), {}
    for grain in (0.0, 2.0):
        torch.manual_seed(0)
        vae = VAE(VAEConfig(channels=1, encoder=(8, 16), decoder=(16, 32)))
        settings = Polish(share=1, batch=8, latents=2, lr=2e-3, noise=3.0, grain=grain)
        stage = PolishStage(settings, vae, frames, frames, torch.device("cpu"))
        assert train(stage, Run(folder=tmp_path / str(grain), steps=60, warmup=1))
        with torch.no_grad():
            found[grain] = float(vae.decode(vae.encode(window))[0][:, 1:].float().std())
    assert found[2.0] > 2 * found[0.0], found
