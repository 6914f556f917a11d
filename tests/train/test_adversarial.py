"""The adversarial stage: signs, whose gradient goes where, and what the critic is not asked about."""

import copy
import dataclasses
import math

import pytest
import torch

from aapt_env.model.critic import Critic
from aapt_env.model.generator import Generator
from aapt_env.model.rollout import replay
from aapt_env.model.trunk import TrunkConfig
from aapt_env.spec import ControlSpec
from aapt_env.train.adversarial import Adversarial, AdversarialStage
from aapt_env.train.clips import Clip
from aapt_env.train.contest import Balance, relativistic, squared_gap
from aapt_env.train.dice import Dice
from aapt_env.train.loop import Run, advance
from aapt_env.train.pilot import Pilot

CONTROL = ControlSpec(space="MultiBinary", size=2)
CONFIG = TrunkConfig(channels=4, rows=4, columns=4, dim=32, depth=2, heads=2, window=4, scenes=(2,))


@pytest.fixture
def stage(noise_clips):
    """Returns f(**settings) -> a stage whose every weight matters."""

    def make(**changes):
        torch.manual_seed(0)
        settings = dict(share=1, batch=3, length=5, leads=(0,), given=3) | changes
        generator = Generator(CONFIG, CONTROL)
        critic = Critic(CONFIG, CONTROL, settings.get("heads", ("latent",)))
        for module in (generator, critic):
            for p in module.parameters():
                torch.nn.init.normal_(p, std=0.2)
        teacher = copy.deepcopy(generator) if settings.get("heed") else None
        return AdversarialStage(
            Adversarial(**settings), generator, critic, noise_clips, None, teacher=teacher
        )

    return make


def logits(*values):
    return {"latent": torch.tensor(values)}


def test_the_critic_wants_real_above_fake_and_the_generator_the_contrary():
    real, fake = logits(2.0, 2.0), logits(-1.0, -1.0)
    assert float(relativistic(fake, real)) == pytest.approx(math.log1p(math.exp(-3)))
    assert float(relativistic(real, fake)) == pytest.approx(math.log1p(math.exp(3)))
    assert float(relativistic(real, real)) == pytest.approx(math.log(2))
    both = {"latent": torch.zeros(3), "video": torch.zeros(1)}
    assert float(relativistic(both, both)) == pytest.approx(2 * math.log(2)), "summed over heads"


def test_the_penalty_is_none_where_noise_has_no_effect(stage):
    assert float(squared_gap(logits(1.0, 2.0), logits(1.0, 2.0))) == 0
    assert float(squared_gap(logits(1.0, 2.0), logits(0.0, 4.0))) == 2.5
    made = stage(sigma=0.0)
    dice = Dice.of(0, "x", 0)
    _, found = next(made.critic_losses(made.batch(dice), dice))
    assert float(found["r1"]) < 1e-9 and float(found["r2"]) < 1e-9
    made = stage(sigma=0.1)
    _, found = next(made.critic_losses(made.batch(dice), dice))
    assert float(found["r1"]) > 1e-9 and float(found["r2"]) > 1e-9


def test_the_penalty_weighs_as_the_settings_say(stage):
    dice = Dice.of(0, "x", 0)
    made = stage()
    match = made.batch(dice)
    losses = []
    for penalty in (0.0, 200.0):
        object.__setattr__(made.config, "penalty", penalty)
        losses.append(next(made.critic_losses(match, Dice.of(0, "x", 1))))
    (plain, found), (full, _) = losses
    assert plain.item() == pytest.approx(float(found["critic"]))
    assert (full - plain).item() == pytest.approx(200 * float(found["r1"] + found["r2"]), rel=1e-3)


def gradients(module):
    return sum(float(p.grad.abs().sum()) for p in module.parameters() if p.grad is not None)


