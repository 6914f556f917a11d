"""Philox and Box-Muller in one kernel, where plain torch takes more than a hundred."""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 128  # counters of one program; each makes four values


@triton.jit
def _noise(seed, position, out, count, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    index = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    key, place = tl.load(seed + row), tl.load(position + row)
    zero = index * 0
    a, b, c, d = tl.philox_impl(
        index.to(tl.uint32),
        zero.to(tl.uint32),
        (place & 0xFFFFFFFF).to(tl.uint32) + zero.to(tl.uint32),
        (place >> 32).to(tl.uint32) + zero.to(tl.uint32),
        (key & 0xFFFFFFFF).to(tl.uint32),
        ((key >> 32) & 0xFFFFFFFF).to(tl.uint32),
    )
    mine, at = out + row * count, 4 * index
    _pair(mine, at, a, b, count)
    _pair(mine, at + 2, c, d, count)


@triton.jit
def _pair(out, at, first, second, count):
    """Two words -> two normal numbers, in float64 as the plain way has them."""
    u = (first.to(tl.float64) + 0.5) / 4294967296.0
    v = (second.to(tl.float64) + 0.5) / 4294967296.0
    radius, angle = tl.sqrt(-2.0 * tl.log(u)), 6.283185307179586 * v
    tl.store(out + at, (radius * tl.cos(angle)).to(tl.float32), at < count)
    tl.store(out + at + 1, (radius * tl.sin(angle)).to(tl.float32), at + 1 < count)


def noise(seed: Tensor, position: Tensor, shape: tuple[int, ...]) -> Tensor:
    """As `rollout.noise_at`: seed [B], position [B] int64 -> [B, *shape] float32."""
    count = math.prod(shape)
    out = torch.empty(len(seed), *shape, device=seed.device)
    grid = len(seed), triton.cdiv(count, 4 * BLOCK)
    _noise[grid](seed, position, out, count, BLOCK=BLOCK)
    return out
