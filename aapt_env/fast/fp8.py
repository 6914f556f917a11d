"""Weights of the generator's blocks in fp8 (e4m3): half the bytes of bf16, one scale per output.

A Hopper GPU multiplies in fp8, for which the input is rounded too, with one scale per token. Elsewhere the same
rounding is done and the product taken in the network's dtype, so that its cost in quality can be measured anywhere.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aapt_env.model.cache import FP8, MOST
from aapt_env.model.trunk import Block


def quantise(x: Tensor) -> tuple[Tensor, Tensor]:
    """[n, m] -> fp8 [n, m] and float32 scales [n, 1]: the largest number of a row becomes the largest there is."""
    x = x.float()
    scale = x.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / MOST
    return (x / scale).clamp(-MOST, MOST).to(FP8), scale


class Fp8Linear(nn.Linear):
    """y = x W^T + b with W in fp8 and x rounded to fp8."""

    scale: Tensor  # [out, 1] of the weight

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] -> [..., out] in the dtype of x."""
        rows, of_rows = quantise(x.reshape(-1, x.shape[-1]))
        if self.native(x):
            y = torch._scaled_mm(
                rows, self.weight.t(), of_rows, self.scale.t(), bias=self.bias, out_dtype=x.dtype
            )
        else:
            y = F.linear(whole(rows, of_rows, x), whole(self.weight, self.scale, x), self.bias)
        return y.reshape(*x.shape[:-1], self.out_features)

    def native(self, x: Tensor) -> bool:
        """Whether the GPU multiplies these in fp8: a Hopper or newer, in bf16, sizes in steps of 16."""
        fits = x.is_cuda and x.dtype == torch.bfloat16
        fits = fits and not (self.in_features % 16 or self.out_features % 16)
        return fits and torch.cuda.get_device_capability(x.device) >= (9, 0)


def whole(rows: Tensor, scale: Tensor, like: Tensor) -> Tensor:
    """What fp8 rows stand for, in the dtype of `like`."""
    return (rows.float() * scale).to(like.dtype)


@torch.no_grad()
def to_fp8(network: nn.Module) -> int:
    """Put the products of all blocks of a network on fp8; returns how many. The network moves and trains no more."""
    layers = [
        layer
        for block in network.modules()
        if isinstance(block, Block)
        for layer in block.children()
        if type(layer) is nn.Linear
    ]
    for layer in layers:
        layer.__class__ = Fp8Linear
        weight, scale = quantise(layer.weight)
        layer.weight = nn.Parameter(weight, requires_grad=False)
        layer.register_buffer("scale", scale, persistent=False)
    return len(layers)
