"""Fakes: one rollout however its graph is cut, and whose gradient goes where."""

import pytest
import torch

from aapt_env.model.cache import GrowingCache
from aapt_env.model.generator import Generator
from aapt_env.model.rollout import replay, rollout
from aapt_env.model.trunk import TrunkConfig
from aapt_env.spec import ControlSpec
from aapt_env.train.clips import Clip
from aapt_env.train.dice import Dice
from aapt_env.train.forcing import Forcing, Past, stepwise
from aapt_env.train.forcing import dream as dreamt

CONTROL = ControlSpec(space="MultiBinary", size=2)
CONFIG = TrunkConfig(channels=4, rows=4, columns=4, dim=32, depth=2, heads=2, window=4, scenes=(2,))


def parts():
    """A generator whose every weight matters."""
    torch.manual_seed(0)
    made = Generator(CONFIG, CONTROL)
    for p in made.parameters():
        torch.nn.init.normal_(p, std=0.2)
    return made


def dream(made, *inputs):
    """With gradients: made once more where it was rolled out without."""
    found = dreamt(made, *inputs)
    if not isinstance(found, Past):
        return found
    assert not found.end.requires_grad
    again = found.again(made)
    torch.testing.assert_close(found.end, again.detach(), rtol=1e-4, atol=1e-4)
    return again


def same_gradients(made, fast, plain):
    """Of every weight, and some of each that both have."""
    aim = torch.randn_like(plain)
    weights = list(made.parameters())
    grads = [
        torch.autograd.grad((x * aim).sum(), weights, allow_unused=True) for x in (fast, plain)
    ]
    for name, a, b in zip(dict(made.named_parameters()), *grads, strict=True):
        assert (a is None) == (b is None), name
        if a is not None:
            assert b.abs().max() > 0, name
            torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-9, msg=name)


def test_what_leads_up_to_the_window_carries_no_gradient_and_the_window_does(noise_clips):
    made = parts()
    dice = Dice.of(0, "x", 0)
    clip = noise_clips.sample(dice, 3, 11)
    noise = dice.normal(*clip.latents[:, 1:].shape).requires_grad_()
    fake = dream(made, clip, noise, 2, 6, 0, Forcing())
    assert fake.shape == (3, 6, 4, 4, 4)
    (grad,) = torch.autograd.grad(fake[:, 1:].sum(), noise)
    assert grad[:, :6].abs().max() == 0
    assert grad[:, 6:].abs().amax(dim=(0, 2, 3, 4)).min() > 0
    assert not torch.equal(fake[:, 0], clip.latents[:, 6]), "it begins with a dreamt latent"


def test_a_lead_goes_on_as_one_rollout(noise_clips):
    """Cutting the graph must not cut the dream."""
    made = parts()
    dice = Dice.of(0, "x", 0)
    clip = noise_clips.sample(dice, 3, 11)
    noise = dice.normal(*clip.latents[:, 1:].shape)
    with torch.no_grad():
        whole, cut = (dream(made, clip, noise, 2, n, 0, Forcing()) for n in (0, 6))
    torch.testing.assert_close(cut, whole[:, 6:], rtol=1e-4, atol=1e-4)


def test_the_generator_learns_through_the_cache_from_the_first_dreamt_latent_on(noise_clips):
    made = parts()
    dice = Dice.of(0, "x", 0)
    clip = noise_clips.sample(dice, 3, 5)
    noise = dice.normal(*clip.latents[:, 1:].shape).requires_grad_()
    fake = dream(made, clip, noise, 1, 0, 0, Forcing())
    (grad,) = torch.autograd.grad(fake[:, -1].sum(), noise)
    assert grad[:, 0].abs().max() > 0, (
        "through keys and values, though the recycled latent is detached"
    )


def test_the_masked_replay_has_the_gradients_of_the_growing_cache(noise_clips):
    """A rollout that carries gradients step by step, beside the rollout without and one masked pass with them."""
    made = parts()
    made.double()
    dice = Dice.of(0, "x", 0)
    clip = noise_clips.sample(dice, 3, 5)
    clip = Clip(clip.latents.double(), clip.controls.double(), clip.scene)
    noise = dice.normal(*clip.latents[:, 1:].shape).double()
    fast = dream(made, clip, noise, 2, 0, 0, Forcing())
    scene = made.trunk.scene(clip.scene)
    cache = GrowingCache(made.trunk.rope, scene, CONFIG.window)
    plain = rollout(made, clip.latents[:, :2], clip.controls, noise, cache, 2)
    torch.testing.assert_close(fast, plain)
    same_gradients(made, fast, plain)


