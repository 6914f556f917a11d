"""Every kernel gives what its plain twin gives: in Triton's interpreter on a CPU, for real where there is a GPU."""

import dataclasses
import math

import pytest
import torch

pytest.importorskip("triton", reason="Triton is not installed: pip install triton")

from aapt_env import checkpoint  # noqa: E402
from aapt_env.bench import each as bench_each  # noqa: E402
from aapt_env.bench import floor  # noqa: E402
from aapt_env.fast import Fast, fit, ways  # noqa: E402
from aapt_env.fast.fused import FusedBlock, FusedDecoder, swap  # noqa: E402
from aapt_env.fast.kernels import attention, epilogue, noise, norm, pixels, ring, twins  # noqa: E402
from aapt_env.model.cache import FP8, RingCache  # noqa: E402
from aapt_env.model.generator import Generator  # noqa: E402
from aapt_env.model.rope import Rope  # noqa: E402
from aapt_env.model.trunk import Block, TrunkConfig  # noqa: E402
from aapt_env.spec import ControlSpec  # noqa: E402
from aapt_env.train.roller import Roller  # noqa: E402
from aapt_env.world import World  # noqa: E402

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
ROUND = {torch.float32: 2e-5, torch.bfloat16: 2e-2}
DTYPES = pytest.mark.parametrize("dtype", ROUND)


@pytest.fixture(autouse=True)
def _inference():
    torch.manual_seed(0)
    with torch.inference_mode():
        yield


def random(*shape, dtype=torch.float32):
    return torch.randn(*shape).to(DEVICE, dtype)


def same(got, expected, dtype):
    assert got.dtype == expected.dtype and got.shape == expected.shape
    close = ROUND[dtype]
    torch.testing.assert_close(got.float(), expected.float(), rtol=close, atol=close)


@DTYPES
@pytest.mark.parametrize(("batch", "tokens", "width"), [(1, 3, 48), (2, 2, 33)])
def test_adaln(dtype, batch, tokens, width):
    x, parts = random(batch, tokens, width), random(batch, 3, width, dtype=dtype)
    shift, scale, gate = parts.unbind(1)
    branch = random(batch, tokens, width, dtype=dtype)
    for given in ((), (gate, branch)):
        got = norm.adaln(x, shift, scale, *given)
        for mine, plain in zip(got, twins.adaln(x, shift, scale, *given), strict=True):
            same(mine, plain, dtype)


def rings(batch, heads, grid, d, scenes, ages, dtype, window=2):
    """Two equal rings that are full of noise, and a qkv for them."""
    rope = Rope(d, *grid).to(DEVICE)
    torch.manual_seed(1)
    kv = [(random(batch, heads, scenes, d, dtype=dtype),) * 2] * 2
    made = [RingCache(rope, kv, window) for _ in range(2)]
    for name in ("keys", "values", "prefix"):
        noise = torch.randn_like(getattr(made[0], name))
        for each in made:
            getattr(each, name).copy_(noise)
    for each in made:
        each.age.copy_(torch.tensor(ages))
        each.prepare()
        each.place = None
    return *made, random(batch, grid[0] * grid[1], 3 * heads * d, dtype=dtype)


@DTYPES
@pytest.mark.parametrize(
    ("batch", "heads", "grid", "d", "scenes", "ages"),
    [(1, 2, (2, 3), 8, 1, [5]), (3, 1, (3, 7), 24, 0, [0, 3, 9])],
)
def test_place(dtype, batch, heads, grid, d, scenes, ages):
    """Of mixed ages: one row writes its sink, whose keys are kept unturned too."""
    mine, plain, qkv = rings(batch, heads, grid, d, scenes, ages, dtype)
    weights = random(d, dtype=dtype), random(d, dtype=dtype)
    same(ring.place(qkv, *weights, mine, 1), twins.place(qkv, *weights, plain, 1), dtype)
    for name in ("keys", "values", "prefix"):
        same(getattr(mine, name), getattr(plain, name), dtype)


