"""LayerNorm with adaLN's scale and shift, and the gated branch that is added before it, in one pass over a token."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def _adaln(
    x, branch, gate, shift, scale, added, out,
    tokens, width, mod_stride,
    BRANCH: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    inside = at < width
    mod = row // tokens * mod_stride + at
    value = tl.load(x + row * width + at, inside, 0.0).to(tl.float32)
    if BRANCH:
        by = tl.load(gate + mod, inside, 0.0).to(tl.float32)
        value += by * tl.load(branch + row * width + at, inside, 0.0).to(tl.float32)
        tl.store(added + row * width + at, value.to(added.dtype.element_ty), inside)
    centred = tl.where(inside, value - tl.sum(value, 0) / width, 0.0)
    spread = tl.sum(centred * centred, 0) / width
    normal = centred * tl.rsqrt(spread + 1e-5)
    high = tl.load(scale + mod, inside, 0.0).to(tl.float32)
    low = tl.load(shift + mod, inside, 0.0).to(tl.float32)
    tl.store(out + row * width + at, (normal * (1 + high) + low).to(out.dtype.element_ty), inside)


def adaln(
    x: Tensor,
    shift: Tensor,
    scale: Tensor,
    gate: Tensor | None = None,
    branch: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Add a gated branch to the residual stream, then norm, scale and shift.

    Args:
        x: [B, n, D] residual stream.
        shift: [B, D]; its rows as far apart as those of `scale` and `gate`.
        scale: [B, D].
        gate: [B, D].
        branch: [B, n, D]; with None x is taken as it is.

    Returns:
        x + gate * branch [B, n, D], and its adaLN [B, n, D] in the dtype of `scale`.
    """
    batch, tokens, width = x.shape
    x = x.contiguous()
    out = torch.empty_like(x, dtype=scale.dtype)
    added = x if branch is None else torch.empty_like(x)
    given = (x, shift) if branch is None or gate is None else (branch.contiguous(), gate)
    _adaln[(batch * tokens,)](
        x, *given, shift, scale, added, out,
        tokens, width, shift.stride(0),
        BRANCH=branch is not None, BLOCK=triton.next_power_of_2(width),
    )  # fmt: skip
    return added, out
