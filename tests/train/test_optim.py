"""Optimizers: Muon for the blocks' matrices, resumed as if unbroken, and the sentences for what cannot be."""

import copy

import pytest
import torch

from aapt_env.model.generator import Generator
from aapt_env.model.trunk import TrunkConfig
from aapt_env.spec import ControlSpec
from aapt_env.train import state
from aapt_env.train.optim import Mixed, adam, muon, optimizer

CONTROL = ControlSpec(space="MultiBinary", size=2)
CONFIG = TrunkConfig(channels=4, rows=4, columns=4, dim=32, depth=2, heads=2, window=4, scenes=(2,))


@pytest.fixture
def generator():
    torch.manual_seed(0)
    return Generator(CONFIG, CONTROL)


def push(module, mover, step):
    """One step along made-up gradients."""
    rng = torch.Generator().manual_seed(step)
    for p in module.parameters():
        p.grad = torch.randn(p.shape, generator=rng)
    mover.step()


def test_every_parameter_is_moved_by_one_optimizer(generator):
    mover = muon(generator, 1e-2)
    before = copy.deepcopy(generator)
    hidden, rest = (g["params"] for g in mover.param_groups)
    assert {id(p) for p in [*hidden, *rest]} == {id(p) for p in generator.parameters()}
    assert len(hidden) == 4 * CONFIG.depth and len(hidden) + len(rest) == len(
        list(generator.parameters())
    )
    push(generator, mover, 0)
    assert not any(
        torch.equal(a, b) for a, b in zip(generator.parameters(), before.parameters(), strict=True)
    )
    moved = generator.trunk.blocks[0].qkv.weight - before.trunk.blocks[0].qkv.weight
    assert 0.1e-2 < moved.square().mean().sqrt() < 0.4e-2, "steps of Adam's length, 0.2 of the rate"


def test_a_rate_set_in_the_groups_is_what_both_use(generator):
    mover, before = muon(generator, 1e-2, decay=0.0), copy.deepcopy(generator)
    for group in mover.param_groups:
        group["lr"] = 0.0
    push(generator, mover, 0)
    assert all(
        torch.equal(a, b) for a, b in zip(generator.parameters(), before.parameters(), strict=True)
    )


@pytest.mark.parametrize("kind", ["adam", "muon"])
def test_resumed_is_unbroken(generator, kind, tmp_path):
    whole, path = copy.deepcopy(generator), tmp_path / "state.safetensors"
    one = optimizer(kind, whole, 1e-2, (0.9, 0.98))
    for i in range(4):
        push(whole, one, i)
    first = optimizer(kind, generator, 1e-2, (0.9, 0.98))
    for i in range(2):
        push(generator, first, i)
    state.save(path, {"generator": generator}, {"generator": first}, {"step": 2, "steps": 4})
    torch.manual_seed(1)
    other = Generator(CONFIG, CONTROL)
    second = optimizer(kind, other, 1e-2, (0.9, 0.98))
    state.load(path, {"generator": other}, {"generator": second})
    for i in range(2, 4):
        push(other, second, i)
    assert all(
        torch.equal(a, b) for a, b in zip(whole.parameters(), other.parameters(), strict=True)
    )


def test_what_cannot_be_is_refused(generator):
    with pytest.raises(ValueError, match="optimizer 'sgd'; expected adam or muon"):
        optimizer("sgd", generator, 1e-2, (0.9, 0.98))
    with pytest.raises(ValueError, match="Linear has no blocks with matrices for Muon; use adam"):
        muon(torch.nn.Linear(2, 2), 1e-2)
    assert isinstance(optimizer("muon", generator, 1e-2, (0.9, 0.98)), Mixed)
    assert isinstance(optimizer("adam", generator, 1e-2, (0.9, 0.98)), type(adam(generator, 1e-2)))


@pytest.mark.parametrize("fast", [True, False])
def test_who_takes_muon_where_it_is_slow_is_told(generator, fast, monkeypatch, capsys):
    monkeypatch.setattr("aapt_env.train.optim.fast_bf16", lambda device: fast)
    optimizer("adam", generator, 1e-2, (0.9, 0.98))
    assert not capsys.readouterr().err
    optimizer("muon", generator, 1e-2, (0.9, 0.98))
    assert ('optimizer="adam"' in capsys.readouterr().err) is not fast