@DTYPES
@pytest.mark.parametrize(
    ("heads", "tokens", "slots", "d", "filled"),
    [(2, 5, 70, 8, [70, 1]), (1, 33, 40, 24, [17])],
)
def test_attention(dtype, heads, tokens, slots, d, filled):
    """What lies behind the filled part may be anything, and is not read."""
    batch = len(filled)
    q = random(batch, heads, tokens, d, dtype=dtype)
    keys, values = (random(batch, heads, slots, d, dtype=dtype) for _ in range(2))
    length = torch.tensor(filled, device=DEVICE)
    expected = twins.attention(q, keys, values, length)
    for row, end in enumerate(filled):
        keys[row, :, end:] = values[row, :, end:] = math.nan
    same(attention.attention(q, keys, values, length), expected, dtype)


@DTYPES
def test_a_ring_in_fp8_is_written_and_read_as_by_the_plain_way(dtype):
    """Rounding may differ by a step where a product before it does: an eighth of a number.

    Triton's interpreter forgets the carry where a number rounds up to a power of two, and makes half of it; and it
    rounds the smallest numbers, below 2**-6, in another way.
    """
    mine, plain, qkv = rings(2, 2, (2, 3), 8, 1, [5, 0], dtype)
    for each in (mine, plain):
        each.keys, each.values = each.keys.to(FP8), each.values.to(FP8)
    weights = random(8, dtype=dtype), random(8, dtype=dtype)
    q = ring.place(qkv, *weights, mine, 1)
    same(q, twins.place(qkv, *weights, plain, 1), dtype)
    for name in ("keys", "values"):
        got, expected = (getattr(each, name).float() for each in (mine, plain))
        if DEVICE.type == "cpu":
            carried = (got * 2 == expected) & (expected.abs().frexp().mantissa == 0.5)
            assert carried.float().mean() < 0.02
            got = torch.where(carried, expected, got)
        torch.testing.assert_close(got, expected, rtol=0.13, atol=2**-6)
        assert (got != expected).float().mean() < (0.001 if dtype == torch.float32 else 0.01)
    read = mine.read(mine.keys[1], mine.values[1])[:2]
    got = attention.attention(q, mine.keys[1], mine.values[1], mine.filled)
    same(got, twins.attention(q, *read, mine.filled), dtype)


@DTYPES
@pytest.mark.parametrize("change", [0.0, 0.02])
@pytest.mark.parametrize(("patch", "height", "width"), [(2, 4, 6), (1, 3, 5)])
def test_velocity(dtype, change, patch, height, width):
    shape = 2, 2, 3, height, width
    out = random(2, 2, height * width // patch**2, 3 * patch**2, dtype=dtype)
    given = random(*shape), random(*shape), torch.tensor([[1.0, 0.3], [0.9, 1.0]], device=DEVICE)
    got = epilogue.velocity(out, *given, patch, change)
    same(got, twins.velocity(out, *given, patch, change), dtype)


@DTYPES
def test_what_lies_between_convolutions(dtype):
    x, branch = random(2, 5, 3, 7, dtype=dtype), random(2, 5, 3, 7, dtype=dtype)
    pairs = zip(pixels.add_silu(x, branch), twins.add_silu(x, branch), strict=True)
    for got, expected in pairs:
        same(got, expected, dtype)
    same(pixels.pair_silu(x, branch), twins.pair_silu(x, branch), dtype)


@DTYPES
@pytest.mark.parametrize(("k", "patch"), [(4, 2), (1, 4)])
def test_pixels_to_the_bit(dtype, k, patch):
    x = random(2, 3 * k * patch**2, 3, 5, dtype=dtype)
    x[0, 0] = 0.0  # 127.5: halves go to even
    assert torch.equal(pixels.pixels(x, k, patch), twins.pixels(x, k, patch))


def test_noise_is_the_noise_of_seed_and_position():
    seeds = torch.tensor([0, 7, 2**62 - 1], device=DEVICE)
    position = torch.tensor([1, 2**33 + 5, 4], device=DEVICE)
    got, expected = (made(seeds, position, (3, 5, 7)) for made in (noise.noise, twins.noise))
    torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-6)


