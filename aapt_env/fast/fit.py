"""Networks made ready for how they will step: fp8 weights, fused kernels, weights laid out for a CPU."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import torch
from torch import Tensor

from aapt_env.fast.fp8 import to_fp8
from aapt_env.fast.options import Fast
from aapt_env.fast.ways import say
from aapt_env.model.generator import Generator
from aapt_env.model.packed import pack
from aapt_env.model.rollout import noise_at
from aapt_env.model.vae import VAE

Noise = Callable[[Tensor, Tensor, tuple[int, ...]], Tensor]


def triton() -> bool:
    """Whether Triton is installed."""
    return importlib.util.find_spec("triton") is not None


def fit(fast: Fast, generator: Generator, vae: VAE, device: torch.device) -> Noise:
    """Change the networks, which stand on their device in their dtype, as wanted.

    Returns:
        What makes the noise of a step, as `rollout.noise_at`.

    Raises:
        ValueError: kernels without a GPU.
    """
    if fast.weights == "fp8":
        to_fp8(generator)
    if fast.way == "auto" and device.type == "cpu":
        pack(generator)
        pack(vae.decoder)
    if not fast.kernels or device.type == "meta":
        return noise_at
    if device.type != "cuda":
        raise ValueError(f"kernels run on a CUDA GPU, this world is on {device}; leave them out")
    if not triton():
        say("kernels need Triton, and it is not installed (pip install triton): plain instead")
        return noise_at
    from aapt_env.fast.fused import swap  # here: it needs Triton
    from aapt_env.fast.kernels.noise import noise

    swap(generator, vae)
    return noise
