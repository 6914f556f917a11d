"""A world is a function of starts, seeds and controls: rows keep to themselves, one pass per latent, fixed memory."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from aapt_env import checkpoint
from aapt_env.starts import Start
from aapt_env.world import World

STEPS = 8


@pytest.fixture(scope="module")
def loaded(tiny):
    return checkpoint.read(tiny)


@pytest.fixture
def make(loaded):
    """Returns f(batch, **) -> a world in float32, its rows begun at starts 0, 1, ... with seeds 10, 11, ..."""

    def world(batch=1, bf16=False, seeds=None, starts=None):
        made = World(loaded, batch, bf16=bf16)
        for row in range(batch):
            start = loaded.starts[row if starts is None else starts[row]]
            made.reset(row, start, 10 + row if seeds is None else seeds[row])
        return made

    return world


@pytest.fixture
def rows(loaded, random_rows):
    """Controls [STEPS, 4 rows, width]."""
    return random_rows(loaded.spec, STEPS * 4).reshape(STEPS, 4, -1)


def run(world, controls):
    """Frames [T, B, k, H, W, 3] of controls [T, B, width]."""
    return torch.stack([world.step(rows).clone() for rows in controls])


def distance(a, b):
    """Mean absolute difference in grey levels."""
    return float((a.float() - b.float()).abs().mean())


@pytest.mark.parametrize("bf16", [False, True])
def test_same_seed_and_controls_same_frames_to_the_bit(make, rows, bf16):
    first = run(make(bf16=bf16), rows[:, :1])
    assert torch.equal(first, run(make(bf16=bf16), rows[:, :1]))
    assert first.shape == (STEPS, 1, 4, 64, 64, 3) and first.dtype == torch.uint8
    assert 10 < first.float().std() < 120, (
        "the tiny world shows nothing: the tests on it would be empty"
    )


def test_seed_start_and_control_matter(make, rows):
    reference = run(make(), rows[:, :1])
    others = {
        "seed": run(make(seeds=[11]), rows[:, :1]),
        "start": run(make(starts=[1]), rows[:, :1]),
        "control": run(make(), 1 - rows[:, :1]),
    }
    for name, frames in others.items():
        assert distance(frames, reference) > 1, name


def test_worlds_of_one_checkpoint_do_not_touch_each_other(loaded, make, rows):
    """World moved the checkpoint's own networks: a bf16 world broke the float32 one beside it."""
    before = make()
    reference = run(make(), rows[:, :1])
    run(make(bf16=True), rows[:, :1])
    assert torch.equal(run(before, rows[:, :1]), reference)
    assert next(loaded.generator.parameters()).dtype == torch.float32


@pytest.mark.parametrize("bf16", [False, True])
def test_state_and_load_replay_to_the_bit(make, rows, bf16):
    world = make(4, bf16=bf16)
    run(world, rows[:3])
    state = world.state()
    kept = {name: value.clone() for name, value in state.items()}
    first = run(world, rows[3:])
    assert all(torch.equal(state[n], kept[n]) for n in kept), (
        "a state must not change as the world goes on"
    )
    world.load(state)
    assert torch.equal(run(world, rows[3:]), first)
    other = make(4, bf16=bf16, seeds=[1, 2, 3, 4])
    other.load(state)
    assert torch.equal(run(other, rows[3:]), first)


def test_a_row_is_the_same_to_the_bit_whoever_is_beside_it_and_whenever_others_reset(
    loaded, make, rows
):
    world = make(4)
    reference = run(world, rows)[:, 1]
    other = make(4, seeds=[70, 11, 71, 72], starts=[3, 1, 4, 5])
    controls = 1 - rows
    controls[:, 1] = rows[:, 1]
    frames = []
    for i, row in enumerate(controls):
        if i % 2:
            other.reset((0, 2, 3)[i % 3], loaded.starts[i % 6], i)
        frames.append(other.step(row)[1].clone())
    assert torch.equal(torch.stack(frames), reference)


def test_a_row_begun_later_is_the_row_begun_at_once(loaded, make, rows):
    fresh = run(make(4), rows[:4])[:, 2]
    world = make(4, seeds=[5, 6, 7, 8])
    run(world, rows)
    world.reset(2, loaded.starts[2], 12)
    assert torch.equal(run(world, rows[:4])[:, 2], fresh)


def test_a_row_is_the_lone_world_within_a_grey_level(make, rows):
    """Matrix products of another batch size add in another order; measured: at most 1 level, on few pixels."""
    many = run(make(4), rows)
    for row in range(4):
        lone = run(make(starts=[row], seeds=[10 + row]), rows[:, row : row + 1])
        gap = (many[:, row].int() - lone[:, 0].int()).abs()
        assert gap.max() <= 1 and (gap > 0).float().mean() < 0.01


