"""QK-norm, RoPE and the write into the ring, in one pass over what the qkv product gave."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from aapt_env.model.cache import RingCache

TOKENS = 16  # of one program


@triton.jit
def _halves(source, weight, row, at, inside, half, width, DTYPE: tl.constexpr):
    """RMSNorm of two halves of a head's features [tokens, d/2], rounded as the plain norm rounds."""
    a = tl.load(source + row + at, inside, 0.0).to(tl.float32)
    b = tl.load(source + row + half + at, inside, 0.0).to(tl.float32)
    scale = tl.rsqrt((tl.sum(a * a, 1) + tl.sum(b * b, 1)) / width + 1e-6)[:, None]
    a = a * scale * tl.load(weight + at, at < half, 0.0).to(tl.float32)
    b = b * scale * tl.load(weight + half + at, at < half, 0.0).to(tl.float32)
    return a.to(DTYPE).to(tl.float32), b.to(DTYPE).to(tl.float32)


@triton.jit
def _place(
    qkv, query_weight, key_weight, cos, sin, slot, keys, values, prefix, out,
    heads, tokens, scenes, slots, width,
    ROWS: tl.constexpr, HALF: tl.constexpr,
):  # fmt: skip
    batch, head = (tl.program_id(0) // heads).to(tl.int64), tl.program_id(0) % heads
    token = (tl.program_id(1) * ROWS + tl.arange(0, ROWS))[:, None]
    at, half = tl.arange(0, HALF)[None, :], width // 2
    inside = (token < tokens) & (at < half)
    dtype = out.dtype.element_ty
    row = (batch * tokens + token) * 3 * heads * width + head * width
    angle = (batch * tokens + token) * width + at
    c, s = tl.load(cos + angle, inside, 0.0), tl.load(sin + half + angle, inside, 0.0)

    a, b = _halves(qkv, query_weight, row, at, inside, half, width, dtype)
    mine = ((batch * heads + head) * tokens + token) * width + at
    tl.store(out + mine, (a * c - b * s).to(dtype), inside)
    tl.store(out + mine + half, (b * c + a * s).to(dtype), inside)

    a, b = _halves(qkv, key_weight, row + heads * width, at, inside, half, width, dtype)
    block = tl.load(slot + batch)
    there = ((batch * heads + head) * slots + scenes + block * tokens + token) * width + at
    tl.store(keys + there, (a * c - b * s).to(keys.dtype.element_ty), inside)
    tl.store(keys + there + half, (b * c + a * s).to(keys.dtype.element_ty), inside)
    first = inside & (block + 0 * at == 0)  # the sink's keys are kept unturned, too
    sink = ((batch * heads + head) * (scenes + tokens) + scenes + token) * width + at
    tl.store(prefix + sink, a.to(prefix.dtype.element_ty), first)
    tl.store(prefix + sink + half, b.to(prefix.dtype.element_ty), first)

    value = qkv + row + 2 * heads * width + at
    tl.store(values + there, tl.load(value, inside, 0.0).to(values.dtype.element_ty), inside)
    tl.store(
        values + there + half,
        tl.load(value + half, inside, 0.0).to(values.dtype.element_ty),
        inside,
    )


def place(qkv: Tensor, query: Tensor, key: Tensor, ring: RingCache, layer: int) -> Tensor:
    """Normalise and turn queries and keys; write keys and values where the coming position goes.

    Args:
        qkv: [B, N, 3 * heads * d] as the product gives it.
        query: [d] weight of the queries' norm.
        key: [d] of the keys'.
        ring: its memory of `layer` is written.
        layer: of the block.

    Returns:
        Queries [B, heads, N, d].
    """
    keys, values, prefix = ring.keys[layer], ring.values[layer], ring.prefix[layer]
    batch, heads, slots, width = keys.shape
    out = torch.empty(batch, heads, ring.tokens, width, dtype=qkv.dtype, device=qkv.device)
    cos, sin = ring.turn
    grid = batch * heads, triton.cdiv(ring.tokens, TOKENS)
    _place[grid](
        qkv.contiguous(), query, key, cos, sin, ring.slot, keys, values, prefix, out,
        heads, ring.tokens, ring.scenes, slots, width,
        ROWS=TOKENS, HALF=triton.next_power_of_2(width // 2),
    )  # fmt: skip
    return out
