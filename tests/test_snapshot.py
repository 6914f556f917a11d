"""A moment can be kept, written, read elsewhere and forked; what follows is the same to the bit."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from aapt_env import AAPTVectorEnv, Snapshot
from aapt_env.env import AAPTEnv

GO, BACK = np.array([0, 0, 1, 0], np.int8), np.array([0, 1, 0, 1], np.int8)


@pytest.fixture
def env(tiny):
    made = AAPTEnv(checkpoint=str(tiny), device="cpu")
    made.reset(seed=3)
    for _ in range(6):  # past the window: the ring has come round
        made.step(GO)
    return made


def drive(env, actions=(GO, BACK, GO)):
    return np.stack([env.step(action)[4]["frames"] for action in actions])


def test_saved_and_loaded_is_the_same(env, tmp_path):
    state = env.clone_state()
    state.save(tmp_path / "moment.safetensors")
    after = drive(env)
    later = env.reset()[1]["seed"]
    env.restore_state(Snapshot.load(tmp_path / "moment.safetensors"))
    assert np.array_equal(drive(env), after) and env.reset()[1]["seed"] == later


def test_another_process_goes_on_from_a_file(env, tiny, tmp_path):
    env.clone_state().save(tmp_path / "moment.safetensors")
    code = (
        "import sys, numpy as np, aapt_env; env = aapt_env.AAPTEnv(checkpoint=sys.argv[1], device='cpu');"
        "env.restore_state(aapt_env.Snapshot.load(sys.argv[2]));"
        "np.save(sys.argv[3], np.stack([env.step(a)[4]['frames'] for a in np.load(sys.argv[4])]))"
    )
    np.save(tmp_path / "actions.npy", np.stack([GO, BACK, GO]))
    names = [str(tmp_path / name) for name in ("moment.safetensors", "frames.npy", "actions.npy")]
    subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(tiny), *names], check=True, timeout=170
    )
    assert np.array_equal(np.load(tmp_path / "frames.npy"), drive(env))


def test_a_vector_env_goes_back_too(tiny):
    envs = AAPTVectorEnv(3, checkpoint=str(tiny), device="cpu", max_episode_steps=5)
    envs.reset(seed=0)
    steps = np.tile(GO, (8, 3, 1))
    envs.step(steps[0])
    state = envs.clone_state()
    first = [envs.step(each) for each in steps]
    envs.restore_state(state)
    again = [envs.step(each) for each in steps]
    for a, b in zip(first, again, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a[:4], b[:4], strict=True))
        assert torch.equal(a[4]["seed"], b[4]["seed"]), "also the episodes that begin on the way"


def test_fork_goes_on_as_the_env_does(env):
    """Same noise: all rows the env's own future, but for the batch size. The env itself stays where it is."""
    fork = env.fork(3)
    frames = torch.stack([fork.step(np.tile(each, (3, 1)))[4]["frames"] for each in (GO, BACK, GO)])
    assert all(torch.equal(frames[:, 0], frames[:, i]) for i in (1, 2))
    gap = np.abs(drive(env).astype(int) - frames[:, 0].int().numpy())
    assert gap.max() <= 1 and (gap > 0).mean() < 0.01


def test_forked_controls_part(env):
    fork = env.fork(2)
    for _ in range(3):
        shown = fork.step(np.stack([GO, BACK]))[0]
    assert (shown[0].float() - shown[1].float()).abs().mean() > 1


def test_split_noise_makes_up_a_future_per_row_whatever_n_is(env):
    first, again, more = (env.fork(n, noise="split") for n in (2, 2, 4))
    seeds = [each.world.seeds.tolist() for each in (first, again, more)]
    assert seeds[0] == seeds[1] == seeds[2][:2] and len(set(seeds[2])) == 4
    for _ in range(3):
        shown = first.step(np.tile(GO, (2, 1)))[0]
    assert (shown[0].float() - shown[1].float()).abs().mean() > 0.5


def test_fork_of_a_row_of_many(tiny):
    envs = AAPTVectorEnv(3, checkpoint=str(tiny), device="cpu", max_episode_steps=4)
    envs.reset(seed=0)
    envs.step(np.tile(GO, (3, 1)))
    fork = envs.fork(3, row=1)
    step, mine = envs.step(np.tile(GO, (3, 1))), fork.step(np.tile(GO, (3, 1)))
    gap = (step[0][1].int() - mine[0].int()).abs()
    assert gap.max() <= 1 and mine[4]["elapsed"].tolist() == [2, 2, 2]
    with pytest.raises(ValueError, match="row 3; expected 0 to 2"):
        envs.fork(2, row=3)


