"""The generator's guess: a world that stands still stays, and the network has only the change to learn."""

from dataclasses import asdict, replace

import pytest
import torch

from aapt_env.model.cache import RingCache
from aapt_env.model.generator import Generator, guess
from aapt_env.model.rollout import step
from aapt_env.model.trunk import TrunkConfig
from aapt_env.spec import ControlSpec
from aapt_env.strict import strict

PLAIN = TrunkConfig(channels=4, rows=4, columns=4, dim=32, depth=1, heads=2, window=3)
GUESSING = replace(PLAIN, change=0.25)
KEYS = ControlSpec(space="MultiBinary", size=2, names=("left", "right"))


def clip(shape=(2, 5, 4, 4, 4)):
    """Noise, latents, controls and one t per row."""
    torch.manual_seed(0)
    t = torch.rand(shape[0], 1).expand(-1, shape[1])
    return torch.randn(shape), torch.randn(shape), torch.zeros(*shape[:2], 4, KEYS.width), t


def test_an_untrained_world_with_a_guess_stands_still():
    generator = Generator(GUESSING, KEYS)
    scene = generator.trunk.scene(torch.zeros(2, 0, dtype=torch.int64))
    cache = RingCache(generator.trunk.rope, scene, GUESSING.window)
    noise, previous, controls, _ = clip()
    latent = previous[:, 0]
    with torch.no_grad():
        for i in range(5):
            latent = step(generator, latent, controls[:, i], noise[:, i], cache)
    torch.testing.assert_close(latent, previous[:, 0])


def test_a_guess_is_added_to_what_the_network_says():
    torch.manual_seed(0)
    generator = Generator(PLAIN, KEYS)
    torch.nn.init.normal_(generator.leave.weight)
    guessing = Generator(GUESSING, KEYS)
    guessing.load_state_dict(generator.state_dict())
    x, previous, controls, t = clip()
    seen = generator.trunk.clip(torch.zeros(2, 0, dtype=torch.int64), 5)
    plain = generator(x, previous, controls, t, seen)
    torch.testing.assert_close(
        guessing(x, previous, controls, t, seen), plain + guess(x, previous, t, 0.25)
    )


@pytest.mark.parametrize("t", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_the_guess_is_the_best_that_knows_the_last_latent_only(t):
    torch.manual_seed(0)
    n, s = 200_000, 0.25
    shape = (n // 16, 1, 4, 2, 2)
    previous, noise = torch.randn(shape), torch.randn(shape)
    latent = previous + s**0.5 * torch.randn(shape)
    x, v = (1 - t) * latent + t * noise, noise - latent
    mine = guess(x, previous, torch.full(shape[:2], t), s)
    inputs = torch.stack([x.flatten(), previous.flatten()], 1)
    best = inputs @ torch.linalg.lstsq(inputs, v.flatten()[:, None]).solution
    assert (mine.flatten() - best[:, 0]).square().mean() < 1e-3
    assert (mine - v).square().mean() < 1.3


def test_worlds_made_before_there_was_a_guess_have_none():
    old = {name: value for name, value in asdict(PLAIN).items() if name != "change"}
    config = strict(TrunkConfig, old, "trunk")
    x, previous, _, t = clip()
    assert config.change == 0 and not guess(x, previous, t, config.change).any()


@pytest.mark.parametrize("change", [-1.0, float("nan"), "much", True, 1e9])
def test_a_change_that_makes_no_sense_is_refused(change):
    with pytest.raises(ValueError, match="expected a number from 0 to 100"):
        replace(PLAIN, change=change)
