"""The outcome stage: weighted windows true to the recordings, features of the step itself, a world that pays."""

import dataclasses

import gymnasium as gym
import numpy as np
import pytest
import torch

import aapt_env  # noqa: F401  registers the world
from aapt_env import checkpoint
from aapt_env.model.cache import RingCache
from aapt_env.model.generator import Generator
from aapt_env.model.outcome import OutcomeHead
from aapt_env.model.rollout import step
from aapt_env.model.trunk import TrunkConfig
from aapt_env.spec import ControlSpec
from aapt_env.train.clips import EncodedEpisode, LatentClips
from aapt_env.train.dice import Dice
from aapt_env.train.outcome import Outcome, OutcomeStage, best_threshold, windows

CONTROL = ControlSpec(space="Discrete", size=3)
SIZES = TrunkConfig(channels=4, dim=32, depth=2, heads=2, window=4)


def episode(length, ended):
    latents = torch.randn(length, 4, 8, 8).half()
    controls = torch.randint(3, (length - 1, 4, 1)).float()
    rewards = 0.1 * controls.sum((1, 2))  # pays what is pressed
    return EncodedEpisode(
        latents, latents, controls, torch.zeros(0, dtype=torch.int64), rewards, ended
    )


@pytest.fixture
def clips():
    torch.manual_seed(0)
    return LatentClips([episode(20, True), episode(30, False), episode(5, True), episode(26, True)])


@pytest.fixture
def generator():
    torch.manual_seed(1)
    made = Generator(SIZES, CONTROL)
    for p in made.parameters():
        torch.nn.init.normal_(p, std=0.1)
    return made


@pytest.fixture
def stage(generator, clips):
    config = Outcome(share=1, batch=8, length=6, width=8, checks=3, lr=1e-2)
    return OutcomeStage(config, OutcomeHead(SIZES, 8), generator, clips, clips)


def test_outcomes_stay_with_the_latents_that_earned_them(clips):
    episodes, starts = np.array([0, 1, 3]), np.array([13, 23, 19])
    clip = clips.at(episodes, starts, 6)
    rewards, ended = clips.outcomes(episodes, starts, 6)
    assert torch.allclose(rewards, 0.1 * clip.controls.sum((2, 3)))
    assert ended.sum(1).tolist() == [1, 0, 1] and not ended[:, :-1].any()


def drawn(clips, ends, count=12_000, length=6):
    """Of many windows: places [n, T] in `clips.latents`, whether they are of the window's own episode, weights."""
    episodes, starts, weight = windows(clips, Dice.of(0, "x", 0), count, length, ends)
    rows = clips.first[episodes][:, None] + starts[:, None] + 1 + np.arange(length)
    own = starts[:, None] + 1 + np.arange(length) < clips.lengths[episodes][:, None]
    return rows, own, weight


@pytest.mark.parametrize("ends", [0.0, 0.25, 0.5])
def test_weights_undo_the_preference_for_endings(clips, ends):
    """Under them latents count equally, but for the first few, and what is past an end does not."""
    rows, own, weight = drawn(clips, ends)
    assert not weight[~own].any() and (weight[own] > 0).all()
    counts = np.bincount(rows[own], weight[own], len(clips.latents)) / len(rows) * 77 / 6
    late = np.concatenate([[False] * min(n, 6) + [True] * max(0, n - 6) for n in clips.lengths])
    assert counts[late] == pytest.approx(1, abs=0.25)
    assert counts[late].mean() == pytest.approx(1, abs=0.05)
    assert not counts[clips.first].any()
    at_end = clips.ends.numpy()[np.minimum(rows, 80)] & own
    assert at_end.any(1).mean() == pytest.approx(ends + (1 - ends) * 16 / 77, abs=0.02)


def test_no_place_in_a_window_foretells_an_ending():
    clips = LatentClips([episode(20, True), episode(31, False), episode(30, True)])
    rows, own, weight = drawn(clips, 0.25)
    ended = clips.ends.numpy()[np.minimum(rows, 80)] & own
    rate = (weight * ended).sum(0) / weight.sum(0)
    assert rate == pytest.approx(2 / 70, rel=0.2)