@pytest.mark.parametrize("heads", [("latent",), ("video",), ("latent", "video")])
def test_each_turn_teaches_its_own_network_only(heads, stage):
    made, run = stage(heads=heads), Run(folder=None)
    base = {turn.name: [g["lr"] for g in turn.optimizer.param_groups] for turn in made.turns}
    before = {n: [p.clone() for p in m.parameters()] for n, m in made.modules.items()}
    stepped = []
    for turn, mine in zip(made.turns, ("critic", "generator"), strict=True):
        real = turn.optimizer.step

        def step(real=real, mine=mine):
            other = {"critic": "generator", "generator": "critic"}[mine]
            assert gradients(made.modules[mine]) > 0 and gradients(made.modules[other]) == 0
            stepped.append(mine)
            real()

        turn.optimizer.step = step
    advance(made, run, 0, base, 1.0, None)
    assert stepped == ["critic", "generator"]
    for name, module in made.modules.items():
        assert name == "balance" or any(
            not torch.equal(a, b) for a, b in zip(before[name], module.parameters(), strict=True)
        ), name
        assert all(p.requires_grad for p in module.parameters())


def test_given_latents_are_equal_in_fake_and_real_and_their_logits_are_left_out(stage):
    made = stage(given=4)
    seen = set()
    for i in range(12):
        dice = Dice.of(0, "x", i)
        match = made.batch(dice)
        given = match.given
        seen.add(given)
        assert torch.equal(match.fake[:, :given], match.real[:, :given])
        assert not (match.fake[:, given:] == match.real[:, given:]).all(-1).any()
        fake, real = made.judge(
            match, [(match.fake, match.played), (match.real, match.controls)], dice.uniform(3)
        )
        assert fake["latent"].shape == (3, 5 - (given - 1))
        assert not (fake["latent"] == real["latent"]).any(), "what is left to judge differs"
    assert seen == {1, 2, 3, 4}


def test_judging_versions_together_is_judging_each(stage):
    made = stage(heads=("latent", "video"))
    dice = Dice.of(0, "x", 0)
    match, t = made.batch(dice), dice.uniform(3)
    parts = [(match.fake, match.played), (match.real, match.controls)]
    together = made.judge(match, parts, t)
    for part, found in zip(parts, together, strict=True):
        (alone,) = made.judge(match, [part], t)
        for head in alone:
            torch.testing.assert_close(found[head], alone[head], rtol=1e-4, atol=1e-4)


def test_with_a_lead_all_but_the_first_latent_are_judged(stage):
    made = stage(leads=(6,))
    for i in range(4):
        match = made.batch(Dice.of(0, "x", i))
        assert match.given == 1 and match.fake.shape == match.real.shape == (3, 6, 4, 4, 4)
        assert match.controls.shape == (3, 5, 4, 2)


def test_a_critic_that_is_reminded_sees_how_the_dream_began(stage):
    """After a lead its first latent is the dream's first, of the real clip and of the rollout; without one, it is."""
    made, t = stage(leads=(4,), reminded=True), torch.zeros(3)
    match = made.batch(Dice.of(0, "x", 0))
    parts = [(match.real, match.controls), (match.fake, match.played)]
    seen = made.judge(match, parts, t)
    other = match.real.clone()
    other[:, 0] += 1
    hidden = made.judge(match, [(other, match.controls)], t)[0]["latent"]
    assert torch.equal(hidden, made.judge(match, parts[:1], t)[0]["latent"])
    forgetful = dataclasses.replace(match, begun=match.begun + 1)
    for a, b in zip(seen, made.judge(forgetful, parts, t), strict=True):
        assert (a["latent"] != b["latent"]).all()
    assert stage(leads=(0,), reminded=True).batch(Dice.of(0, "x", 0)).begun is None


