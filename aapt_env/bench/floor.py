"""What a step has to do, what the machine can do, and so the floor: how fast a step could be at best."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from aapt_env.bench.clock import Clock
from aapt_env.model.packed import OPS
from aapt_env.world import World

# Rows, inner and columns of the products whose best rate is the machine's.
SHAPES = {
    "cpu": ((512, 512, 512), (1024, 1024, 1024), (2048, 2048, 2048), (4096, 512, 512)),
    "cuda": ((2048, 2048, 2048), (4096, 4096, 4096), (8192, 8192, 8192), (16384, 2048, 2048)),
}
COPY = {"cpu": 2**28, "cuda": 2**30}  # bytes copied, more than any cache holds
PATIENCE = 0.2  # seconds a product or a copy is repeated for
LONGEST = 2.0  # seconds that a product may take: without bf16 units the large ones take minutes
DTYPES = {"bf16": torch.bfloat16, "float32": torch.float32}


@dataclass(frozen=True)
class Work:
    """What one step cannot do without."""

    flops: int  # of matrix products and convolutions; a multiply-add counts as two
    bytes: int  # weights and memory, each touched once

    def __add__(self, other: Work) -> Work:
        return Work(self.flops + other.flops, self.bytes + other.bytes)


@dataclass(frozen=True)
class Rates:
    """What the machine does at best, measured with the threads of the run."""

    matmul: dict[str, float]  # dtype -> FLOP/s of the best shape
    shape: dict[str, tuple[int, int, int]]  # dtype -> that shape
    bandwidth: float  # bytes/s of a copy, read and written both counted

    def floor(self, work: Work, dtype: str) -> float:
        """Milliseconds: max(FLOPs / rate, bytes / bandwidth)."""
        return 1000 * max(work.flops / self.matmul[dtype], work.bytes / self.bandwidth)


def packed_conv(x, w, *rest, out_shape=None, **named) -> int:
    """FLOPs of a convolution whose weight is blocked; shapes in."""
    return conv_flop_count(x, w, out_shape, transposed=False)


def packed_linear(x, w, *rest, out_shape=(), **named) -> int:
    """FLOPs of a product whose weight is blocked; shapes in."""
    return 2 * math.prod(out_shape or ()) * x[-1]


def fused_attention(q, k, v, *rest, out_shape=None, **named) -> int:
    """FLOPs of attention of q [B, heads, n, d] over k, v [B, heads, m, d]; shapes in."""
    return 2 * math.prod(q[:3]) * k[2] * (q[3] + v[3])


NAMED = {
    (OPS, "_convolution_pointwise"): packed_conv,
    (OPS, "_linear_pointwise"): packed_linear,
    (torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu"): fused_attention,
}
UNKNOWN = {getattr(ops, name): f for (ops, name), f in NAMED.items() if hasattr(ops, name)}


def count(world: World, rows: np.ndarray | Tensor) -> tuple[Work, Work]:
    """The work of generator and decoder, counted in one step of the world, real or on the meta device."""
    world.step(rows)  # first calls lay weights out
    with FlopCounterMode(display=False, custom_mapping=UNKNOWN) as generator:
        world.advance(rows)
    with FlopCounterMode(display=False, custom_mapping=UNKNOWN) as decoder:
        world.show()
    network, cache = world.generator, world.cache
    scene = ("trunk.scene_table.weight", "trunk.scene_modulation")  # read at a reset only
    weights = [p for name, p in network.named_parameters() if name not in scene]
    memory = [cache.keys, cache.values, cache.prefix]
    states = [*world.decoder, *world.decoder]  # read and written
    return (
        Work(generator.get_total_flops(), size([*weights, *memory])),
        Work(decoder.get_total_flops(), size([*world.vae.decoder.parameters(), *states])),
    )


def size(tensors: list[Tensor]) -> int:
    """Bytes of all."""
    return sum(tensor.nbytes for tensor in tensors)


def rates(device: torch.device) -> Rates:
    """Measure the machine: the best of several products per dtype, and a copy."""
    matmul, shapes = {}, {}
    for name, dtype in DTYPES.items():
        found: dict[tuple[int, int, int], float] = {}
        for shape in sorted(SHAPES[device.type], key=math.prod):
            if not found or 2 * math.prod(shape) <= LONGEST * max(found.values()):
                found[shape] = matmul_rate(shape, dtype, device)
        shapes[name] = max(found, key=found.__getitem__)
        matmul[name] = found[shapes[name]]
    return Rates(matmul, shapes, bandwidth(device))


def matmul_rate(shape: tuple[int, int, int], dtype: torch.dtype, device: torch.device) -> float:
    """FLOP/s of [n, m] @ [m, o]."""
    n, m, o = shape
    a, b = torch.randn(n, m, device=device), torch.randn(m, o, device=device)
    a, b, out = a.to(dtype), b.to(dtype), torch.empty(n, o, device=device, dtype=dtype)
    return 2 * n * m * o / best_seconds(lambda: torch.mm(a, b, out=out), device)


def bandwidth(device: torch.device) -> float:
    """Bytes/s of a copy from memory to memory on the device, read and written both counted."""
    source = torch.zeros(COPY[device.type], dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / best_seconds(lambda: target.copy_(source), device)


def best_seconds(work: Callable[[], object], device: torch.device) -> float:
    """The shortest of at least three runs after a first one, for about `PATIENCE` seconds."""
    clock, times = Clock(device), []
    work()
    begun = time.perf_counter()
    while len(times) < 3 or time.perf_counter() - begun < PATIENCE:
        first = clock.mark()
        work()
        second = clock.mark()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(clock.between(first, second) / 1000)
    return min(times)