def test_without_endings_windows_are_uniform():
    rows, own, weight = drawn(LatentClips([episode(12, False)]), 0.25)
    assert np.bincount(rows[:, 0])[1:] == pytest.approx(12_000 / 11, rel=0.1)
    assert (weight == own).all()


def test_a_window_past_the_last_episode_stays_in_memory(clips):
    clip = clips.at(np.array([3]), np.array([24]), 6)
    assert torch.equal(clip.latents[0, 1], clip.latents[0, 5])
    assert clips.outcomes(np.array([3]), np.array([24]), 6)[1][0, 0]


@pytest.mark.parametrize("few", [0, 2])
def test_features_are_those_of_the_step_that_play_takes(stage, generator, clips, few):
    """Of real latents, and of the generator's own after two given ones."""
    clip = clips.at(np.array([0, 1]), np.array([2, 3]), 6)
    noise = torch.randn(2, 6, 4, 8, 8)
    with torch.no_grad():
        found = stage.features(clip, noise, few, 2)
        cache = RingCache(generator.trunk.rope, generator.trunk.scene(clip.scene), 4)
        previous = clip.latents[:, 0]
        for i in range(6):
            kept = []
            made = step(generator, previous, clip.controls[:, i], noise[:, i], cache, kept)
            assert torch.allclose(found[:, i], kept[0][:, 0], atol=1e-4), i
            previous = clip.latents[:, i + 1] if not few or i == 0 else made


def test_it_learns_what_is_paid_and_the_generator_stands_still(stage, generator):
    before = [p.clone() for p in generator.parameters()]
    losses = learn(stage, 60)
    assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:5])
    assert all(torch.equal(a, b) for a, b in zip(before, generator.parameters(), strict=True))
    stage.finish()
    found = stage.calibration()
    assert 0 < found["threshold"] < 1 and found["real_endings"] > 0
    assert found["real_reward_error"] < found["real_reward_error_of_the_mean"]
    assert {"dreamt_reward_error", "dreamt_recall"} <= set(found)


def test_a_resumed_stage_draws_the_same_windows(generator, clips):
    config = Outcome(share=1, batch=8, length=6, width=8, fresh=2, pool=3)

    def batches(numbers):
        stage = OutcomeStage(config, OutcomeHead(SIZES, 8), generator, clips, clips)
        found = {i: stage.batch(Dice.of(0, "outcome", i)) for i in numbers}
        assert len(stage.made) <= 3
        return found

    whole, resumed = batches(range(12)), batches(range(9, 12))
    for i, seen in resumed.items():
        assert (
            torch.equal(seen.features, whole[i].features) and seen.features.dtype == torch.float32
        )
        assert torch.equal(seen.rewards, whole[i].rewards) and torch.equal(
            seen.weight, whole[i].weight
        )
    assert not torch.equal(whole[0].rewards, whole[1].rewards), "each draws its own rows"


def learn(stage, steps, first=0):
    losses = []
    for i in range(first, first + steps):
        ((loss, _),) = stage.losses(stage.batch(Dice.of(0, "outcome", i)), Dice.of(0, "outcome", i))
        loss.backward()
        for turn in stage.turns:
            turn.optimizer.step()
            turn.optimizer.zero_grad()
        losses.append(float(loss.detach()))
    return losses


def marked(stage, ended, also):
    """A stage of 40 episodes, half of them ended, whose features show a mark on endings and on `also` more latents."""
    torch.manual_seed(2)
    episodes = [episode(30, i % 2 == 0) for i in range(40)]
    for made in episodes:
        made.latents.zero_()
        if made.ended and ended:
            made.latents[-1] = 1
    for made in episodes[1 : 2 * also : 2]:
        made.latents[20] = 1
    clips, patterns = LatentClips(episodes), torch.randn(2, 16, SIZES.dim)
    config = dataclasses.replace(stage.config, batch=32)
    stage = OutcomeStage(config, OutcomeHead(SIZES, 8), stage.generator, clips, clips)
    stage.features = lambda clip, *_: patterns[clip.latents[:, 1:, 0, 0, 0].long()]
    return stage, patterns