@pytest.mark.parametrize("leads", [(0,), (6,)])
def test_piloted_rollouts_are_judged_under_the_controls_they_were_made_with(stage, leads):
    made = stage(leads=leads, piloted=2 / 3)
    torch.manual_seed(0)
    made.pilot = Pilot(CONTROL, (4, 4, 4)).eval()
    match = made.batch(Dice.of(0, "x", 0))
    same = [torch.equal(a, b) for a, b in zip(match.played, match.controls, strict=True)]
    assert same == [False, False, True]
    if leads == (0,):
        again = replay(
            made.generator, match.fake, match.played, match.noise, match.scene, match.given
        )
        torch.testing.assert_close(again, match.fake)
    asked, judge = [], made.judge
    made.judge = lambda m, parts, t, **how: (asked.extend(parts), judge(m, parts, t))[1]
    for losses in (made.critic_losses, made.generator_losses):
        list(losses(match, Dice.of(0, "x", 1)))
    for latents, controls in asked:
        fake = torch.allclose(latents, match.fake, rtol=1e-4, atol=1e-4)
        if fake or torch.equal(latents, match.real):
            assert torch.equal(controls, match.played if fake else match.controls)
    assert len(asked) == 2 + 4 + 2
    with pytest.raises(ValueError, match=r"piloted 1.5; expected 0 to 1"):
        Adversarial(share=1, piloted=1.5)


def test_the_generator_waits_for_the_critic_and_learns_at_full_rate_when_beaten():
    balance = Balance(lead=0.55)
    assert balance.pace() == pytest.approx(0.02), "a draw at the start"
    for _ in range(60):
        balance.watch(torch.tensor(0.62))
    assert balance.pace() == pytest.approx((math.log(2) - 0.62) / (math.log(2) - 0.55), rel=1e-3)
    for _ in range(60):
        balance.watch(torch.tensor(0.1))
    assert balance.pace() == 1
    balance.watch(torch.tensor(50.0))
    assert balance.pace() == pytest.approx(0.02)


def test_the_pace_is_in_the_rate_and_in_the_state(stage):
    made, run = stage(), Run(folder=None)
    base = {turn.name: [1.0] for turn in made.turns}
    advance(made, run, 0, base, 1.0, None)
    critic, generator = (turn.optimizer.param_groups[0]["lr"] for turn in made.turns)
    assert critic == 1 and generator == pytest.approx(made.balance.pace()) and generator < 1
    assert "loss" in made.modules["balance"].state_dict(), "so that a resumed run goes on with it"


@pytest.mark.parametrize("share, rows", [(0.25, 1), (0.5, 2), (1.0, 4)])
def test_the_penalties_look_at_their_share_of_the_batch(share, rows, stage):
    made, dice = stage(batch=4, penalised=share), Dice.of(0, "x", 1)
    match, t = made.batch(Dice.of(0, "x", 0)), torch.zeros(4)
    found, asked, judge = made.penalties(match, t, dice), [], made.judge
    made.judge = lambda m, parts, t, **how: (asked.append(len(t)), judge(m, parts, t))[1]
    again = made.penalties(match, t, Dice.of(0, "x", 1))
    assert asked == [rows] and found == again and min(found) > 0


def test_wrong_controls_are_further_fakes(stage):
    made, dice = stage(wrong_controls=0.5), Dice.of(0, "x", 0)
    match = made.batch(dice)
    loss, found = next(made.critic_losses(match, Dice.of(0, "x", 1)))
    plain, _ = next(made.critic_losses(dataclasses.replace(match, wrong=None), Dice.of(0, "x", 1)))
    assert (loss - plain).item() == pytest.approx(0.5 * float(found["wrong"]), rel=1e-2)
    assert stage().batch(Dice.of(0, "x", 0)).wrong is None


