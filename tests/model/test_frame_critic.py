"""The critic of frames sees all of a clip, patch by patch, and begins with what the encoder knows."""

import pytest
import torch

from aapt_env.model.frame_critic import FrameCritic
from aapt_env.model.vae import VAE, VAEConfig


@pytest.mark.parametrize("k", [1, 2, 4])
def test_every_frame_is_seen_and_no_patch_sees_all(k):
    torch.manual_seed(0)
    critic = FrameCritic(VAE(VAEConfig(k=k, channels=4, encoder=(8, 16), decoder=(8, 16))))
    frames = torch.rand(2, 1 + 3 * k, 3, 64, 64) * 2 - 1
    frames.requires_grad_()
    logits = critic(frames)
    assert [x.shape[1:] for x in logits.values()] == [(1, 16, 16), (1, 8, 8), (1, 8, 8)]
    total = torch.stack([x.sum() for x in logits.values()]).sum()
    (seen,) = torch.autograd.grad(total, frames, retain_graph=True)
    assert (seen.abs().amax(dim=(0, 2, 3, 4)) > 0).all()
    (corner,) = torch.autograd.grad(next(iter(logits.values()))[0, 0, 0, 0], frames)
    assert corner[..., :4, :4].any() and not corner[..., 40:, :].any()


def test_it_begins_with_the_encoder_and_leaves_it_alone():
    vae = VAE(VAEConfig(channels=4, encoder=(8, 16), decoder=(8, 16)))
    critic = FrameCritic(vae)
    for mine, theirs in zip(
        critic.layers.parameters(), vae.encoder.layers.parameters(), strict=False
    ):
        assert torch.equal(mine, theirs) and mine is not theirs
