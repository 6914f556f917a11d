"""The frames of a run: decoded once, and gone when they are forgotten."""

import weakref

import numpy as np
import torch

from aapt_env.data.episodes import Episodes
from aapt_env.model.vae import VAE, VAEConfig
from aapt_env.train.autoencode import Autoencode, AutoencodeStage
from aapt_env.train.clips import FrameClips
from aapt_env.train.dataset import Dataset


def test_forgotten_frames_are_not_kept_by_a_stage_that_is_over(dataset):
    data = Dataset(Episodes.open(dataset), 4)
    assert data.decoded("train") is data.decoded("train")
    index = data.indices["train"][0]
    assert np.array_equal(data.pixels(index), data.decoded("train")[0])
    kept = weakref.ref(data.decoded("train")[0])
    clips = FrameClips(data.decoded("train"), 4)
    vae = VAE(VAEConfig(channels=4, encoder=(8, 16), decoder=(8, 16)))
    stage = AutoencodeStage(Autoencode(share=1), vae, clips, clips, torch.device("cpu"))
    del clips, stage
    data.forget()
    assert kept() is None
    assert np.array_equal(data.pixels(index), data.episodes.frames(index)), "decoded again"