@pytest.mark.parametrize("length", [5, 12])
def test_wrong_controls_come_with_their_own_display(length, stage):
    """The world of another moment of the same episode, under the controls and the dashboard of this one."""
    shown = torch.zeros(4, 4, dtype=torch.bool)
    shown[2:] = True
    made = stage(wrong_controls=0.5, length=length)
    made.shown = shown
    match = made.batch(Dice.of(0, "x", 0))
    assert torch.equal(match.wrong[..., 2:, :], match.real[..., 2:, :])
    apart = min(length, 19 - length)  # an episode has 20 latents
    assert torch.equal(match.wrong[:, 1:-apart, :, :2], match.real[:, 1 + apart :, :, :2])
    assert torch.isin(match.wrong[:, 0, :, :2], made.train.alone.float()).all(), "as play begins"
    assert (match.wrong[..., :2, :] != match.real[..., :2, :]).any()


def test_penalties_are_in_float32_whatever_the_precision(stage):
    """In bfloat16 the rounding of two nearly equal logits is as large as their difference."""
    made, kinds, judge = stage(), [], None
    match, t = made.batch(Dice.of(0, "x", 0)), torch.zeros(3)
    plain = made.penalties(match, t, Dice.of(0, "x", 1))
    judge = made.critic.forward
    made.critic.forward = lambda *a: (kinds.append(torch.is_autocast_enabled("cpu")), judge(*a))[1]
    with torch.autocast("cpu", torch.bfloat16):
        found = made.penalties(match, t, Dice.of(0, "x", 1))
    assert kinds == [False] and found == plain
    assert made.config.penalty_weight == pytest.approx(0.1)


def test_the_anchor_pulls_back_and_is_lifted(stage):
    made = stage(anchor=2.0, anchored=10)
    match = made.batch(Dice.of(0, "x", 0))
    _, found = next(made.generator_losses(match, Dice.of(0, "x", 0)))
    assert float(found["anchor"]) == pytest.approx(0, abs=1e-6), "where it begins"
    with torch.no_grad():
        for p in made.generator.parameters():
            p.add_(0.02)
    match = made.batch(Dice.of(0, "x", 0))
    losses = []
    for step in (0, 5, 10, 11):
        loss, found = next(made.generator_losses(match, Dice.of(0, "x", step)))
        losses.append(loss.item() - found["generator"].item())
        assert ("anchor" in found) == (step < 10)
    gap = made.astray(made.begun, match).mean().item()
    assert gap > 0 and losses == pytest.approx([2 * gap, gap, 0, 0], rel=1e-3, abs=1e-6)
    with pytest.raises(ValueError, match="an anchor needs rollouts from the start"):
        Adversarial(share=1, anchor=1.0, leads=(0, 5))


def test_what_diffusion_taught_can_be_kept(stage):
    made = stage(keep=3.0)
    match = made.batch(Dice.of(0, "x", 0))
    (_, first), (loss, found) = made.generator_losses(match, Dice.of(0, "x", 1))
    assert "generator" in first and loss.item() == pytest.approx(3 * found["keep"].item())
    bare = stage()
    assert len(list(bare.generator_losses(bare.batch(Dice.of(0, "x", 0)), Dice.of(0, "x", 1)))) == 1
    with torch.no_grad():
        for p in made.generator.leave.parameters():
            p.zero_()
    real = made.train.latents[1:].float().square().mean().item()
    assert made.forgotten(match.kept, Dice.of(0, "x", 1)).item() == pytest.approx(
        real + 1, rel=0.2
    ), "noise itself"


