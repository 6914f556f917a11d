"""What lies between the decoder's convolutions: sums and activations, and pixels from what the last one gives."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 1024
LAST = torch.channels_last


@triton.jit
def _silu(x):
    return x / (1 + tl.exp(-x))


@triton.jit
def _add_silu(x, branch, added, active, count, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    kind = added.dtype.element_ty
    value = tl.load(x + at, inside, 0.0).to(tl.float32)
    value = (value + tl.load(branch + at, inside, 0.0).to(tl.float32)).to(kind)
    tl.store(added + at, value, inside)
    tl.store(active + at, _silu(value.to(tl.float32)).to(kind), inside)


def add_silu(x: Tensor, branch: Tensor) -> tuple[Tensor, Tensor]:
    """[n, c, h, w] twice -> x + branch and its SiLU, channels last."""
    x, branch = x.contiguous(memory_format=LAST), branch.contiguous(memory_format=LAST)
    added, active = torch.empty_like(x), torch.empty_like(x)
    _add_silu[(triton.cdiv(x.numel(), BLOCK),)](x, branch, added, active, x.numel(), BLOCK=BLOCK)
    return added, active


@triton.jit
def _pair_silu(x, past, out, count, width, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    cell, channel = at // (2 * width), at % (2 * width)
    now = channel < width
    first = tl.load(x + cell * width + channel, inside & now, 0.0).to(tl.float32)
    second = tl.load(past + cell * width + channel - width, inside & (channel >= width), 0.0)
    value = tl.where(now, first, second.to(tl.float32))
    tl.store(out + at, _silu(value).to(out.dtype.element_ty), inside)


def pair_silu(x: Tensor, past: Tensor) -> Tensor:
    """[n, c, h, w] now and one latent earlier -> SiLU of both [n, 2c, h, w], channels last."""
    n, width, h, w = x.shape
    x, past = x.contiguous(memory_format=LAST), past.contiguous(memory_format=LAST)
    out = torch.empty(n, 2 * width, h, w, dtype=x.dtype, device=x.device, memory_format=LAST)
    _pair_silu[(triton.cdiv(out.numel(), BLOCK),)](x, past, out, out.numel(), width, BLOCK=BLOCK)
    return out


@triton.jit
def _pixels(x, out, count, frames, height, width, PATCH: tl.constexpr, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    colour, column, row = at % 3, at // 3 % width, at // (3 * width) % height
    frame = at // (3 * width * height) % frames
    cell = at // (3 * width * height * frames) * (height // PATCH) + row // PATCH
    cell = cell * (width // PATCH) + column // PATCH
    channel = ((frame * 3 + colour) * PATCH + row % PATCH) * PATCH + column % PATCH
    value = tl.load(x + cell * (3 * frames * PATCH * PATCH) + channel, inside, 0.0).to(tl.float32)
    value = tl.minimum(tl.maximum(value, -1.0), 1.0) * 127.5 + 127.5
    value = (value + 12582912.0) - 12582912.0  # to the nearest whole number, halves to even
    tl.store(out + at, value.to(tl.uint8), inside)


def pixels(x: Tensor, k: int, patch: int) -> Tensor:
    """[n, 3 * k * patch**2, h, w] around [-1, 1] -> uint8 frames [n, k, H, W, 3]."""
    n, _, h, w = x.shape
    height, width = h * patch, w * patch
    out = torch.empty(n, k, height, width, 3, dtype=torch.uint8, device=x.device)
    _pixels[(triton.cdiv(out.numel(), BLOCK),)](
        x.contiguous(memory_format=LAST), out, out.numel(), k, height, width,
        PATCH=patch, BLOCK=BLOCK,
    )  # fmt: skip
    return out