def reach(clips, how, length=5):
    """Mean gradient of the last latent with respect to each latent's noise: [T]."""
    dice = Dice.of(0, "x", 0)
    clip = clips.sample(dice, 3, length)
    noise = dice.normal(*clip.latents[:, 1:].shape).requires_grad_()
    fake = dream(parts(), clip, noise, 1, 0, 0, how)
    (grad,) = torch.autograd.grad(fake[:, -1].sum(), noise)
    return grad.abs().mean(dim=(0, 2, 3, 4)), fake


def test_what_can_be_undone(noise_clips):
    """Without memory only the last pass learns, unless the recycled latent carries the gradient; same pictures."""
    plain, fake = reach(noise_clips, Forcing())
    blind, same = reach(noise_clips, Forcing(memory=False))
    assert (plain > 0).all() and blind[-1] > 0 and (blind[:-1] == 0).all()
    torch.testing.assert_close(same, fake, rtol=1e-4, atol=1e-4)
    through, same = reach(noise_clips, Forcing(detach=False, memory=False))
    assert (through > 0).all(), "by the recycled latents alone"
    torch.testing.assert_close(same, fake, rtol=1e-4, atol=1e-4)
    both, same = reach(noise_clips, Forcing(detach=False))
    assert not torch.allclose(both, plain) and not torch.allclose(both, through)
    torch.testing.assert_close(same, fake, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("lead", [0, 1])
def test_a_teacher_forced_fake_knows_the_real_past_only(lead, noise_clips):
    made, dice = parts(), Dice.of(0, "x", 0)
    clip = noise_clips.sample(dice, 3, 5)
    noise = dice.normal(*clip.latents[:, 1:].shape)
    fake = dream(made, clip, noise, 3, lead, 0, Forcing(student=False))
    assert fake.shape[1] == 6 - lead
    other = noise.clone()
    other[:, 2] += 1
    moved = dream(made, clip, other, 3, lead, 0, Forcing(student=False))
    recycled = replay(made, clip.latents, clip.controls, noise, clip.scene, 1)[:, lead:]
    torch.testing.assert_close(fake, recycled)
    assert not torch.allclose(moved[:, 3 - lead], fake[:, 3 - lead])
    assert torch.equal(moved[:, : 3 - lead], fake[:, : 3 - lead])


@pytest.mark.parametrize("overlap", [0, 2])
def test_what_is_kept_for_the_gradient_does_not_grow_with_the_horizon(noise_clips, overlap):
    """A lead of 5 latents or of 14: the graph is that of the judged ones."""
    made, kept = parts(), []
    for lead in (5, 14):
        clip = noise_clips.sample(Dice.of(0, "x", 0), 3, lead + 5)
        noise = Dice.of(1, "x", 0).normal(*clip.latents[:, 1:].shape)
        shapes: list[torch.Size] = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda x, shapes=shapes: (shapes.append(x.shape), x)[1], lambda x: x
        ):
            dream(made, clip, noise, 1, lead, overlap, Forcing())
        kept.append(sum(map(torch.Size.numel, shapes)))
    assert kept[0] == kept[1] > 0


@pytest.mark.parametrize(("lead", "overlap", "given"), [(6, 0, 2), (6, 3, 2), (2, 0, 1), (2, 1, 2)])
def test_after_a_lead_one_masked_pass_has_the_gradients_of_the_growing_cache(
    lead, overlap, given, noise_clips
):
    made = parts().double()
    dice = Dice.of(0, "x", 0)
    clip = noise_clips.sample(dice, 3, lead + 5)
    clip = Clip(clip.latents.double(), clip.controls.double(), clip.scene)
    noise = dice.normal(*clip.latents[:, 1:].shape).double()
    fast = dream(made, clip, noise, given, lead, overlap, Forcing())
    plain = stepwise(made, clip, noise, given, lead, lead + overlap, Forcing())
    torch.testing.assert_close(fast, plain)
    same_gradients(made, fast, plain)


def test_real_latents_that_reach_beyond_the_lead_stay_as_they_are(noise_clips):
    made, dice = parts().double(), Dice.of(0, "x", 0)
    clip = noise_clips.sample(dice, 3, 7)
    clip = Clip(clip.latents.double(), clip.controls.double(), clip.scene)
    noise = dice.normal(*clip.latents[:, 1:].shape).double()
    fake = dream(made, clip, noise, 5, 2, 1, Forcing())
    cache = GrowingCache(made.trunk.rope, made.trunk.scene(clip.scene), CONFIG.window)
    plain = rollout(made, clip.latents[:, :5], clip.controls, noise, cache, 5)[:, 2:]
    torch.testing.assert_close(fake, plain)
    assert torch.equal(fake[:, :3], clip.latents[:, 2:5])