def test_restoring_a_fork_is_exact(env):
    """What a planner does: the same moment again and again."""
    fork = env.fork(4, noise="split")
    state, steps = fork.clone_state(), np.tile(GO, (4, 1))
    first = [fork.step(steps)[0] for _ in range(3)]
    fork.restore_state(state)
    assert all(torch.equal(fork.step(steps)[0], each) for each in first)


@pytest.mark.parametrize(("n", "noise", "message"), [
    (0, "same", "fork to 0 rows; expected a whole number >= 1"),
    (2, "other", "noise='other'; expected 'same' or 'split'"),
])  # fmt: skip
def test_forks_that_make_no_sense(env, n, noise, message):
    with pytest.raises(ValueError, match=message):
        env.fork(n, noise)


def unchanged(env, state, message):
    """Restoring `state` is refused in a sentence and changes nothing."""
    before = env.clone_state()
    with pytest.raises(ValueError, match=message) as caught:
        env.restore_state(state)
    assert "\n" not in str(caught.value)
    after = env.clone_state()
    assert all(torch.equal(value, after.tensors[n]) for n, value in before.tensors.items())


def test_a_state_of_another_batch_size(env, tiny):
    envs = AAPTVectorEnv(2, checkpoint=str(tiny), device="cpu")
    envs.reset(seed=0)
    unchanged(
        env,
        envs.clone_state(),
        "the state has 2 rows, this env 1; restore it in an env with num_envs=2",
    )


def test_a_state_that_lost_a_part_or_its_type(env):
    state = env.clone_state()
    lost = {n: v for n, v in state.tensors.items() if n != "world/previous"}
    unchanged(env, Snapshot(state.checkpoint, lost, []), "state previous: expected .* got None")
    other = state.tensors | {"world/previous": state.tensors["world/previous"].double()}
    unchanged(env, Snapshot(state.checkpoint, other, []), "expected .*float32, got .*float64")
    bad = state.tensors | {"world/previous": state.tensors["world/previous"] * torch.nan}
    unchanged(env, Snapshot(state.checkpoint, bad, []), "values that are not finite")
    for name, value in {
        "begun": torch.zeros(()),
        "elapsed": state.tensors["elapsed"][:0],
        "over": state.tensors["over"].double(),
        "shown": state.tensors["shown"].float(),
    }.items():
        bad = state.tensors | {name: value}
        unchanged(env, Snapshot(state.checkpoint, bad, []), f"state {name}: expected .*, got ")
    unchanged(env, Snapshot(state.checkpoint, {}, []), "lacks shown")
    for age in (-1, 2**62):
        bad = state.tensors | {
            "world/cache/age": torch.full_like(state.tensors["world/cache/age"], age)
        }
        unchanged(env, Snapshot(state.checkpoint, bad, []), "age: expected 0 to")
    far = {
        "bit_generator": "PCG64",
        "state": {"state": -1, "inc": 1},
        "has_uint32": 0,
        "uinteger": 0,
    }
    for generator in ({"bit": 1}, far):
        unchanged(
            env, Snapshot(state.checkpoint, state.tensors, [generator]), "generator is damaged"
        )


def flipped(raw):
    """A file with one bit turned over, in its last tensor."""
    return raw[:-1] + bytes([raw[-1] ^ 1])


def test_damaged_files_are_told_in_a_sentence(env, tmp_path):
    path, good = tmp_path / "moment", tmp_path / "good"
    env.clone_state().save(good)
    tensors = load_file(good)
    wrecks = {
        "missing": lambda: None,
        "cut": lambda: path.write_bytes(good.read_bytes()[:-100]),
        "empty": lambda: path.write_bytes(b""),
        "of others": lambda: save_file({"x": torch.zeros(1)}, path),
        "untold": lambda: save_file(tensors, path),
        "half": lambda: save_file({"x": tensors["shown"]}, path, {"format": "aapt_env snapshot 2"}),
        "flipped": lambda: path.write_bytes(flipped(good.read_bytes())),
    }
    for name, wreck in wrecks.items():
        wreck()
        with pytest.raises(ValueError, match="is no whole snapshot .*save it again") as caught:
            Snapshot.load(path)
        assert "\n" not in str(caught.value), name


def test_a_write_that_fails_leaves_what_was_there(env, tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder; expected the name of a file"):
        env.clone_state().save(tmp_path)
    with pytest.raises(OSError):
        env.clone_state().save(tmp_path / "nowhere" / "moment")
