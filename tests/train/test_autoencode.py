"""Latents that can be zoomed into like pictures: the maps, what they do, and that the stage asks for it."""

import pytest
import torch
import torch.nn.functional as F

from aapt_env.model.vae import VAE, VAEConfig
from aapt_env.train.autoencode import Autoencode, AutoencodeStage, zoomed, zooming
from aapt_env.train.clips import FrameClips
from aapt_env.train.dice import Dice

SMALL = VAEConfig(channels=4, encoder=(8, 16), decoder=(8, 16))


def waves(size):
    """[1, 2, 3, size, size]: a picture of slow waves, the same at every size."""
    at = (torch.arange(size) + 0.5) / size
    y, x = torch.meshgrid(at, at, indexing="ij")
    shown = torch.stack([torch.sin(5 * x), torch.cos(4 * y), torch.sin(3 * (x + y))])
    return shown.expand(1, 2, 3, size, size)


def test_parts_lie_within_the_picture():
    maps = zooming(400, 0.5, 0.4, Dice.of(0, "x", 0))
    corners = torch.tensor([[-1.0, -1, 1], [1, 1, 1]])
    assert (maps @ corners.T).abs().max() <= 1 + 1e-6
    size = maps[:, 0, 0]
    assert size.equal(maps[:, 1, 1]) and size.min() >= 0.6
    assert 140 < int((size < 1).sum()) < 260, "a share of them"
    assert maps[size == 1].equal(torch.eye(2, 3).expand(int((size == 1).sum()), 2, 3))


def test_the_whole_picture_stays_as_it_is():
    x = torch.randn(2, 3, 4, 8, 8)
    torch.testing.assert_close(zoomed(x, torch.eye(2, 3).expand(2, 2, 3)), x)


def test_pictures_of_two_sizes_are_zoomed_alike():
    """What is held to be equal in the stage: an equivariant encoder (here: the mean of 8x8 pixels) commutes with it."""
    maps = torch.tensor([[[0.7, 0, 0.2], [0, 0.7, -0.1]]])
    fine = F.avg_pool2d(zoomed(waves(128), maps)[0], 8)
    coarse = zoomed(F.avg_pool2d(waves(128)[0], 8)[None], maps)[0]
    assert (fine - coarse).abs().max() < 0.06 < (fine - F.avg_pool2d(waves(128)[0], 8)).abs().max()


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_frames_and_latents_go_through_the_same_map(share):
    """The decoder gets zoomed latents; here it answers with grey, so that its error is that of the zoomed frames."""
    frames = [torch.randint(0, 256, (40, 64, 64, 3)).numpy().astype("uint8")]
    torch.manual_seed(0)
    vae, clips = VAE(SMALL), FrameClips(frames, 4)
    for p in vae.decoder.leave.parameters():
        torch.nn.init.zeros_(p)
    got = []
    vae.decoder.register_forward_pre_hook(lambda module, inputs: got.append(inputs[0]))
    settings = Autoencode(share=1, zoomed=share)
    stage = AutoencodeStage(settings, vae, clips, clips, torch.device("cpu"))
    batch = stage.batch(Dice.of(0, "x", 0))
    _, found = next(stage.losses(batch, Dice.of(0, "x", 0)))

    dice, x = Dice.of(0, "x", 0), vae.groups(batch)
    mean, log_variance = vae.encoder(x.flatten(0, 1))
    z = mean + dice.normal(*mean.shape) * (0.5 * log_variance).exp()
    z = z.unflatten(0, x.shape[:2])
    if share:
        maps = zooming(len(x), share, 0.4, dice)
        x, z = zoomed(x, maps), zoomed(z, maps)
    torch.testing.assert_close(got[0], z)
    psnr = -10 * torch.log10(x.square().mean() / 4)
    assert found["psnr"].item() == pytest.approx(psnr.item(), abs=1e-3)
