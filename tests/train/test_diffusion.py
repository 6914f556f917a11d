"""Flow matching and consistency distillation: the formulas, and that they learn."""

import pytest
import torch

from aapt_env.model.cache import GrowingCache
from aapt_env.model.generator import Generator
from aapt_env.model.rollout import rollout
from aapt_env.model.trunk import TrunkConfig
from aapt_env.spec import ControlSpec
from aapt_env.train.clips import Clip
from aapt_env.train.dice import Dice
from aapt_env.train.diffusion import (
    Consistency,
    ConsistencyStage,
    Diffusion,
    DiffusionStage,
    noisy,
    own,
    shifted,
    smudged,
    teacher_forced,
)
from aapt_env.train.loop import Run, advance
from aapt_env.train.optim import average

CONTROL = ControlSpec(space="MultiBinary", size=2)
CONFIG = TrunkConfig(channels=4, rows=4, columns=4, dim=32, depth=2, heads=2, window=3, scenes=(2,))


class OneClip:
    """Data that are one clip of four latents."""

    def __init__(self):
        rng = torch.Generator().manual_seed(0)
        self.clip = Clip(
            torch.randn(1, 5, 4, 4, 4, generator=rng),
            torch.randint(0, 2, (1, 4, 4, 2), generator=rng).float(),
            torch.zeros(1, 1, dtype=torch.int64),
        )

    def sample(self, dice, batch, length):
        c = self.clip
        return Clip(*(x.expand(batch, *x.shape[1:]) for x in (c.latents, c.controls, c.scene)))


def generator(seed=0, all_matter=False):
    torch.manual_seed(seed)
    made = Generator(CONFIG, CONTROL)
    if all_matter:
        for p in made.parameters():
            torch.nn.init.normal_(p, std=0.2)
    return made


def learn(stage, steps):
    """Losses of `steps` turns of the loop."""
    run = Run(folder=None)
    base = {turn.name: [g["lr"] for g in turn.optimizer.param_groups] for turn in stage.turns}
    return [float(advance(stage, run, i, base, 1.0, None)["loss"]) for i in range(steps)]


@pytest.mark.parametrize("s", [1.0, 4.0, 24.0])
def test_shift_keeps_the_ends_and_favours_noise(s):
    t = torch.linspace(0, 1, 11)
    moved = shifted(t, s)
    assert moved[0] == 0 and moved[-1] == 1 and (moved.diff() > 0).all()
    assert torch.allclose(moved, t) if s == 1 else (moved[1:-1] > t[1:-1]).all()
    assert float(shifted(torch.tensor(0.5), s)) == pytest.approx(s / (1 + s))


def test_noise_goes_from_the_latents_to_pure_noise():
    clip = OneClip().sample(None, 3, 4)
    noise = torch.randn(3, 4, 4, 4, 4)
    x = noisy(clip, noise, torch.tensor([0.0, 0.5, 1.0]))
    assert torch.equal(x[0], clip.latents[0, 1:]) and torch.equal(x[2], noise[2])
    torch.testing.assert_close(x[1], (clip.latents[1, 1:] + noise[1]) / 2)


def test_teacher_forcing_recycles_real_latents():
    """Position i sees the real latent i - 1, and of the others' own inputs only the past."""
    made, clip = generator(all_matter=True), OneClip().clip
    x, t = torch.randn(1, 4, 4, 4, 4), torch.tensor([0.7])
    with torch.no_grad():
        reference = teacher_forced(made, x, clip, t)
        latents = clip.latents.clone()
        latents[:, 2] += 1
        moved = teacher_forced(made, x, Clip(latents, clip.controls, clip.scene), t)
        gap = (moved - reference).abs().flatten(2).amax(-1)[0]
    assert gap[:2].max() == 0 and gap[2] > 1e-5
    with torch.no_grad():
        latents = clip.latents.clone()
        latents[:, 4] += 1
        assert torch.equal(
            teacher_forced(made, x, Clip(latents, clip.controls, clip.scene), t), reference
        )


def test_the_target_is_noise_minus_latents():
    """At the first step the zero-initialised generator says 0, so the loss is the target's mean square."""
    stage = DiffusionStage(Diffusion(share=1, batch=4, length=4), generator(), OneClip(), None)
    clip, dice = stage.batch(Dice.of(0, "x", 0)), Dice.of(0, "x", 1)
    loss, _ = next(stage.losses(clip, dice))
    noise = Dice.of(0, "x", 1).normal(4, 4, 4, 4, 4)
    assert loss.item() == pytest.approx(
        float((noise - clip.latents[:, 1:]).square().mean()), rel=1e-5
    )


def test_recycled_latents_are_smudged_clip_by_clip_and_the_target_is_not():
    clip = OneClip().sample(None, 64, 4)
    assert torch.equal(smudged(clip, Dice.of(0, "x", 0), 0.0), clip.latents[:, :-1])
    faults = smudged(clip, Dice.of(0, "x", 0), 0.3) - clip.latents[:, :-1]
    levels = faults.flatten(1).std(1)
    assert 0 <= levels.min() < 0.05 and 0.25 < levels.max() < 0.33
    assert levels.std() > 0.05
    again = smudged(clip, Dice.of(0, "x", 0), 0.3) - clip.latents[:, :-1]
    assert torch.equal(faults, again)


