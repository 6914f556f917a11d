"""The pilot of piloted rollouts: it sees the past only, learns to answer, and what it flew is what is judged."""

import pytest
import torch

from aapt_env.model.cache import GrowingCache
from aapt_env.model.generator import Generator
from aapt_env.model.rollout import rollout
from aapt_env.model.trunk import TrunkConfig
from aapt_env.spec import ControlSpec
from aapt_env.train import pilot
from aapt_env.train.clips import EncodedEpisode, LatentClips
from aapt_env.train.dice import Dice

KEYS = ControlSpec(space="MultiBinary", size=2)
CONFIG = TrunkConfig(channels=4, rows=4, columns=4, dim=32, depth=2, heads=2, window=4, scenes=(2,))


@pytest.fixture
def generator():
    torch.manual_seed(0)
    made = Generator(CONFIG, KEYS)
    for p in made.parameters():
        torch.nn.init.normal_(p, std=0.2)
    return made


@pytest.fixture
def answered():
    """Latents whose mean sign says which key is pressed next, in fresh episodes of 20."""
    rng = torch.Generator().manual_seed(0)
    episodes = []
    for _ in range(8):
        sign = torch.randint(0, 2, (20,), generator=rng)
        latents = (
            torch.randn(20, 4, 4, 4, generator=rng) + 2.0 * (2 * sign - 1)[:, None, None, None]
        )
        keys = torch.stack([sign, 1 - sign], dim=1)[:-1].float()
        rows = keys[:, None].expand(-1, 4, -1)
        episodes.append(
            EncodedEpisode(latents.half(), latents.half(), rows, torch.zeros(1, dtype=torch.int64))
        )
    return LatentClips(episodes)


def test_choices_are_all_combinations_of_keys_and_back():
    made = pilot.Pilot(ControlSpec(space="MultiBinary", size=3), (4, 4, 4))
    assert made.table.shape == (8, 3) and len({tuple(row) for row in made.table.tolist()}) == 8
    held = made.table[:, None].expand(-1, 4, -1)
    assert made.indices(held).tolist() == list(range(8))
    names = pilot.Pilot(ControlSpec(space="Discrete", size=5), (4, 4, 4))
    assert names.indices(names.table[:, None].expand(-1, 4, -1)).tolist() == list(range(5))


@pytest.mark.parametrize(
    "control", [ControlSpec(space="Box", size=2), ControlSpec(space="MultiBinary", size=9)]
)
def test_controls_it_cannot_choose_between(control):
    with pytest.raises(ValueError, match="expected Discrete or MultiBinary .* piloted=0"):
        pilot.Pilot(control, (4, 4, 4))


def test_what_it_sees_ends_before_the_control_it_chooses():
    made = pilot.Pilot(KEYS, (4, 4, 4))
    latents, choices = torch.arange(6.0).expand(1, -1)[..., None, None, None], torch.arange(5)[None]
    seen, past = made.views(latents, choices)
    assert (
        seen[0, 4, :, 0, 0, 0].tolist() == [2, 3, 4] and seen[0, 0, :, 0, 0, 0].tolist() == [0] * 3
    )
    assert past[0, 4].tolist() == [-1] * 4 + [0, 1, 2, 3] and past[0, 0].tolist() == [-1] * 8


def test_it_learns_to_answer_what_it_sees(answered):
    made = pilot.learn(answered, KEYS, seed=0, steps=60, batch=16)
    clip = answered.sample(Dice.of(1, "x", 0), 32, 10)
    assert float(pilot.loss(made, clip, Dice.of(2, "x", 0))) < 0.2, "guessing has 0.69"
    again = pilot.learn(answered, KEYS, seed=0, steps=60, batch=16)
    assert all(map(torch.equal, made.state_dict().values(), again.state_dict().values()))


def test_it_is_learned_once_per_run(answered, tmp_path, monkeypatch):
    learn = pilot.learn
    monkeypatch.setattr(pilot, "learn", lambda *a: learn(*a, steps=2))
    first = pilot.ready(tmp_path / "pilot.safetensors", answered, KEYS, 0)
    monkeypatch.setattr(pilot, "learn", None)
    again = pilot.ready(tmp_path / "pilot.safetensors", answered, KEYS, 0)
    assert all(map(torch.equal, first.state_dict().values(), again.state_dict().values()))
    assert not again.training and not any(p.requires_grad for p in again.parameters())


@pytest.mark.parametrize("given", [1, 3])
def test_a_rollout_over_what_it_flew_makes_what_it_saw(answered, generator, given, monkeypatch):
    made = pilot.learn(answered, KEYS, seed=0, steps=2, batch=4)
    clip = answered.sample(Dice.of(1, "x", 0), 4, 12)
    noise = Dice.of(2, "x", 0).normal(*clip.latents[:, 1:].shape)
    shown = []
    monkeypatch.setattr(
        made, "forward", lambda s, c: (shown.append((s, c)), type(made).forward(made, s, c))[1]
    )
    flown = pilot.fly(made, generator, clip, noise, given, 3, Dice.of(3, "x", 0))
    assert torch.equal(flown.latents, clip.latents)
    assert torch.equal(flown.controls[3], clip.controls[3]), "not piloted"
    assert torch.equal(flown.controls[:, : given - 1], clip.controls[:, : given - 1])
    assert not torch.equal(flown.controls[:3, given:], clip.controls[:3, given:])
    cache = GrowingCache(generator.trunk.rope, generator.trunk.scene(clip.scene[:3]), CONFIG.window)
    with torch.no_grad():
        rolled = rollout(
            generator, clip.latents[:3, :given], flown.controls[:3], noise[:3], cache, given
        )
    seen, past = made.views(rolled[:, :-1], made.indices(flown.controls[:3])[:, :-1])
    for i, (latents, choices) in enumerate(shown, start=given - 1):
        torch.testing.assert_close(latents, seen[:, i])
        assert torch.equal(choices, past[:, i])
    assert len(shown) == 12 - (given - 1)


def test_the_same_dice_fly_the_same(answered, generator):
    made = pilot.learn(answered, KEYS, seed=0, steps=2, batch=4)
    clip = answered.sample(Dice.of(1, "x", 0), 4, 6)
    noise = Dice.of(2, "x", 0).normal(*clip.latents[:, 1:].shape)
    flown = [
        pilot.fly(made, generator, clip, noise, 1, 4, Dice.of(seed, "y", 0)).controls
        for seed in (3, 3, 4)
    ]
    assert torch.equal(flown[0], flown[1]) and not torch.equal(flown[0], flown[2])
