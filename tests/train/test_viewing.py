"""The contest of frames: what it looks at, and that it tells a picture that moves from one that fades."""

import pytest
import torch

from aapt_env.model.vae import VAE, VAEConfig
from aapt_env.train.dice import Dice
from aapt_env.train.viewing import Viewer, Viewing


@pytest.fixture
def viewer():
    torch.manual_seed(0)
    vae = VAE(VAEConfig(channels=4, encoder=(8, 16), decoder=(8, 16)))
    return Viewer(Viewing(weight=0.5, latents=2, lr=2e-3), vae.eval().requires_grad_(False))


def test_runs_lie_anywhere_and_are_shown_as_a_stream_begun_there(viewer):
    clips = torch.randn(300, 6, 7, 4, 4)  # the last three channels are carried numbers
    chosen = viewer.choose(clips, Dice.of(0, "viewing", 0))
    assert set(chosen[:, 0].tolist()) == {0, 1, 2, 3} and (chosen.diff(dim=1) == 1).all()
    shown = viewer.show(clips[:3], chosen[:3])
    for row, first, frames in zip(clips, chosen[:, 0], shown, strict=False):
        alone = row[None, first : first + 3, :4]
        pixels, _ = viewer.vae.decode_float(alone, viewer.vae.start(1, 4, 4))
        assert torch.allclose(frames, pixels[0, 1:].flatten(0, 1), atol=1e-6)


def test_a_clip_too_short_is_looked_at_whole(viewer):
    chosen = viewer.choose(torch.randn(3, 2, 4, 4, 4), Dice.of(0, "viewing", 0))
    assert torch.equal(chosen, torch.tensor([[0, 1]] * 3))


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


def test_a_run_of_none_is_refused():
    with pytest.raises(ValueError, match="1 or more in a row"):
        Viewing(weight=1, latents=0)