def test_one_forward_pass_per_latent(make, loaded, rows):
    world, counts = make(4), {"generator": 0, "decoder": 0}

    def count(name):
        def hook(*_):
            counts[name] += 1

        return hook

    world.generator.register_forward_hook(count("generator"))
    world.vae.decoder.enter.register_forward_hook(count("decoder"))
    for n, row in enumerate(rows, 1):
        world.step(row)
        assert counts == {"generator": n, "decoder": n} and world.passes == n
    world.reset(0, loaded.starts[0], 0)
    assert counts["generator"] == STEPS + 4, "a pass for each of the prefix's four latents"
    assert counts["decoder"] == STEPS, "a start's own frames are decoded once"
    assert world.passes == STEPS
    picture = dataclasses.replace(loaded.starts[0], frames=loaded.starts[0].frames[:1])
    world.reset(0, picture, 0)
    assert counts["generator"] == STEPS + 4, "a picture needs no pass"


def test_memory_stays_where_and_what_it_is(make, rows):
    world = make(4)
    run(world, rows)

    def shapes():
        return {n: tuple(v.shape) for n, v in world.state().items()}

    before, place = shapes(), (world.cache.keys.data_ptr(), world.cache.values.data_ptr())
    for _ in range(25):
        run(world, rows)
    assert shapes() == before
    assert (world.cache.keys.data_ptr(), world.cache.values.data_ptr()) == place
    assert int(world.cache.age[0]) == 4 + 26 * STEPS


@pytest.mark.slow
def test_ten_thousand_steps_take_no_more_memory_nor_time(make, rows):
    import resource
    import time

    world, seconds, sizes = make(), [], []
    for _ in range(10):
        begun = time.process_time()
        for i in range(1000):
            frames = world.step(rows[i % STEPS, :1])
        seconds.append(time.process_time() - begun)
        sizes.append(
            int(Path(f"/proc/{os.getpid()}/statm").read_text().split()[1]) * resource.getpagesize()
        )
    assert torch.isfinite(world.previous).all() and frames.float().std() > 5
    assert sizes[-1] - sizes[1] < 8 * 2**20
    assert min(seconds[-3:]) < 1.5 * min(seconds[:3])


def test_reset_shows_the_start_as_the_decoder_gives_it(make, loaded):
    world, start = make(), loaded.starts[0]
    shown = world.reset(0, start, 0)
    with torch.no_grad():
        decoded, _ = world.vae.decode(world.vae.encode(torch.from_numpy(start.frames)[None]))
    assert shown.shape == (1, 64, 64, 3)
    assert np.abs(shown[0].astype(int) - decoded[0, -1, -1].numpy()).max() <= 1


def test_frames_that_are_read_only_or_flipped_are_frames_too(make, loaded):
    """torch.from_numpy warns of the one and refuses the other."""
    start = loaded.starts[0]
    straight = make().reset(
        0, dataclasses.replace(start, frames=start.frames[:1, ..., ::-1].copy()), 0
    )
    flipped = start.frames[:1, ..., ::-1]
    flipped.flags.writeable = False
    assert np.array_equal(make().reset(0, dataclasses.replace(start, frames=flipped), 0), straight)


BAD = {
    "size": (dict(frames=np.zeros((5, 64, 32, 3), np.uint8)), "start frames .* expected uint8"),
    "type": (dict(frames=np.zeros((5, 64, 64, 3), np.float32)), "float32; expected uint8"),
    "count": (dict(frames=np.zeros((4, 64, 64, 3), np.uint8)), r"1 \+ n\*4"),
    "none": (dict(frames=np.zeros((0, 64, 64, 3), np.uint8)), r"1 \+ n\*4"),
    "controls": (dict(controls=np.zeros((3, 4), np.float32)), "start controls"),
    "width": (dict(controls=np.zeros((30, 3), np.float32)), "start controls"),
    "scene": (dict(scene={"time": "noon", "sky": "rain"}), "scene time='noon'; expected one of"),
    "half a scene": (dict(scene={"sky": "rain"}), "scene time=None; expected one of"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_start_is_refused_in_a_sentence_and_changes_nothing(make, loaded, rows, name):
    changes, message = BAD[name]
    world = make()
    before = world.state()
    with pytest.raises(ValueError, match=message):
        world.reset(0, dataclasses.replace(loaded.starts[0], **changes), 0)
    assert all(torch.equal(v, before[n]) for n, v in world.state().items())


def test_controls_and_states_of_another_shape_are_refused(make, rows):
    world = make(4)
    with pytest.raises(ValueError, match=r"controls \(4,\); expected \[B, width\] = \(4, 4\)"):
        world.step(rows[0, 0])
    with pytest.raises(ValueError, match="is it of another world"):
        world.load(make(1).state())
    state = world.state()
    del state["previous"]
    with pytest.raises(ValueError, match="state previous: expected .* got None"):
        world.load(state)


def test_a_start_can_be_made_by_hand(make, loaded):
    frames = np.full((1, 64, 64, 3), 90, np.uint8)
    start = Start(frames=frames, controls=np.zeros((0, 4)), seed=0, scene=loaded.starts[0].scene)
    world = make()
    world.reset(0, start, 0)
    assert int(world.cache.age[0]) == 0
    assert world.step(np.zeros((1, 4))).shape == (1, 4, 64, 64, 3)
