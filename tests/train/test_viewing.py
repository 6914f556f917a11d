"""The contest of frames: a picture that moves is told from one that fades."""

import pytest
import torch

from aapt_env.model.vae import VAE, VAEConfig
from aapt_env.train.dice import Dice
from aapt_env.train.viewing import Viewer, Viewing


@pytest.fixture
def viewer():
    torch.manual_seed(0)
    vae = VAE(VAEConfig(channels=4, encoder=(8, 16), decoder=(8, 16)))
    return Viewer(Viewing(weight=0.5, lr=2e-3), vae.eval().requires_grad_(False))


def test_it_learns_that_what_moves_does_not_fade_over(viewer):
    """Frames halfway are the mean of their neighbours: the critic tells, and who makes them is told how."""
    generator = torch.Generator().manual_seed(0)

    def draw():
        first = torch.randint(0, 24, (16, 1, 1), generator=generator)
        ahead = (torch.arange(32) - (first + 4 * torch.arange(8)[:, None])) % 32
        real = (ahead < 6).float()[:, :, None, None].expand(-1, -1, 3, 32, -1) * 2 - 1
        fake = real.clone()
        fake[:, 1:-1:2] = (real[:, :-2:2] + real[:, 2::2]) / 2
        return real, fake

    for i in range(40):
        loss, found = viewer.judge(*draw(), Dice.of(0, "viewing", i))
        loss.backward()
        viewer.optimizer.step()
        viewer.optimizer.zero_grad()
    assert found["viewer"] < 0.5 * 3 * 0.69, "of three scales, each at ln 2 in a draw"
    real, fake = draw()
    fake.requires_grad_()
    plea, told = viewer.plead(real, fake)
    plea.backward()
    assert plea.item() == pytest.approx(0.5 * told["viewed"].item())
    moved = fake - 2.0 * fake.grad / fake.grad.abs().max()
    assert viewer.plead(real, moved.detach())[1]["viewed"] < told["viewed"]
    assert (fake.grad * (real - fake)).sum() < 0, "on the way to what moves"
