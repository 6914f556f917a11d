"""Windows: controls stay with the latents they made, and a window begins as play begins."""

import numpy as np
import pytest
import torch

from aapt_env.model.vae import VAE, VAEConfig
from aapt_env.train import clips as clips_module
from aapt_env.train.clips import EncodedEpisode, FrameClips, LatentClips
from aapt_env.train.dice import Dice
from aapt_env.train.encode import encode_all, encode_frames


def told(number, count, k=4):
    """An episode that tells of each value where it is from: latents n.t, alone -n.t, controls of frame j n + j/1000."""
    t = torch.arange(count).float() / 64 + number
    latents = t[:, None, None, None].expand(-1, 2, 3, 3).half()
    frames = torch.arange((count - 1) * k).float().reshape(count - 1, k, 1) / 1000 + number
    return EncodedEpisode(latents, -latents, frames, torch.tensor([number, 0]))


@pytest.fixture
def clips():
    return LatentClips([told(1, 10), told(2, 7), told(3, 1), told(4, 20)])


def test_controls_align_with_the_latents_they_made(clips):
    """An episode of one latent got no row of padding, and those after it the controls of the latent before."""
    for step in range(20):
        clip = clips.sample(Dice.of(0, "x", step), 8, 5)
        assert clip.latents.shape == (8, 6, 2, 3, 3) and clip.controls.shape == (8, 5, 4, 1)
        value = clip.latents[:, :, 0, 0, 0].abs()
        number = value[:, 0].floor()
        t = ((value - number[:, None]) * 64).round().long()  # which latent of its episode
        assert (t.diff(dim=1) == 1).all() and (value.floor() == number[:, None]).all(), (
            "one run of one episode"
        )
        frame = 4 * (t[:, 1:, None] - 1) + torch.arange(
            4
        )  # latent t is made of steps 4(t-1) ... 4t-1
        expected = frame / 1000 + number[:, None, None]
        torch.testing.assert_close(clip.controls[..., 0], expected, rtol=0, atol=1e-5)
        assert (clip.scene[:, 0] == number.long()).all()


def test_a_window_begins_with_an_alone_latent_and_goes_on_in_mid_stream(clips):
    clip = clips.sample(Dice.of(0, "x", 0), 64, 5)
    assert (clip.latents[:, 0] < 0).all() and (clip.latents[:, 1:] > 0).all()


def test_sampling_leaves_the_data_as_they_are(clips):
    before = clips.latents.clone()
    clips.sample(Dice.of(0, "x", 0), 64, 5).latents.zero_()
    assert torch.equal(clips.latents, before)


def test_all_windows_come_up_and_none_that_is_too_long(clips):
    seen = set()
    for step in range(40):
        clip = clips.sample(Dice.of(0, "x", step), 64, 6)
        seen |= {round(float(v), 4) for v in -clip.latents[:, 0, 0, 0, 0]}
    expected = [n + t / 64 for n, count in ((1, 10), (2, 7), (4, 20)) for t in range(count - 6)]
    assert seen == {round(v, 4) for v in expected}


def test_longer_than_any_episode(clips):
    assert clips.sample(Dice.of(0, "x", 0), 2, 19).latents.shape[1] == 20
    with pytest.raises(ValueError, match="together have 38 latents, fewer than 39; record more"):
        clips.sample(Dice.of(0, "x", 0), 2, 38)


def test_where_most_episodes_are_short_windows_run_over_into_the_next():
    """CartPole under random controls is over before a window is; its worlds could not be trained."""
    clips = LatentClips([told(n, 4) for n in range(1, 9)])
    clip = clips.sample(Dice.of(0, "x", 0), 64, 9)
    value = clip.latents[:, :, 0, 0, 0].abs()
    number, t = value.floor(), ((value % 1) * 64).round().long()
    assert (number.diff(dim=1) == (t[:, 1:] == 0)).all() and ((t.diff(dim=1) % 4) == 1).all()
    begins = t[:, 1:] == 0
    assert begins.any() and (clip.controls[begins] == 0).all()
    assert (clip.controls[~begins].int() == number[:, 1:][~begins][:, None, None]).all()
    frames = [np.full((5, 4, 4, 3), i, np.uint8) for i in range(6)]
    batch = FrameClips(frames, 4).sample(Dice.of(0, "x", 0), 50, 3)[..., 0, 0, 0]
    assert batch.shape == (50, 13) and (np.bincount(batch[0].numpy()) <= 5).all()
    assert (batch.int().diff(dim=1) >= 0).all()


def test_frames_are_runs_of_one_episode():
    frames = [np.full((n, 4, 4, 3), i, np.uint8) + np.arange(n, dtype=np.uint8)[:, None, None, None] * 5
              for i, n in ((1, 30), (2, 8), (3, 17))]  # fmt: skip
    clips = FrameClips(frames, 4)
    batch = clips.sample(Dice.of(0, "x", 0), 50, 3)
    assert batch.shape == (50, 13, 4, 4, 3) and batch.dtype == torch.uint8
    assert (batch[..., 0, 0, 0].int().diff(dim=1) == 5).all()
    assert set((batch[:, 0, 0, 0, 0] % 5).tolist()) == {1, 3}
    with pytest.raises(ValueError, match="together have 55 frames, fewer than 57; record more"):
        clips.sample(Dice.of(0, "x", 0), 2, 14)