def test_a_world_on_kernels_dreams_as_the_plain_one(tiny, random_rows):
    """One row has a start behind it, the other begins from a picture and writes its sink."""
    loaded = checkpoint.read(tiny)
    picture = dataclasses.replace(loaded.starts[1], frames=loaded.starts[1].frames[:1])
    shown = []
    for fused in (False, True):
        world = World(loaded, 2, DEVICE, bf16=False, fast=Fast(way="plain"))
        world.reset_rows([0, 1], [loaded.starts[0], picture], [3, 4])
        if fused:
            swap(world.generator, world.vae)
            world.noise_at, world.way = noise.noise, ways.Still()
            assert isinstance(world.generator.trunk.blocks[0], FusedBlock)
            assert isinstance(world.vae.decoder, FusedDecoder)
        shown.append(world.step(random_rows(loaded.spec, 2)))
        prefix = world.cache.prefix.clone()
    gap = (shown[0].int() - shown[1].int()).abs()
    assert shown[0].float().std() > 10 and prefix[0, 1, :, -1].any()
    assert gap.max() <= 1 and gap.float().mean() < 0.01


def test_the_bench_times_every_kernel_beside_its_twin(tiny, monkeypatch):
    monkeypatch.setattr(floor, "PATIENCE", 0.0)
    world = World(checkpoint.read(tiny), 1, DEVICE, bf16=False, fast=Fast(way="plain"))
    rates = floor.Rates({"float32": 1e12}, {"float32": (1, 1, 1)}, bandwidth=1e12)
    rows = bench_each.measure(world, rates)
    assert len(rows) == 9 and all(0 < row.floor < 1e6 * row.kernel for row in rows)
    said = bench_each.text(rows)
    assert all(f"\n{row.name}" in said for row in rows) and "plain / fused" in said


def test_kernels_need_a_gpu_and_triton(tiny, monkeypatch, capsys):
    loaded = checkpoint.read(tiny)
    nets, cpu = (loaded.generator, loaded.vae), torch.device("cpu")
    with pytest.raises(ValueError, match="kernels run on a CUDA GPU, this world is on cpu"):
        fit.fit(Fast(kernels=True), *nets, cpu)
    monkeypatch.setattr(fit, "triton", lambda: False)
    assert fit.fit(Fast(kernels=True), *nets, torch.device("cuda")) is twins.noise
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "pip install triton" in said


@pytest.mark.parametrize("bf16", [False, True])
def test_rollouts_of_a_training_take_the_kernels_of_play_with_the_weights_of_now(bf16):
    """Under autocast a copy rolls out; it is played as a bf16 world is, and learns nothing by itself."""
    config = TrunkConfig(channels=4, rows=4, columns=4, dim=32, depth=2, heads=2, window=4, scenes=(2,))  # fmt: skip
    made = Generator(config, ControlSpec(space="MultiBinary", size=2)).to(DEVICE)
    for p in made.parameters():
        torch.nn.init.normal_(p, std=0.1)
    start, noise = random(3, 3, 4, 4, 4), random(3, 9, 4, 4, 4)
    controls, scene = random(3, 9, 4, 2).gt(0).float(), torch.tensor([[0], [1], [0]]).to(DEVICE)
    inputs = start, controls, noise, scene
    fast, plain = Roller(made, kernels=True), Roller(made, kernels=False)
    with torch.autocast(DEVICE.type, torch.bfloat16, enabled=bf16):
        for _ in range(2):
            got, memory = fast(*inputs, given=2, keep=7)
            expected, kept = plain(*inputs, given=2, keep=7)
            same(got, expected, torch.bfloat16)
            for mine, theirs in zip((memory.keys, memory.values), (kept.keys, kept.values), strict=True):  # fmt: skip
                same(mine, theirs, torch.bfloat16)
            made.leave.weight.mul_(-1)
    assert (fast.fused is not None) == bf16
    if bf16:
        assert isinstance(fast.fused.trunk.blocks[0], FusedBlock)
        assert type(made.trunk.blocks[0]) is Block
