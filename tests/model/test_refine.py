"""Convolutions behind the trunk: nothing at first, and of the picture alone."""

from dataclasses import asdict, replace

import pytest
import torch

from aapt_env.model.generator import Generator
from aapt_env.model.trunk import TrunkConfig
from aapt_env.spec import CarriedSpec, ControlSpec
from aapt_env.strict import strict

CARRIED = CarriedSpec(names=("x",), middle=(0.0,), spread=(1.0,), reach=(3.0,))
PLAIN = TrunkConfig(channels=4, rows=4, columns=4, dim=32, depth=1, heads=2, window=3, change=0.25)
REFINED = replace(PLAIN, refine=2, breadth=8)
KEYS = ControlSpec(space="MultiBinary", size=2, names=("left", "right"))


def made(config, wild=True, seed=0):
    """A generator; `wild` moves all of its weights off where they begin."""
    torch.manual_seed(seed)
    generator = Generator(config, KEYS)
    for p in generator.parameters() if wild else ():
        torch.nn.init.normal_(p, std=0.2)
    return generator


def velocity(generator, x, previous, controls):
    """At t = 0.7, in one masked pass."""
    t, scene = torch.full(x.shape[:2], 0.7), torch.zeros(len(x), 0, dtype=torch.int64)
    return generator.parallel(x, previous, controls, t, scene)


def clip(channels=4, seed=1):
    """Noise, latents before and controls."""
    torch.manual_seed(seed)
    shape = (2, 4, channels, 4, 4)
    return torch.randn(shape), torch.randn(shape), torch.ones(*shape[:2], 4, KEYS.width)


def test_behind_a_trained_trunk_they_change_nothing_at_first():
    plain, refined = made(PLAIN), made(REFINED, wild=False)
    refined.load_state_dict(plain.state_dict(), strict=False)
    assert torch.equal(velocity(refined, *clip()), velocity(plain, *clip()))


def test_carried_numbers_are_not_theirs():
    config = replace(REFINED, channels=5, carried=CARRIED)
    generator = made(config)
    with_them = velocity(generator, *clip(5))
    generator.refine = None
    without = velocity(generator, *clip(5))
    assert torch.equal(with_them[:, :, -1], without[:, :, -1])
    assert (with_them[:, :, :-1] - without[:, :, :-1]).abs().min(dim=2).values.max() > 0.01


def test_each_latent_is_refined_by_itself():
    generator, (x, previous, controls) = made(REFINED), clip()
    found = []
    generator.trunk.register_forward_hook(lambda _, __, out: found.append(out))
    velocity(generator, x, previous, controls)
    cells, tokens = found[0].cells, found[0].tokens
    whole = generator.refine(cells, previous, tokens)
    alone = generator.refine(cells[:, 2:3], previous[:, 2:3], tokens[:, 2:3])
    torch.testing.assert_close(whole[:, 2:3], alone)


def test_worlds_made_before_have_none():
    old = {n: v for n, v in asdict(PLAIN).items() if n not in ("refine", "breadth")}
    assert made(strict(TrunkConfig, old, "trunk")).refine is None


@pytest.mark.parametrize(
    "wrong", [{"refine": True}, {"refine": 1.5}, {"refine": "2"}, {"breadth": 0}]
)
def test_sizes_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="expected (a whole number|whole numbers) >= "):
        replace(PLAIN, **wrong)
