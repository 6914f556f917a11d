"""The plain twin of every kernel: the code of the networks as it stands, with the kernel's arguments and results."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from aapt_env.model.cache import RingCache
from aapt_env.model.generator import guess, lay
from aapt_env.model.rollout import noise_at as noise
from aapt_env.model.rope import rotate
from aapt_env.model.trunk import attend, modulate, rms
from aapt_env.model.vae import frames_of

__all__ = ["adaln", "add_silu", "attention", "noise", "pair_silu", "pixels", "place", "velocity"]


def adaln(
    x: Tensor,
    shift: Tensor,
    scale: Tensor,
    gate: Tensor | None = None,
    branch: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """As `norm.adaln`."""
    if branch is not None and gate is not None:
        x = x + gate[:, None] * branch
    return x, modulate(x, shift[:, None], scale[:, None])


def place(qkv: Tensor, query: Tensor, key: Tensor, ring: RingCache, layer: int) -> Tensor:
    """As `ring.place`."""
    heads = ring.keys.shape[2]
    q, k, v = rearrange(qkv, "b n (three h d) -> three b h n d", three=3, h=heads).unbind(0)
    ring.append(layer, rms(k, key), v)
    return rotate(rms(q, query), ring.turn)


def attention(q: Tensor, keys: Tensor, values: Tensor, filled: Tensor) -> Tensor:
    """As `attention.attention`."""
    hidden = torch.arange(keys.shape[2], device=q.device) >= filled[:, None]
    bias = q.new_zeros(hidden.shape).masked_fill(hidden, -torch.inf)[:, None, None]
    return rearrange(attend(q, keys, values, bias), "b h n d -> b n (h d)")


def velocity(
    out: Tensor, x: Tensor, previous: Tensor, t: Tensor, patch: int, change: float
) -> Tensor:
    """As `epilogue.velocity`."""
    return lay(out, x.shape[-2], patch).to(x.dtype) + guess(x, previous, t, change)


def add_silu(x: Tensor, branch: Tensor) -> tuple[Tensor, Tensor]:
    """As `pixels.add_silu`."""
    added = x + branch
    return added, F.silu(added)


def pair_silu(x: Tensor, past: Tensor) -> Tensor:
    """As `pixels.pair_silu`."""
    return F.silu(torch.cat([x, past], dim=1).contiguous(memory_format=torch.channels_last))


def pixels(x: Tensor, k: int, patch: int) -> Tensor:
    """As `pixels.pixels`."""
    return frames_of(x[:, None], k, patch)[:, 0]
