"""Fast paths on a CPU are the plain ones: blocked weights, noise made ahead, fused attention, turns in one go."""

import copy
import pickle

import pytest
import torch
from torch import nn

from aapt_env.model import packed
from aapt_env.model.ahead import NoiseAhead
from aapt_env.model.packed import Packed, pack, unpack
from aapt_env.model.rollout import noise_at
from aapt_env.model.rope import rotate, turn
from aapt_env.model.trunk import attend
from aapt_env.model.vae import VAE, VAEConfig

needs_onednn = pytest.mark.skipif(not packed.able(), reason="this torch has no oneDNN")
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])


def network(dtype):
    torch.manual_seed(0)
    layers = nn.Conv2d(8, 16, 3, padding=1), nn.SiLU(), nn.Flatten(2), nn.Linear(36, 24)
    return nn.Sequential(*layers).to(dtype).requires_grad_(False)


def layouts(made):
    return [len(layer.layouts) for layer in made.modules() if isinstance(layer, Packed)]


@needs_onednn
@DTYPES
@pytest.mark.parametrize("batch", [1, 3])
def test_packed_layers_are_the_plain_ones(dtype, batch):
    plain, quick = network(dtype), network(dtype)
    assert pack(quick) == (2 if dtype == torch.bfloat16 else 1)
    x = torch.randn(batch, 8, 6, 6, dtype=dtype)
    with torch.inference_mode():
        tolerance = 1e-5 if dtype == torch.float32 else 2e-2
        torch.testing.assert_close(quick(x), plain(x), rtol=tolerance, atol=tolerance)
        assert torch.equal(quick(x), quick(x))
    assert set(layouts(quick)) == {1}
    assert list(quick.state_dict()) == list(plain.state_dict())


@needs_onednn
def test_a_packed_decoder_shows_the_same_frames():
    torch.manual_seed(0)
    vae = VAE(VAEConfig(channels=4, encoder=(8, 16), decoder=(8, 16))).eval()
    for p in vae.parameters():
        nn.init.normal_(p, std=0.1)
    latents = torch.randn(1, 4, 4, 8, 8)
    with torch.inference_mode():
        expected, _ = vae.decode(latents)
        assert pack(vae.decoder) > 10
        state, parts = None, []
        for i in range(4):
            frames, state = vae.decode(latents[:, i : i + 1], state)
            parts.append(frames)
    gap = (torch.cat(parts, dim=1).int() - expected.int()).abs()
    assert expected.float().std() > 5 and gap.max() <= 1


@needs_onednn
def test_with_gradients_the_plain_way_is_taken():
    quick = network(torch.float32)
    pack(quick)
    x = torch.randn(1, 8, 6, 6, requires_grad=True)
    quick(x).sum().backward()
    assert x.grad is not None and set(layouts(quick)) == {0}


@needs_onednn
def test_blocked_copies_neither_travel_nor_outlive_a_change():
    quick = network(torch.bfloat16)
    pack(quick)
    x = torch.randn(1, 8, 6, 6, dtype=torch.bfloat16)
    with torch.inference_mode():
        before = quick(x)
        for other in (copy.deepcopy(quick), pickle.loads(pickle.dumps(quick))):
            assert set(layouts(other)) == {0} and torch.equal(other(x), before)
        for size in range(6, 12):
            quick[0](torch.randn(1, 8, size, size, dtype=torch.bfloat16))
    assert max(layouts(quick)) <= packed.LAYOUTS
    quick.to(torch.float32)
    assert set(layouts(quick)) == {0}


def gone(self, x, copy):
    raise RuntimeError("no such operation")


def other(self, x, copy):
    return torch.zeros(1, 16, 6, 6)


@needs_onednn
@pytest.mark.parametrize("changed", [gone, other])
def test_an_operation_that_changed_leaves_all_plain(monkeypatch, changed):
    """The operations are private: another torch may name or order them differently, or mean something else."""
    monkeypatch.setattr(packed.PackedConv, "quick", changed)
    x, plain, quick = torch.randn(1, 8, 6, 6), network(torch.float32), network(torch.float32)
    pack(quick)
    with torch.inference_mode():
        assert torch.equal(quick(x), plain(x))


@needs_onednn
def test_unpack_undoes_pack():
    made = network(torch.bfloat16)
    pack(made)
    unpack(made)
    assert [type(layer) for layer in made] == [nn.Conv2d, nn.SiLU, nn.Flatten, nn.Linear]
    assert not hasattr(made[0], "layouts")


def test_what_cannot_be_packed_stays_plain(monkeypatch):
    monkeypatch.setattr(packed, "able", lambda: False)
    made = network(torch.bfloat16)
    assert pack(made) == 0 and type(made[0]) is nn.Conv2d
    monkeypatch.undo()
    monkeypatch.setattr(packed, "MOST", 10)
    assert pack(made) == 0


@pytest.mark.parametrize("rows", [1, 3])
def test_noise_made_ahead_is_the_noise_of_the_moment(rows):
    seeds, age = torch.arange(rows) + 7, torch.arange(rows) * 5
    noise, shape = NoiseAhead((4, 3, 5), ahead=4), (4, 3, 5)
    for i in range(11):
        assert torch.equal(noise.at(seeds, age), noise_at(seeds, age + 1, shape)), i
        age += 1  # in place, as a cache does it
    age[0], seeds = 0, seeds + 1  # a reset
    assert torch.equal(noise.at(seeds, age), noise_at(seeds, age + 1, shape))
    age -= 3  # a load
    assert torch.equal(noise.at(seeds, age), noise_at(seeds, age + 1, shape))
    more = torch.cat([seeds, seeds])
    assert torch.equal(noise.at(more, more), noise_at(more, more + 1, shape))


def test_a_large_batch_makes_no_more_noise_than_a_step_may_wait_for():
    noise = NoiseAhead((16, 64, 64))
    noise.at(torch.zeros(3, dtype=torch.int64), torch.zeros(3, dtype=torch.int64))
    assert noise.made is not None and len(noise.made) == 1


def test_fused_attention_is_the_plain_one():
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 2, n, 16) for n in (6, 40, 40))
    bias = torch.zeros(2, 1, 1, 40)
    bias[1, ..., 30:] = -torch.inf
    for mask in (None, bias):
        with torch.inference_mode():
            plain = attend(q, k, v, mask)
            half = attend(q.bfloat16(), k.bfloat16(), v.bfloat16(), mask)
        torch.testing.assert_close(half.float(), plain, rtol=0.03, atol=0.03)


def test_a_turn_is_a_rotation_of_pairs():
    torch.manual_seed(0)
    x, angle = torch.randn(3, 4, 8, dtype=torch.float64), torch.randn(4, 4, dtype=torch.float64)
    a, b = x.chunk(2, dim=-1)
    cos, sin = angle.cos(), angle.sin()
    expected = torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)
    torch.testing.assert_close(rotate(x, turn(angle)), expected, rtol=0, atol=1e-14)
    assert rotate(x.bfloat16(), turn(angle.float())).dtype == torch.bfloat16
