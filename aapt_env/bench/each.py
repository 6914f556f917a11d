"""Every fused kernel beside its plain twin and beside the floor, at a world's sizes, on a GPU."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from aapt_env.bench.floor import Rates, Work, best_seconds, size
from aapt_env.world import World

REPEATS = 50  # runs in one recording, so that what is timed is the device and not the launches


@dataclass(frozen=True)
class Case:
    """One kernel and what it stands in for."""

    name: str
    kernel: Callable[[], Any]
    twin: Callable[[], Any]
    work: Work  # what either cannot do without


@dataclass(frozen=True)
class Row:
    """Microseconds of one kernel."""

    name: str
    kernel: float
    twin: float
    floor: float

    @property
    def wins(self) -> bool:
        """Whether the kernel is the faster one."""
        return self.kernel < self.twin


def unmasked(q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """What torch has for a ring that is full: q [B, heads, n, d] -> [B, n, heads * d]."""
    return rearrange(F.scaled_dot_product_attention(q, keys, values), "b h n d -> b n (h d)")


def between_products(world: World) -> list[Case]:
    """Kernels of the generator's blocks and head."""
    from aapt_env.fast.kernels import attention, epilogue, noise, norm, ring, twins

    sizes, cache, dtype = world.generator.config, world.cache, world.dtype
    batch, heads, slots, d = cache.keys.shape[1:]
    like = partial(torch.randn, device=world.device)
    x, branch = (
        like(batch, sizes.tokens, sizes.dim),
        like(batch, sizes.tokens, sizes.dim, dtype=dtype),
    )
    shift, scale, gate = like(batch, 3, sizes.dim, dtype=dtype).unbind(1)
    qkv, weight = like(batch, sizes.tokens, 3 * sizes.dim, dtype=dtype), like(d, dtype=dtype)
    q = like(batch, heads, sizes.tokens, d, dtype=dtype)
    keys, values = cache.keys[0], cache.values[0]
    full = torch.full((batch,), slots, device=world.device)
    latent = like(batch, 1, *world.spec.latent_shape)
    out = like(batch, 1, sizes.tokens, sizes.channels * sizes.patch**2, dtype=dtype)
    given = out, latent, latent, torch.ones(batch, 1, device=world.device)
    about, seen = (sizes.patch, sizes.change), (q, keys, values, full)
    moment = world.seeds, cache.age + 1, world.spec.latent_shape
    products = Work(4 * q.numel() * slots, size([q, q, keys, values]))
    parts = x, shift, scale, gate, branch
    return [
        case("adaLN", norm.adaln, twins.adaln, parts, [x, x, branch, branch]),
        case(
            "QK-norm, RoPE, write", ring.place, twins.place, (qkv, weight, weight, cache, 0),
            [qkv, qkv, *cache.turn],
        ),
        Case("attention", partial(attention.attention, *seen), partial(twins.attention, *seen), products),
        Case("attention, ring full", partial(attention.attention, *seen), partial(unmasked, *seen[:3]), products),
        case("velocity", epilogue.velocity, twins.velocity, (*given, *about), [out, latent, latent, latent]),
        case("noise", noise.noise, twins.noise, moment, [latent]),
    ]  # fmt: skip


def between_convolutions(world: World) -> list[Case]:
    """Kernels of the decoder, at its finest scale."""
    from aapt_env.fast.kernels import pixels, twins

    k, patch = world.vae.config.k, world.vae.config.patch
    last = world.decoder[-1]
    x, past = (
        torch.randn_like(last).contiguous(memory_format=torch.channels_last) for _ in range(2)
    )
    cells = last.shape[0], 3 * k * patch**2, *last.shape[2:]
    end = torch.randn(cells, device=last.device).to(last.dtype, memory_format=torch.channels_last)
    bytes_out = torch.empty(cells, dtype=torch.uint8, device="meta")
    return [
        case("memory, SiLU", pixels.pair_silu, twins.pair_silu, (x, past), [x, past, x, past]),
        case("sum, SiLU", pixels.add_silu, twins.add_silu, (x, past), [x, past, x, past]),
        case("pixels", pixels.pixels, twins.pixels, (end, k, patch), [end, bytes_out]),
    ]


def case(name: str, kernel: Callable, twin: Callable, given: tuple, moved: list[Tensor]) -> Case:
    """A kernel that moves tensors and multiplies nothing."""
    return Case(name, partial(kernel, *given), partial(twin, *given), Work(0, size(moved)))


@torch.inference_mode()
def measure(world: World, rates: Rates) -> list[Row]:
    """Time all of them."""
    dtype = "bf16" if world.dtype == torch.bfloat16 else "float32"
    rows = []
    for each in (*between_products(world), *between_convolutions(world)):
        kernel, twin = (1e6 * seconds(work, world.device) for work in (each.kernel, each.twin))
        rows.append(Row(each.name, kernel, twin, 1000 * rates.floor(each.work, dtype)))
    return rows


def seconds(work: Callable[[], Any], device: torch.device) -> float:
    """One run; on a GPU of a recording of many."""
    if device.type != "cuda":
        return best_seconds(work, device)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        work()
    torch.cuda.synchronize(device)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(REPEATS):
            work()
    return best_seconds(graph.replay, device) / REPEATS


def text(rows: list[Row]) -> str:
    """A line each."""
    lines = ["kernel                   fused us   plain us   floor us   plain / fused"]
    lines += [
        f"{r.name:<22} {r.kernel:>10.2f} {r.twin:>10.2f} {r.floor:>10.2f} {r.twin / r.kernel:>15.2f}"
        for r in rows
    ]
    lost = [r.name for r in rows if not r.wins]
    gain = math.fsum(r.twin - r.kernel for r in rows if r.wins)
    verdict = f"slower than plain: {'; '.join(lost)}" if lost else "every kernel wins"
    return "\n".join([*lines, "", f"{verdict}; run once each, those that win save {gain:.0f} us"])
