"""The follow stage: what it asks for, of whom, and that it learns it."""

import pytest
import torch

from aapt_env.model.generator import Generator
from aapt_env.model.trunk import TrunkConfig
from aapt_env.spec import ControlSpec
from aapt_env.train.dice import Dice
from aapt_env.train.follow import Follow, FollowStage
from aapt_env.train.loop import Run, advance

CONTROL = ControlSpec(space="MultiBinary", size=2)
CONFIG = TrunkConfig(channels=4, rows=4, columns=4, dim=32, depth=2, heads=2, window=4, scenes=(2,))


@pytest.fixture
def stage(noise_clips):
    """Returns f(**settings) -> a stage whose every weight matters."""

    def make(std=0.2, **changes):
        torch.manual_seed(0)
        generator = Generator(CONFIG, CONTROL)
        for p in generator.parameters():
            torch.nn.init.normal_(p, std=std)
        settings = dict(share=1, batch=3, length=5, leads=(0,), overlap=2, given=3) | changes
        return FollowStage(Follow(**settings), generator, noise_clips, None)

    return make


@pytest.mark.parametrize("lead", [0, 7])
def test_its_error_is_that_of_the_rollout_as_played(stage, lead):
    made = stage(leads=(lead,))
    batch = made.batch(Dice.of(0, "x", 0))
    real = batch.clip.latents[:, lead:]
    wanted = (batch.weights * (batch.past.end - real).square().mean(dim=2)).mean()
    loss, found = next(made.losses(batch, Dice.of(0, "x", 0)))
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-4)
    loss.backward()
    assert all(p.grad is not None for p in made.generator.trunk.blocks.parameters())
    assert batch.weights[:, 0].eq(1).all() == (lead == 0), "what is given is right"


def test_cells_that_show_something_else_are_not_called_back(stage):
    made = stage(leads=(7,), std=1.0)
    batch = made.batch(Dice.of(0, "x", 0))
    assert 0.05 <= batch.weights.min() and batch.weights.max() < 0.2
    begun = stage(std=1.0, stay=40.0).batch(Dice.of(0, "x", 0))
    assert begun.weights[:, 1].min() >= 40, "what stands is to stay"


@pytest.mark.parametrize("kind", ["adam", "muon"])
def test_it_learns_to_follow(stage, kind):
    made, run = stage(std=0.05, lr=5e-3, leads=(0, 6), optimizer=kind), Run(folder=None)
    base = {turn.name: [g["lr"] for g in turn.optimizer.param_groups] for turn in made.turns}
    said = [advance(made, run, i, base, 1.0, None) for i in range(60)]
    errors = [float(found["error"]) for found in said]
    assert sum(errors[-10:]) < 0.8 * sum(errors[:10])


def test_settings_it_cannot_have_are_refused(stage):
    with pytest.raises(ValueError, match="begin 'long'; expected consistency or diffusion"):
        Follow(share=1, begin="long")
    with pytest.raises(ValueError, match="length 7 with window 4; expected W . 2 latents at most"):
        stage(length=7)
