"""From what the generator's last layer gives to the velocity: patches laid out as cells, and the guess added."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 1024


@triton.jit
def _velocity(
    out, x, previous, t, made,
    count, cells, height, width, features, change,
    PATCH: tl.constexpr, GUESS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    column, row = at % width, at // width % height
    channel, which = at // (width * height) % cells, at // (width * height * cells)
    token = row // PATCH * (width // PATCH) + column // PATCH
    feature = (channel * PATCH + row % PATCH) * PATCH + column % PATCH
    tokens = height * width // (PATCH * PATCH)
    value = tl.load(out + (which * tokens + token) * features + feature, inside, 0.0).to(tl.float32)
    if GUESS:
        noisy = tl.load(x + at, inside, 0.0).to(tl.float32)
        last = tl.load(previous + at, inside, 0.0).to(tl.float32)
        time = tl.load(t + which, inside, 1.0).to(tl.float32)
        left = 1 - time
        slope = (time - left * change) / (time * time + left * left * change)
        value += (noisy - left * last) * slope - last
    tl.store(made + at, value.to(made.dtype.element_ty), inside)


def velocity(
    out: Tensor, x: Tensor, previous: Tensor, t: Tensor, patch: int, change: float
) -> Tensor:
    """The velocity at x, as `Generator.velocity`.

    Args:
        out: [B, T, N, C * patch**2].
        x: [B, T, C, h, w].
        previous: [B, T, C, h, w].
        t: [B, T] diffusion time.
        patch: latent cells per token, each way.
        change: of the guess; 0 for none.

    Returns:
        [B, T, C, h, w] in the dtype of x.
    """
    channels, height, width = x.shape[2:]
    made = torch.empty_like(x, memory_format=torch.contiguous_format)
    given = (each.contiguous() for each in (out, x, previous, t))
    _velocity[(triton.cdiv(x.numel(), BLOCK),)](
        *given, made,
        x.numel(), channels, height, width, out.shape[-1], float(change),
        PATCH=patch, GUESS=change != 0, BLOCK=BLOCK,
    )  # fmt: skip
    return made