def test_own_latents_are_on_their_way_to_a_rollout_clip_by_clip():
    """Drawn: how many passes. None leaves the real ones, as many as there are latents make the rollout itself."""
    made, clip = generator(all_matter=True), OneClip().sample(None, 40, 4)
    found = own(made, clip, Dice.of(0, "x", 0), 4)
    dice = Dice.of(0, "x", 0)
    wanted, noise = (dice.uniform(40) * 5).floor(), dice.normal(40, 4, 4, 4, 4)
    cache = GrowingCache(made.trunk.rope, made.trunk.scene(clip.scene), CONFIG.window)
    with torch.no_grad():
        rolled = rollout(made, clip.latents, clip.controls, noise, cache)
    assert set(wanted.tolist()) == {0, 1, 2, 3, 4}
    for row, passes in enumerate(wanted.int().tolist()):
        assert torch.equal(found.latents[row, 0], clip.latents[row, 0])
        reached = slice(1, passes + 1)
        torch.testing.assert_close(found.latents[row, reached], rolled[row, reached])
        real = torch.equal(found.latents[row], clip.latents[row])
        assert real == (passes == 0)
        if 0 < passes < 4:
            assert not torch.allclose(found.latents[row, -1], rolled[row, -1])
    assert found.controls is clip.controls


def test_own_latents_are_recycled_without_gradient_and_the_real_ones_asked_for():
    made = generator(all_matter=True)
    stage = DiffusionStage(
        Diffusion(share=1, batch=4, length=4, smudge=0.0, own=2), made, OneClip(), None
    )
    clip, dice = stage.batch(Dice.of(0, "x", 0)), Dice.of(0, "x", 1)
    loss, _ = next(stage.losses(clip, Dice.of(0, "x", 1)))
    noise, t = dice.normal(4, 4, 4, 4, 4), shifted(dice.uniform(4), 4.0)
    past = own(made, clip, dice, 2).latents[:, :-1].detach()
    assert not torch.equal(past, clip.latents[:, :-1])
    v = teacher_forced(made, noisy(clip, noise, t), clip, t, recycled=past)
    expected = (v - (noise - clip.latents[:, 1:])).square().mean()
    weights = list(made.parameters())
    for mine, theirs in zip(
        torch.autograd.grad(loss, weights, allow_unused=True),
        torch.autograd.grad(expected, weights, allow_unused=True),
        strict=True,
    ):
        assert (mine is None) == (theirs is None)
        if mine is not None:
            torch.testing.assert_close(mine, theirs)


def test_a_clip_of_four_latents_can_be_overfit():
    stage = DiffusionStage(
        Diffusion(share=1, batch=16, length=4, lr=4e-3, ema=0.9), generator(), OneClip(), None
    )
    losses = learn(stage, 100)
    assert sum(losses[-10:]) < 0.3 * sum(losses[:10])
    with torch.no_grad():
        clip = stage.train.clip
        noise = Dice.of(9, "x", 0).normal(1, 4, 4, 4, 4)
        v = teacher_forced(
            stage.ema, noisy(clip, noise, torch.tensor([0.8])), clip, torch.tensor([0.8])
        )
    assert (v - (noise - clip.latents[:, 1:])).square().mean() < 0.5 * (
        noise - clip.latents[:, 1:]
    ).square().mean()


def test_average_moves_towards_the_source():
    target, source = generator(1, all_matter=True), generator(2, all_matter=True)
    before = [p.clone() for p in target.parameters()]
    average(target, source, 0.9, step=10**6)
    for old, new, other in zip(before, target.parameters(), source.parameters(), strict=True):
        torch.testing.assert_close(new, 0.9 * old + 0.1 * other)


def consistency(**changes):
    return ConsistencyStage(
        Consistency(**(dict(share=1, batch=8, length=4) | changes)),
        generator(all_matter=True), generator(all_matter=True), OneClip(), None,
    )  # fmt: skip


def test_at_time_zero_the_student_is_the_identity():
    stage = consistency()
    x, clip = torch.randn(1, 4, 4, 4, 4), OneClip().clip
    assert torch.equal(stage.clean(x, clip, torch.zeros(1)), x)
    assert not torch.equal(stage.clean(x, clip, torch.ones(1)), x)


def test_distillation_teaches_the_student_only_and_gives_it_no_gradient_through_the_target():
    stage = consistency()
    clip = stage.batch(Dice.of(0, "x", 0))
    loss, _ = next(stage.losses(clip, Dice.of(0, "x", 1)))
    loss.backward()
    assert all(p.grad is None and not p.requires_grad for p in stage.teacher.parameters())
    assert sum(float(p.grad.abs().sum()) for p in stage.generator.parameters()) > 0


def test_a_consistent_student_has_no_loss():
    """Both say x = x_t - t v with v = noise - x_0 exactly, so one level and the one below agree."""
    stage = consistency()
    clip = stage.batch(Dice.of(0, "x", 0))
    noise = Dice.of(0, "x", 1).normal(*clip.latents[:, 1:].shape)

    class Knows(torch.nn.Module):
        trunk, config = stage.generator.trunk, stage.generator.config

        def parallel(self, x, previous, controls, t, scene):
            return noise - clip.latents[:, 1:]

    stage.generator = stage.teacher = Knows()
    loss, _ = next(stage.losses(clip, Dice.of(0, "x", 1)))
    assert loss.item() < 1e-5


def test_consistency_learns():
    stage = consistency(lr=2e-3)
    losses = learn(stage, 40)
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
