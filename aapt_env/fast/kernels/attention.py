"""Attention of one latent's queries over the filled part of the ring: no mask, each row as far as it has memory.

What a row has is `[scene | sink | ring]`, filled from the left, so a length says it all. A row's bits depend on its own
length only, whatever the ages of the others. Online softmax as in FlashAttention (Dao et al. 2022).
"""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def _attend(
    q, keys, values, filled, out,
    heads, tokens, slots, width, scale,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, WIDTH: tl.constexpr, DTYPE: tl.constexpr,
):  # fmt: skip
    pair = tl.program_id(1).to(tl.int64)
    batch, head = pair // heads, pair % heads
    token = (tl.program_id(0) * ROWS + tl.arange(0, ROWS))[:, None]
    at = tl.arange(0, WIDTH)[None, :]
    asked = (token < tokens) & (at < width)
    query = tl.load(q + (pair * tokens + token) * width + at, asked, 0.0).to(DTYPE)
    length = tl.load(filled + batch).to(tl.int32)
    best = tl.full((ROWS,), -1e30, tl.float32)
    total = tl.zeros((ROWS,), tl.float32)
    mixed = tl.zeros((ROWS, WIDTH), tl.float32)
    for start in range(0, length, COLUMNS):
        column = start + tl.arange(0, COLUMNS)
        there = (column < length)[:, None] & (at < width)
        place = (pair * slots + column[:, None]) * width + at
        key = tl.load(keys + place, there, 0.0).to(DTYPE)
        score = scale * tl.dot(query, tl.trans(key), input_precision="ieee")
        score = tl.where((column < length)[None, :], score, -1e30)
        higher = tl.maximum(best, tl.max(score, 1))
        weight, kept = tl.exp2(score - higher[:, None]), tl.exp2(best - higher)
        value = tl.load(values + place, there, 0.0).to(DTYPE)
        mixed = mixed * kept[:, None] + tl.dot(weight.to(DTYPE), value, input_precision="ieee")
        total = total * kept + tl.sum(weight, 1)
        best = higher
    mine = ((batch * tokens + token) * heads + head) * width + at
    tl.store(out + mine, (mixed / total[:, None]).to(out.dtype.element_ty), asked)


def attention(q: Tensor, keys: Tensor, values: Tensor, filled: Tensor) -> Tensor:
    """Each row's queries over the first `filled` of its keys.

    Args:
        q: [B, heads, n, d].
        keys: [B, heads, slots, d].
        values: likewise.
        filled: [B] int64, at least 1.

    Returns:
        [B, n, heads * d].
    """
    batch, heads, tokens, width = q.shape
    out = torch.empty(batch, tokens, heads * width, dtype=q.dtype, device=q.device)
    rows = min(64, max(16, triton.next_power_of_2(tokens)))
    half = q.dtype == torch.bfloat16 and q.is_cuda  # the interpreter cannot multiply in bf16
    _attend[(triton.cdiv(tokens, rows), batch * heads)](
        q.contiguous(), keys, values, filled, out,
        heads, tokens, keys.shape[2], width, math.log2(math.e) * width**-0.5,
        ROWS=rows, COLUMNS=64 if half else 32, WIDTH=max(16, triton.next_power_of_2(width)),
        DTYPE=tl.bfloat16 if half else tl.float32,
    )  # fmt: skip
    return out
