"""Encoding while the next episodes are decoded: the same latents in the same order, and few episodes at once."""

import threading
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from aapt_env.data.episodes import Episodes
from aapt_env.model.vae import VAE, VAEConfig
from aapt_env.train import encode
from aapt_env.train.encode import ahead, encode_all, encode_frames


@pytest.fixture
def vae():
    torch.manual_seed(0)
    return VAE(VAEConfig(k=4, channels=4, encoder=(8, 16), decoder=(8, 16))).eval()


@pytest.mark.parametrize("cores", [1, 4])
def test_latents_are_those_of_one_episode_after_the_other(
    dataset, vae, tmp_path, monkeypatch, cores
):
    episodes = Episodes.open(dataset)
    indices = [3, 0, 2, 1]
    monkeypatch.setattr(encode, "cores", lambda: cores)

    def frames(i):
        time.sleep(0.02 * i)  # the first is ready last
        return episodes.frames(i)

    found = encode_all(vae, episodes, indices, frames, tmp_path, bf16=False)
    for i, one in zip(indices, found, strict=True):
        latents, alone = encode_frames(vae, episodes.frames(i), bf16=False, batch=64)
        assert torch.equal(one.latents, latents) and torch.equal(one.alone, alone)
        assert torch.equal(one.controls.flatten(0, 1), torch.from_numpy(episodes.controls(i)))
        there = load_file(tmp_path / f"episode-{i:06d}.safetensors")
        assert torch.equal(there["latents"], latents) and torch.equal(there["alone"], alone)


def test_an_episode_that_cannot_be_read_leaves_those_before_it(dataset, vae, tmp_path, monkeypatch):
    episodes, asked = Episodes.open(dataset), []
    monkeypatch.setattr(encode, "cores", lambda: 2)

    def frames(i):
        asked.append(i)
        if i == 2 and len(asked) < 5:
            raise ValueError("cannot read frames")
        return episodes.frames(i)

    with pytest.raises(ValueError, match="cannot read frames"):
        encode_all(vae, episodes, [0, 1, 2, 3], frames, tmp_path, bf16=False)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["episode-000000.safetensors", "episode-000001.safetensors", "vae.json"]
    asked[:] = [None] * 5
    encode_all(vae, episodes, [0, 1, 2, 3], frames, tmp_path, bf16=False)
    assert sorted(asked[5:]) == [2, 3], "the others are read from their files"


def test_threads_work_ahead_by_so_many_and_no_more():
    lock, begun, taken, most = threading.Lock(), [], [], []

    def work(i):
        with lock:
            begun.append(i)
            most.append(len(begun) - len(taken))
        time.sleep(0.001 * (i % 3))
        return i * i

    for result in ahead(work, range(30), workers=4, most=6):
        time.sleep(0.004)
        with lock:
            taken.append(result)
    assert taken == [i * i for i in range(30)]
    assert 6 <= max(most) <= 7  # one of them is in the hands of who takes it
    assert list(ahead(work, [], 4, 6)) == []


def test_who_stops_taking_stops_the_threads():
    begun = []
    results = ahead(lambda i: begun.append(i) or time.sleep(0.01), range(100), workers=2, most=4)
    next(results)
    before = threading.active_count()
    results.close()
    assert len(begun) <= 5 and threading.active_count() == before - 2


@pytest.mark.gpu
def test_latents_on_a_gpu_are_those_of_the_cpu(vae):
    frames = np.random.default_rng(0).integers(0, 255, (1 + 4 * 9, 32, 32, 3), np.uint8)
    here, there = (encode_frames(vae.to(device), frames, bf16=False) for device in ("cpu", "cuda"))
    for a, b in zip(here, there, strict=True):
        assert b.device.type == "cpu" and b.dtype == torch.float16
        torch.testing.assert_close(a.float(), b.float(), rtol=1e-2, atol=5e-3)