def test_an_ending_that_can_be_seen_is_foretold(stage):
    stage, patterns = marked(stage, ended=True, also=0)
    learn(stage, 150)
    stage.finish()
    found = stage.calibration()
    for part in ("real", "dreamt"):
        assert found[f"{part}_precision"] > 0.9 and found[f"{part}_recall"] > 0.9
        assert found[f"{part}_brier"] < 0.2 * found[f"{part}_brier_of_the_rate"]
    _, end = stage.head(patterns[:, None])
    assert end[1, 0] > 0.9 and end[0, 0] < 0.01


def test_probabilities_are_those_of_the_recordings(stage):
    """However many endings are drawn: half of the marks are none, so a mark foretells one in every second case."""
    stage, patterns = marked(stage, ended=True, also=20)
    found = []
    for first in range(0, 300, 20):
        learn(stage, 20, first)
        found.append(stage.head(patterns[:, None])[1][:, 0].detach())
    ends = torch.stack(found[5:]).mean(0)  # the rate is high, and a single step's answer wavers
    assert 0.3 < ends[1] < 0.7 and ends[0] < 0.02


def test_what_cannot_be_seen_is_as_likely_as_in_the_recordings(stage):
    stage, patterns = marked(stage, ended=False, also=0)
    learn(stage, 150)
    _, end = stage.head(patterns[:, None])
    assert end[0, 0].item() == pytest.approx(20 / (40 * 29), rel=0.4)


def test_the_threshold_parts_what_can_be_parted():
    end, ended = np.array([0.9, 0.8, 0.3, 0.2, 0.1]), np.array([1, 1, 0, 0, 0])
    assert 0.3 < best_threshold(end, ended, np.ones(5)) < 0.8
    assert best_threshold(end, np.zeros(5), np.ones(5)) == 0.5


def test_a_dream_does_not_end_by_alarms_that_are_mostly_false():
    """The best F1 alone takes the first three, five alarms of nine false; of a head mostly wrong nothing is taken."""
    end, weight = np.array([0.9, 0.4, 0.3, 0.2, 0.1]), np.array([1.0, 5, 3, 9, 9])
    ended = np.array([1, 0, 1, 0, 0])
    chosen = best_threshold(end, ended, weight)
    assert 0.4 < chosen < 0.9
    assert best_threshold(end[1:], np.array([0, 1, 0, 0]), weight[1:]) == 0.5


def test_a_trained_run_has_a_world_that_pays(trained):
    """The head reads rewards in the step's own pass, in the Env and in the vector env alike."""
    assert (trained / "outcome" / "calibration.json").is_file()
    loaded = checkpoint.read(trained / "checkpoint")
    assert loaded.outcome is not None and loaded.training["stage"] == "long"
    env = gym.make("AAPT-World-v0", checkpoint=str(trained), device="cpu").unwrapped
    counts = []
    env.reset(seed=0)
    env.world.generator.register_forward_hook(lambda *_: counts.append(1))
    _, reward, terminated, _, info = env.step([1, 0])
    assert info["reward_source"] == "learned" and len(counts) == 1
    assert 0 < info["termination_probability"] < 1 and isinstance(terminated, bool)
    envs = gym.make_vec("AAPT-World-v0", num_envs=1, checkpoint=str(trained), device="cpu")
    envs.reset(seed=0)
    _, rewards, _, _, infos = envs.step(np.array([[1, 0]]))
    assert float(rewards[0]) == reward and envs.reward_source == "learned"
    assert float(infos["termination_probability"][0]) == info["termination_probability"]


def test_a_stage_checkpoint_is_without_a_head_and_a_head_of_other_sizes_is_refused(
    trained, tmp_path
):
    assert checkpoint.read(trained / "long" / "checkpoint").outcome is None
    place = checkpoint.ship(trained / "checkpoint", tmp_path)
    assert checkpoint.read(place).outcome is not None
    other = OutcomeHead(TrunkConfig(channels=4, dim=16, heads=2))
    checkpoint.save_outcome(place, other)
    with pytest.raises(
        ValueError, match="outcome.safetensors does not fit the sizes in config.json"
    ):
        checkpoint.read(place)
