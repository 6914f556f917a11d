"""Polishing: the decoder learns, and nothing that a generator was trained on moves."""

import copy

import numpy as np
import torch

from aapt_env.model.vae import VAE, VAEConfig
from aapt_env.train.autoencode import unstirred
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


def test_what_moves_within_a_latent_is_not_shown_as_one_frame(tmp_path):
    """A bar that runs left or right: reconstruction of what latents hardly tell stands, with `stir` it moves."""
    rng = np.random.default_rng(1)
    first, way = rng.integers(16, size=(24, 1)), rng.choice([-4, 4], (24, 1))
    ahead = (np.arange(16) - (first + way * np.arange(9))[..., None]) % 16
    clips = np.where(ahead < 5, 190, 66)[:, :, None, :, None].repeat(16, 2).repeat(3, 4)
    clips = clips.astype(np.uint8)
    frames, window, found = FrameClips(list(clips), 4), torch.from_numpy(clips), {}
    for stir in (0.0, 12.0):
        torch.manual_seed(0)
        vae = VAE(VAEConfig(channels=1, encoder=(8, 16), decoder=(16, 32)))
        settings = Polish(share=1, batch=8, latents=2, lr=2e-3, noise=1.0, grain=0.0, stir=stir)
        stage = PolishStage(settings, vae, frames, frames, torch.device("cpu"))
        assert train(stage, Run(folder=tmp_path / str(stir), steps=140, warmup=1))
        with torch.no_grad():
            shown = vae.decode(vae.encode(window))[0][:, 1:].flatten(1, 2).float()
        found[stir] = float(
            shown.diff(dim=1).abs().mean() / window[:, 1:].float().diff(dim=1).abs().mean()
        )
    assert found[0.0] < 0.3 and found[12.0] > 0.6, found


def test_changes_are_compared_by_how_strong_they_are():
    """Whichever way and wherever in a patch; a picture that stands is off by all there is."""
    generator = torch.Generator().manual_seed(0)
    moving = torch.rand(2, 3, 4, 3, 32, 32, generator=generator) * 2 - 1
    assert unstirred(moving, moving) == 0
    still = moving[:, :1, :1].expand_as(moving)
    assert unstirred(still, moving) > 0.2
    assert unstirred(-moving, moving) < 1e-6
    assert unstirred(0.5 * moving, moving) < 0.6 * unstirred(still, moving)


def test_colours_that_flicker_are_no_motion():
    """Dots of colours equally bright ask for nothing and give nothing."""
    generator = torch.Generator().manual_seed(0)
    dots = torch.rand(2, 3, 4, 1, 32, 32, generator=generator) - 0.5
    red, green, _ = torch.tensor([0.299, 0.587, 0.114]).reciprocal() / 4
    flicker = torch.cat([dots * red, -dots * green, 0 * dots], dim=3)
    still = torch.zeros_like(flicker)
    assert unstirred(flicker, still) < 1e-3 < 0.05 < unstirred(dots.expand_as(still), still)
