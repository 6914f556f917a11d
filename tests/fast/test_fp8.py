"""Weights in fp8: what rounding costs is bounded, and a world still dreams about the same."""

import pytest
import torch

from aapt_env import checkpoint
from aapt_env.fast import Fast
from aapt_env.fast.fp8 import FP8, Fp8Linear, quantise, to_fp8, whole
from aapt_env.world import World


@pytest.mark.parametrize("spread", [1e-6, 1.0, 1e6])
def test_rounding_is_bounded(spread):
    """Three bits of mantissa: a sixteenth of a value at most; the smallest are whole steps of 2**-9 of the scale."""
    torch.manual_seed(0)
    x = torch.randn(8, 300) * spread * torch.logspace(-2, 2, 8)[:, None]
    rows, scale = quantise(x)
    error = (whole(rows, scale, x) - x).abs()
    assert rows.dtype == FP8 and scale.shape == (8, 1)
    assert (error <= 1.001 * (x.abs() / 16).maximum(scale * 2**-10)).all()
    assert (error.square().mean(1).sqrt() / x.square().mean(1).sqrt()).max() < 0.04


def test_a_row_of_zeros_stays_zero():
    rows, scale = quantise(torch.zeros(2, 4))
    assert not whole(rows, scale, torch.zeros(1)).any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_blocks_are_rounded_and_nothing_else(tiny, dtype):
    generator = checkpoint.read(tiny).generator.to(dtype).requires_grad_(False)
    before = {name: p.clone() for name, p in generator.named_parameters()}
    assert to_fp8(generator) == 4 * generator.config.depth
    layers = [each for each in generator.modules() if isinstance(each, Fp8Linear)]
    assert all(layer.weight.dtype == FP8 for layer in layers)
    for name, p in generator.named_parameters():
        assert p.dtype == FP8 or torch.equal(p, before[name])
    x = torch.randn(2, 3, layers[0].in_features).to(dtype)
    weight = before["trunk.blocks.0.qkv.weight"]
    expected = torch.nn.functional.linear(x, weight, layers[0].bias).float()
    error = layers[0](x).float() - expected
    assert layers[0](x).dtype == dtype and error.norm() < 0.06 * expected.norm()


def test_a_world_on_fp8_dreams_about_the_same(tiny, random_rows):
    loaded = checkpoint.read(tiny)
    controls, shown = random_rows(loaded.spec, 4), []
    for weights in ("full", "fp8"):
        world = World(loaded, bf16=False, fast=Fast(weights=weights))
        world.reset(0, loaded.starts[0], 0)
        shown.append(torch.stack([world.step(row[None]) for row in controls]).float())
    gap = (shown[0] - shown[1]).abs().mean()
    assert 0 < gap < 0.5 * shown[0].std()
    with pytest.raises(ValueError, match="weights='int2'; expected one of full, fp8"):
        Fast(weights="int2")
    with pytest.raises(ValueError, match="cache='int2'; expected one of full, fp8"):
        Fast(cache="int2")
    with pytest.raises(ValueError, match="kernels='no'; expected True or False"):
        Fast(kernels="no")


def test_a_cache_in_fp8_takes_half_the_memory_of_bf16_and_dreams_about_the_same(tiny, random_rows):
    loaded, shown, held = checkpoint.read(tiny), [], []
    controls = random_rows(loaded.spec, 9)
    for cache in ("full", "fp8"):
        world = World(loaded, bf16=True, fast=Fast(cache=cache))
        world.reset(0, loaded.starts[0], 0)
        shown.append(torch.stack([world.step(row[None]) for row in controls]).float())
        held.append(world.cache.keys.nbytes + world.cache.values.nbytes)
        assert (world.cache.keys.dtype == FP8) == (cache == "fp8")
        assert world.cache.keys.float().isfinite().all()
    gap = (shown[0] - shown[1]).abs().mean()
    assert 0 < gap < 0.5 * shown[0].std() and held[0] == 2 * held[1]


def test_a_row_of_a_cache_in_fp8_does_not_depend_on_the_others(tiny, random_rows):
    """Ages apart, one row begun anew, and one copied to another world."""
    loaded = checkpoint.read(tiny)
    alone, many = (World(loaded, n, bf16=True, fast=Fast(cache="fp8")) for n in (1, 3))
    rows = random_rows(loaded.spec, 6)
    for world in (alone, many):
        world.reset(0, loaded.starts[0], 5)
    many.reset_rows([1, 2], [loaded.starts[1]] * 2, [6, 7])
    for i, row in enumerate(rows):
        if i == 3:
            many.reset_rows([2], [loaded.starts[0]], [8])
        one, three = alone.step(row[None]), many.step(row[None].repeat(3, 0))
        assert torch.equal(one[0], three[0])
    fork = many.cache.select(torch.tensor([0, 0]))
    assert torch.equal(fork.keys[:, 1].view(torch.uint8), many.cache.keys[:, 0].view(torch.uint8))


@pytest.mark.gpu
def test_a_gpu_multiplies_in_fp8_what_a_cpu_rounds_and_multiplies(tiny):
    generator = checkpoint.read(tiny).generator.to(torch.bfloat16).requires_grad_(False)
    to_fp8(generator)
    layer = generator.trunk.blocks[0].qkv
    x = torch.randn(2, 3, layer.in_features).bfloat16()
    expected = layer(x).float()
    layer.weight, layer.bias = (
        torch.nn.Parameter(p.cuda(), requires_grad=False) for p in (layer.weight, layer.bias)
    )
    layer.scale = layer.scale.cuda()
    if not layer.native(x.cuda()):
        pytest.skip("this GPU does not multiply in fp8")
    torch.testing.assert_close(layer(x.cuda()).float().cpu(), expected, rtol=2e-2, atol=2e-2)