def test_who_is_held_to_the_game_where_nothing_moves_or_the_dream_is_near(stage):
    """Cells that are as they began, for `stay`; those that nearly show what the game does, for `follow`."""
    latents = torch.zeros(3, 5, 4, 4, 4)
    latents[:, 3:, :, :, :2] = 1.0  # the left half moves from the third latent on
    clip = Clip(latents, torch.zeros(3, 4, 1, 2), torch.zeros(3, 1, dtype=torch.int64))
    other = dataclasses.replace(clip, controls=clip.controls.clone())
    other.controls[2, 0] = 1
    held = stage(stay=2.0).held(clip, other, latents, 0)
    assert held[:2, :3].eq(2).all() and held[:2, 3:, :, 2:].eq(2).all()
    assert held[:2, 3:, :, :2].max() < 1e-6 and held[2].eq(0).all()
    both = stage(stay=2.0, follow=0.5)
    assert both.held(clip, other, latents, 0)[:2].equal(held[:2] + 0.5), "all that is right"
    assert both.held(clip, other, latents[:, 3:], 3)[:2].equal(held[:2, 3:] + 0.5), "after a lead"
    dreamt = latents.clone()
    dreamt[0, 4, :, 0] += 3
    apart = both.held(clip, other, dreamt, 0)
    torch.testing.assert_close(apart[0, 4, 0], held[0, 4, 0], msg="shows something else")
    apart[0, 4, 0] += 0.5
    assert apart[:2].equal(held[:2] + 0.5), "cell by cell"

    made = stage(stay=2.0, leads=(0, 5))
    match = made.batch(Dice.of(0, "x", 0))
    assert match.held.shape == match.real[:, :, 0].shape
    loss, found = next(made.generator_losses(match, Dice.of(0, "x", 1)))
    assert loss.item() == pytest.approx(found["generator"].item() + found["held"].item())
    right = dataclasses.replace(match, fake=match.real, past=None)
    assert next(made.generator_losses(right, Dice.of(0, "x", 1)))[1]["held"] == 0
    assert stage().batch(Dice.of(0, "x", 0)).held is None


def test_what_is_handed_on_lies_between_the_averages_of_two_stages(stage):
    made = stage(blend=0.25)
    made.finish()
    assert made.before is None, "the first of the two has nothing before it"
    made.before, own = copy.deepcopy(made.ema), copy.deepcopy(made.ema)
    with torch.no_grad():
        for p in made.before.parameters():
            p.add_(1)
    made.finish()
    for p, q in zip(made.ema.parameters(), own.parameters(), strict=True):
        assert torch.allclose(p, q + 0.25, atol=1e-5)
    with pytest.raises(ValueError, match="blend 1; expected 0 up to 1"):
        Adversarial(share=1, blend=1)


def test_the_critic_begins_from_the_diffusion_weights(stage):
    made = stage()
    made.critic.start_from(made.generator)
    for name, value in made.generator.trunk.state_dict().items():
        assert torch.equal(value, made.critic.trunk.state_dict()[name])


def test_who_does_what_diffusion_would_has_nothing_to_heed(stage):
    """A rollout by the teacher itself is what the teacher makes of it in one masked pass, position by position."""
    made = stage(heed=3.0, blind=0)
    dice = Dice.of(0, "x", 0)
    match = made.batch(dice)
    assert made.unheeded(match).item() == pytest.approx(0, abs=1e-6)
    torch.nn.init.normal_(made.generator.leave.bias, std=0.3)
    match, _ = made.batch(dice).learning(made.generator)
    apart = made.unheeded(match)
    assert apart.item() > 1e-3
    apart.backward()
    assert gradients(made.generator) > 0 and gradients(made.teacher) == 0
    loss, found = next(made.generator_losses(made.batch(dice), dice))
    assert loss.item() == pytest.approx(
        float(found["generator"]) + 3 * float(found["heed"]), rel=1e-4
    )


def test_what_the_teacher_cannot_know_is_not_weighed(stage):
    """The first latents of a dream cut out of a longer one: the teacher has not seen what led there."""
    made = stage(heed=1.0, blind=3)
    dice = Dice.of(0, "x", 0)
    match = made.batch(dice)
    far = match.fake.detach().clone()
    far[:, 1 + 2] += 9.0  # the third made latent; those after it do not move with it
    plain = made.unheeded(match).item()
    moved = made.unheeded(dataclasses.replace(match, fake=far, given=1)).item()
    assert plain == pytest.approx(0, abs=1e-6) and math.isfinite(moved)
    object.__setattr__(made.config, "blind", 0)
    assert made.unheeded(dataclasses.replace(match, fake=far, given=1)).item() > moved + 1
