"""Rollouts while the generator learns: those of play, whatever its weights are by now."""

import pytest
import torch

from aapt_env.model.cache import RingCache
from aapt_env.model.generator import Generator
from aapt_env.model.rollout import resume, rollout
from aapt_env.model.trunk import TrunkConfig
from aapt_env.spec import ControlSpec
from aapt_env.train.roller import Roller

CONFIG = TrunkConfig(channels=4, rows=4, columns=4, dim=32, depth=2, heads=2, window=4, scenes=(2,))


def parts(device="cpu"):
    """A generator whose every weight matters, and what a rollout of twelve latents needs."""
    torch.manual_seed(0)
    made = Generator(CONFIG, ControlSpec(space="MultiBinary", size=2)).to(device)
    for p in made.parameters():
        torch.nn.init.normal_(p, std=0.2)
    start, noise = torch.randn(3, 3, 4, 4, 4), torch.randn(3, 12, 4, 4, 4)
    controls = torch.randint(0, 2, (3, 12, 4, 2)).float()
    return made, [
        each.to(device) for each in (start, controls, noise, torch.tensor([[0], [1], [0]]))
    ]


@torch.no_grad()
def plain(made, start, controls, noise, scene, given=2):
    cache = RingCache(made.trunk.rope, made.trunk.scene(scene), CONFIG.window)
    return rollout(made, start, controls, noise, cache, given)


def test_it_is_the_rollout_of_play_and_keeps_what_was_remembered_on_the_way():
    made, inputs = parts()
    rolled, memory = Roller(made)(*inputs, given=2, keep=7)
    assert torch.equal(rolled, plain(made, *inputs)) and not rolled.requires_grad
    _, controls, noise, _ = inputs
    again = resume(made, rolled, controls, noise, memory)
    torch.testing.assert_close(again, rolled[:, 8:], rtol=1e-4, atol=1e-4)
    assert again.requires_grad and Roller(made)(*inputs, given=2)[1] is None


@pytest.mark.parametrize("bf16", [False, True])
def test_weights_are_those_of_now(bf16):
    """Autocast keeps weights that it has cast; a rollout must not meet those of the update before."""
    made, inputs = parts()
    roll = Roller(made)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        before, _ = roll(*inputs, given=2)
        with torch.no_grad():
            made.leave.weight.mul_(-1)
        after, _ = roll(*inputs, given=2)
        assert not torch.equal(before, after)
        assert torch.equal(after, Roller(made)(*inputs, given=2)[0])


def test_plain_means_no_kernels_whatever_else_is_said():
    made, _ = parts()
    assert not Roller(made, kernels=True, plain=True).kernels
    assert not Roller(made).kernels, "on a CPU there are none"


@pytest.mark.gpu
@pytest.mark.parametrize("bf16", [False, True])
def test_a_recorded_step_is_the_plain_one_with_the_weights_of_now(bf16):
    made, inputs = parts("cuda")
    roll = Roller(made)
    for _ in range(2):
        with torch.autocast("cuda", torch.bfloat16, enabled=bf16):
            rolled, _ = roll(*inputs, given=2)
            torch.clear_autocast_cache()
            torch.testing.assert_close(rolled, plain(made, *inputs), rtol=2e-2, atol=2e-2)
        with torch.no_grad():
            made.leave.weight.mul_(-1)
