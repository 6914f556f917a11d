"""Weights laid out once for the CPU, instead of anew at every call. Speed from outside: the networks stay as they are.

oneDNN, the library under torch's convolutions and bf16 products, works on blocked weights. Plain modules hand it plain
ones, which it reorders each time; for a batch of one that is half of the work. `pack` gives every convolution and bf16
product of a network a copy that is blocked already. In bf16 the same bits, in float32 rounding; `unpack` goes back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)
MOST = (
    2**28
)  # bytes of weights that are held twice; a larger network is bound by reading them anyway
LAYOUTS = 4  # input shapes that a layer keeps a copy for: the step's, and those of starts
OPS = torch.ops.mkldnn


class Packed(nn.Module):
    """What packed layers share. Copies follow no move and no change: pack when the network stands."""

    weight: Tensor
    bias: Tensor | None
    layouts: dict[torch.Size, Tensor | None]  # by input shape; None: the plain way

    def __getstate__(self) -> dict:
        """Copies are made anew after a copy or a pickle."""
        return {**self.__dict__, "layouts": {}}

    def _apply(self, fn: Callable, recurse: bool = True):
        """Copies of weights that moved are of no use."""
        self.layouts.clear()
        return super()._apply(fn, recurse)

    def blocked(self, x: Tensor) -> Tensor | None:
        """The copy for inputs of this shape; None where the plain way has to be taken."""
        if torch.is_grad_enabled() or x.dtype != self.weight.dtype or x.device.type != "cpu":
            return None
        if x.shape not in self.layouts:
            if len(self.layouts) >= LAYOUTS:
                return None
            self.layouts[x.shape] = self.checked(x)
        return self.layouts[x.shape]

    def checked(self, x: Tensor) -> Tensor | None:
        """A new copy, if the product with it is the plain one."""
        try:
            copy = self.block(x)
            fine = torch.allclose(self.quick(x, copy), self.plain(x), rtol=1e-2, atol=1e-3)
        except (RuntimeError, TypeError, AttributeError) as error:  # private ops: they may change
            log.info("weights stay unpacked: %s", " ".join(str(error).split()))
            return None
        return copy if fine else None

    def forward(self, x: Tensor) -> Tensor:
        """As the layer's own."""
        copy = self.blocked(x)
        return self.plain(x) if copy is None else self.quick(x, copy)

    def block(self, x: Tensor) -> Tensor:
        """The weight, blocked for inputs like x."""
        raise NotImplementedError

    def quick(self, x: Tensor, copy: Tensor) -> Tensor:
        """The layer with its copy."""
        raise NotImplementedError

    def plain(self, x: Tensor) -> Tensor:
        """The layer as it was."""
        raise NotImplementedError


class PackedLinear(Packed, nn.Linear):
    """A bf16 product whose weight is blocked."""

    def block(self, x: Tensor) -> Tensor:
        """For as many rows as x has."""
        return OPS._reorder_linear_weight(self.weight, x.numel() // x.shape[-1])

    def quick(self, x: Tensor, copy: Tensor) -> Tensor:
        """[..., in] -> [..., out]."""
        return OPS._linear_pointwise(x, copy, self.bias, "none", [], "")

    def plain(self, x: Tensor) -> Tensor:
        """[..., in] -> [..., out]."""
        return nn.Linear.forward(self, x)


class PackedConv(Packed, nn.Conv2d):
    """A convolution whose weight is blocked."""

    def shape(self) -> tuple[Any, ...]:
        """How oneDNN is told about padding, stride, dilation and groups."""
        return list(self.padding), list(self.stride), list(self.dilation), self.groups

    def block(self, x: Tensor) -> Tensor:
        """For images of the size of x."""
        return OPS._reorder_convolution_weight(self.weight, *self.shape(), list(x.shape))

    def quick(self, x: Tensor, copy: Tensor) -> Tensor:
        """[n, in, h, w] -> [n, out, h', w']."""
        return OPS._convolution_pointwise(x, copy, self.bias, *self.shape(), "none", [], "")

    def plain(self, x: Tensor) -> Tensor:
        """[n, in, h, w] -> [n, out, h', w']."""
        return nn.Conv2d.forward(self, x)


WAYS: dict[type, type[Packed]] = {nn.Linear: PackedLinear, nn.Conv2d: PackedConv}


def able() -> bool:
    """Whether this torch has oneDNN with the operations that are needed."""
    needed = "_reorder_linear_weight", "_linear_pointwise", "_reorder_convolution_weight"
    found = all(hasattr(OPS, name) for name in (*needed, "_convolution_pointwise"))
    return found and torch.backends.mkldnn.is_available()


def pack(network: nn.Module) -> int:
    """Give the layers of a network on a CPU blocked copies of their weights, made when first called without gradients.

    Convolutions of both dtypes, products in bf16; a network of more than `MOST` bytes is left alone.

    Returns:
        How many layers were given one; 0 where it cannot be done, and all stays plain.
    """
    size = sum(p.nbytes for p in network.parameters())
    if not able() or size > MOST or any(p.device.type != "cpu" for p in network.parameters()):
        return 0
    done = 0
    for layer in network.modules():
        way = WAYS.get(type(layer))
        if way is None or (way is PackedLinear and layer.weight.dtype != torch.bfloat16):
            continue
        layer.__class__, layer.layouts = way, {}
        done += 1
    return done


def unpack(network: nn.Module) -> None:
    """Undo `pack`."""
    for layer in network.modules():
        if isinstance(layer, Packed):
            layer.__class__ = type(layer).__mro__[2]
            del layer.layouts
