"""The observer: what it reads, what it cannot see, and how it is trained, kept and shipped."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch

from aapt_env import checkpoint
from aapt_env.evaluate import meter
from aapt_env.evaluate.learn import Learn, learn, new_observer, soften
from aapt_env.evaluate.run import Eval, find_meter
from aapt_env.evaluate.sanity import tear
from aapt_env.games import make_held
from aapt_env.model.observer import Observer, ObserverConfig
from aapt_env.spec import ControlSpec
from aapt_env.train.dice import Dice

KEYS = ControlSpec(space="MultiBinary", size=4, names=("left", "right", "throttle", "brake"))


@pytest.fixture(scope="module")
def loaded(taught):
    return meter.load(taught)


def clip(seed, frames=25):
    return np.random.default_rng(seed).integers(0, 256, (1, frames, 64, 64, 3)).astype(np.uint8)


@pytest.mark.parametrize("k", (1, 2, 4))
def test_it_sees_four_frames_on_either_side_whatever_a_latent_has(k, tiny_spec):
    c = new_observer(tiny_spec(k=k), Learn()).config
    assert (c.before * k, c.after * k, c.span) == (4, 4, 9 + k)


def test_it_reads_controls_of_frames_it_never_saw(loaded, sliding, random_rows):
    game = make_held(sliding)
    clips, controls = [], []
    for seed in range(900, 906):
        frames = [game.reset(seed=seed)[1]["frames"][-1:]]
        rows = np.repeat(random_rows(loaded.observer, 6, seed), 2, axis=0)
        frames += [game.step(row.astype(np.int8))[4]["frames"] for row in rows]
        clips.append(np.concatenate(frames))
        controls.append(rows)
    seen, truth = loaded.watch(np.stack(clips)).reading, np.stack(controls).astype(np.int8)
    assert (seen == truth)[:, 1:-1].mean() > 0.8
    assert set(loaded.about.accuracy) == {"left", "right"}


def test_a_frozen_world_says_nothing_whatever_its_picture(loaded):
    """The shape of the road ahead must not stand in for obedience."""
    stills = np.concatenate([np.repeat(clip(i, 1), 25, axis=1) for i in range(5)])
    seen = loaded.watch(stills).reading[:, 1:-1]
    assert (seen == seen[0, 0]).all()


def test_pixels_that_display_the_control_are_not_seen(loaded):
    plain = clip(0)
    shown = plain.copy()
    shown[:, ::2, loaded.mask] = 255
    assert loaded.mask.sum() == 8 * 64
    np.testing.assert_array_equal(loaded.watch(plain).features, loaded.watch(shown).features)


def test_ends_of_a_clip_are_not_read(loaded):
    seen = loaded.watch(clip(1))  # 6 latents, one needed on each side
    assert (seen.reading[0, [0, -1]] == -1).all() and (seen.reading[0, 1:-1] >= 0).all()
    assert np.isnan(seen.features[0, [0, -1]]).all() and not np.isnan(seen.distance[0, 1:-1]).any()


def test_noise_is_far_from_all_real_frames(loaded, recorded):
    from aapt_env.data.episodes import Episodes

    episodes = Episodes.open(recorded)
    real = loaded.watch(episodes.frames(episodes.split()[1][0])[None]).distance
    assert np.nanmax(real) <= loaded.far
    assert np.nanmean(loaded.watch(clip(2)).distance) > 2 * np.nanmean(real)


def test_a_mosaic_of_a_real_frame_is_torn_and_real_frames_are_not(loaded, recorded):
    from aapt_env.data.episodes import Episodes

    episodes = Episodes.open(recorded)
    held = np.stack([episodes.frames(i) for i in episodes.split()[1]])
    real = loaded.watch(held).strangeness
    assert (
        real > loaded.torn
    ).sum() <= 1  # the 99.9th percentile of so few frames leaves one above
    assert np.isnan(real[:, [0, -1]]).all()
    assert np.nanmean(loaded.watch(tear(held)).strangeness > loaded.torn) > 0.5


def test_strangeness_sees_patches_and_no_pixel_that_displays_the_control(loaded):
    plain = clip(0)
    shown = plain.copy()
    shown[:, ::2, loaded.mask] = 255
    np.testing.assert_array_equal(loaded.watch(plain).strangeness, loaded.watch(shown).strangeness)
    stack = torch.from_numpy(plain[:, : loaded.observer.config.span])
    pieces = loaded.observer.pieces(stack)
    assert pieces.shape == (1, 4, 4, 48)
    corner = stack[0, loaded.observer.config.now, :16, :16].float().reshape(4, 4, 4, 4, 3)
    torch.testing.assert_close(pieces[0, 0, 0].view(3, 4, 4), corner.mean((1, 3)).permute(2, 0, 1))


def test_the_same_call_leaves_a_complete_meter_alone(taught, sliding, recorded, small, capsys):
    before = (taught / meter.WEIGHTS).read_bytes()
    assert learn(sliding, data=recorded, out=taught, device="cpu", config=small)
    assert "remove it to start over" in capsys.readouterr().out
    assert (taught / meter.WEIGHTS).read_bytes() == before


def test_a_stopped_training_goes_on_to_the_same_weights(sliding, recorded, small, tmp_path):
    config = dataclasses.replace(small, steps=4, batch=8)
    settings = dict(data=recorded, device="cpu", seed=1, config=config)
    assert learn(sliding, out=tmp_path / "whole", **settings)
    assert not learn(sliding, out=tmp_path / "cut", time_limit=1e-3, **settings)
    assert not (tmp_path / "cut" / meter.ABOUT).exists()
    assert learn(sliding, out=tmp_path / "cut", **settings)
    whole, cut = ((tmp_path / name / meter.WEIGHTS).read_bytes() for name in ("whole", "cut"))
    assert whole == cut


def test_the_default_size_is_small_enough_to_ship(tmp_path):
    observer = Observer(ObserverConfig(height=64, width=64, k=4, scenes=(3, 4, 4)), KEYS)
    meter.save(tmp_path, "driving", observer, {}, {})
    assert sum(f.stat().st_size for f in tmp_path.iterdir()) < 2.5e6
    again = meter.load(tmp_path)
    assert again.observer.config == observer.config
    assert torch.equal(again.observer.read.weight, observer.read.weight.bfloat16().float())


def test_shipping_puts_it_beside_the_world(taught, tmp_path, sliding):
    place = meter.ship(taught, tmp_path)
    assert place == tmp_path / "gym-Sliding-v0"
    assert meter.load(place).hash == meter.load(taught).hash
    assert meter.find("nothing of the kind", place) == place
    assert meter.find("nothing of the kind") is None


@pytest.mark.parametrize("damage", ["weights", "json", "key", "sizes"])
def test_damaged_meters_are_one_sentence(taught, tmp_path, damage):
    folder = shutil.copytree(taught, tmp_path / "m")
    about = json.loads((folder / meter.ABOUT).read_text())
    if damage == "weights":
        (folder / meter.WEIGHTS).write_bytes(b"x" * 100)
    elif damage == "json":
        (folder / meter.ABOUT).write_text("{")
    else:
        about |= {"odd": 1} if damage == "key" else {"sizes": about["sizes"] | {"height": -3}}
        (folder / meter.ABOUT).write_text(json.dumps(about))
    with pytest.raises(ValueError, match=str(folder)):
        meter.load(folder)


def test_a_meter_of_another_world_is_refused_by_name_and_left_out_otherwise(taught, tiny):
    other = checkpoint.read(tiny)
    with pytest.raises(ValueError, match="train one for it"):
        find_meter(Eval(game="tiny", meter=taught), other, torch.device("cpu"))
    found, why = find_meter(Eval(game="tiny"), other, torch.device("cpu"))
    assert found is None and "aapt meter tiny" in why


def test_stacks_of_another_size_are_refused(loaded):
    with pytest.raises(ValueError, match="expected uint8"):
        loaded.observer(torch.zeros(1, 12, 64, 64, 3, dtype=torch.uint8))


def test_every_other_stack_is_softened_alike_in_all_its_frames():
    rng = torch.Generator().manual_seed(0)
    still = torch.rand(6, 1, 64, 64, generator=rng).expand(-1, 5, -1, -1) * 4
    found = soften(still, Dice.of(0, "x", 0), 1.5, 0.0)
    assert torch.equal(found[1::2], still[1::2]), "as they were"
    assert torch.allclose(found[::2].diff(dim=1), torch.zeros(()), atol=1e-5), (
        "no motion of its own"
    )
    rough, before = (x[::2].diff(dim=-1).abs().mean((1, 2, 3)) for x in (found, still))
    assert (rough < before).all() and len(set((rough / before).tolist())) == 3
    assert torch.allclose(found.mean((1, 2, 3)), still.mean((1, 2, 3)), atol=0.02)
    grainy = soften(still, Dice.of(0, "x", 0), 1.5, 0.5)
    assert grainy[::2].diff(dim=1).abs().amax((1, 2, 3)).min() > 0
    assert torch.equal(soften(still, Dice.of(0, "x", 0), 1.5, 0.5), grainy)