def numbered(*lengths):
    """Episodes of noise of these lengths."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (n, 4, 6, 3), np.uint8) for n in lengths]


@pytest.mark.parametrize("lengths", [(30, 8, 17), (5, 7, 1, 6, 9)], ids=["long", "over ends"])
def test_frames_joined_on_a_device_are_the_same_windows(lengths):
    frames = numbered(*lengths)
    lists, joined = (FrameClips(frames, 4, joined=way) for way in (False, True))
    assert lists.frames is frames and joined.frames.shape == (sum(lengths), 4, 6, 3)
    for step in range(10):
        a, b = (clips.sample(Dice.of(0, "x", step), 16, 3) for clips in (lists, joined))
        assert a.shape == (16, 13, 4, 6, 3) and a.dtype == b.dtype == torch.uint8
        assert torch.equal(a, b)


def test_windows_do_not_share_memory_with_the_joined_frames():
    frames = numbered(30)
    clips = FrameClips(frames, 4, joined=True)
    clips.sample(Dice.of(0, "x", 0), 4, 3).zero_()
    assert np.array_equal(clips.frames.numpy(), frames[0])


def test_frames_are_joined_where_they_take_half_of_a_gpus_free_memory(monkeypatch):
    frames, gpu = numbered(30, 10), torch.device("cuda")
    size = sum(f.nbytes for f in frames)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 1000)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 900)
    for free, fit in ((2 * size - 100, True), (2 * size - 101, False)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, 2**40))
        assert clips_module._fit(frames, gpu) is fit
    assert not clips_module._fit(frames, torch.device("cpu")) and not clips_module._fit([], gpu)


@pytest.mark.gpu
def test_frames_on_a_gpu_are_the_same_windows():
    frames = numbered(30, 8, 17)
    there = FrameClips(frames, 4, "cuda")
    assert there.frames.is_cuda
    for clips in (there, FrameClips(frames, 4, "cuda", joined=False)):
        found = clips.sample(Dice.of(0, "x", 0), 16, 3)
        assert found.is_cuda
        assert torch.equal(found.cpu(), FrameClips(frames, 4).sample(Dice.of(0, "x", 0), 16, 3))


@pytest.fixture
def vae():
    torch.manual_seed(0)
    return VAE(VAEConfig(k=4, channels=4, encoder=(8, 16), decoder=(8, 16))).eval()


def test_encoding_in_batches_is_encoding_at_once(vae):
    frames = np.random.default_rng(0).integers(0, 255, (1 + 4 * 9 + 3, 32, 32, 3), np.uint8)
    latents, alone = encode_frames(vae, frames, bf16=False, batch=4)
    whole = torch.from_numpy(frames[:37])
    with torch.no_grad():
        torch.testing.assert_close(
            latents.float(), vae.encode(whole[None])[0], rtol=1e-2, atol=1e-3
        )
        torch.testing.assert_close(
            alone.float(), vae.encode_alone(whole[0::4]), rtol=1e-2, atol=1e-3
        )
    assert latents.shape == alone.shape == (10, 4, 4, 4) and latents.dtype == torch.float16
    torch.testing.assert_close(latents[0], alone[0])


def test_recorded_controls_stay_with_the_frames_they_made(dataset, vae, tmp_path):
    """From the recording itself: the bar rolls by two pixels per frame of a held key, or stays."""
    from aapt_env.data.episodes import Episodes

    episodes = Episodes.open(dataset)
    frames = [episodes.frames(i) for i in range(2)]
    encoded = encode_all(vae, episodes, [0, 1], frames.__getitem__, tmp_path, bf16=False)
    assert [len(e.latents) for e in encoded] == [len(f) // 4 + 1 for f in frames]
    for i, episode in enumerate(encoded):
        assert torch.equal(episode.controls.flatten(0, 1), torch.from_numpy(episodes.controls(i)))
        rows = frames[i][:, 0].max(axis=2).astype(float) > 128
        for latent, controls in enumerate(episode.controls, 1):
            for j, (left, right) in enumerate(controls.tolist()):
                t = 4 * (latent - 1) + j
                assert np.array_equal(np.roll(rows[t], int(2 * (right - left))), rows[t + 1])
    again = encode_all(vae, episodes, [0, 1], {}.__getitem__, tmp_path, bf16=False)
    assert all(torch.equal(a.latents, b.latents) for a, b in zip(encoded, again, strict=True)), (
        "read from its files"
    )


def test_latents_of_an_episode_recorded_before_are_made_anew(dataset, vae, tmp_path):
    """A dataset recorded again in the same place: its files are asked what was played."""
    from aapt_env.data.episodes import Episodes

    episodes = Episodes.open(dataset)
    frames = [episodes.frames(i) for i in range(2)]
    encode_all(vae, episodes, [0, 1], frames.__getitem__, tmp_path, bf16=False)
    (tmp_path / "episode-000001.safetensors").replace(tmp_path / "episode-000000.safetensors")
    asked = []
    again = encode_all(
        vae, episodes, [0], lambda i: asked.append(i) or frames[i], tmp_path, bf16=False
    )
    assert asked == [0] and len(again[0].latents) == len(frames[0]) // 4 + 1
