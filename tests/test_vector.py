"""The native vector env: one batched forward, rows that keep to themselves, Gymnasium's autoreset in all its modes."""

import re

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode

import aapt_env  # noqa: F401  registers the world
from aapt_env import AAPTVectorEnv
from aapt_env.env import AAPTEnv

SEEDS = [3, 4, 5, 6, 7]


@pytest.fixture
def make(tiny):
    """Returns f(count, **) -> a vector env on the CPU."""
    return lambda count=5, **kwargs: AAPTVectorEnv(
        count, checkpoint=str(tiny), device="cpu", **kwargs
    )


@pytest.fixture
def actions(make):
    """Controls [8 steps, 5 rows, 4]."""
    return np.random.default_rng(0).integers(0, 2, (8, 5, 4))


def run(envs, actions):
    """Frames [T, N, k, H, W, 3]."""
    return torch.stack([envs.step(each)[4]["frames"] for each in actions])


def test_make_vec_gives_the_native_one(tiny):
    envs = gym.make_vec("AAPT-World-v0", num_envs=3, checkpoint=str(tiny), device="cpu")
    assert isinstance(envs, AAPTVectorEnv) and envs.num_envs == 3
    assert envs.limit == 360 and envs.metadata["render_fps"] == 6
    assert envs.metadata["autoreset_mode"] is envs.autoreset_mode is AutoresetMode.NEXT_STEP
    observations, infos = envs.reset(seed=1)
    assert envs.observation_space.contains(observations.numpy())
    assert torch.equal(infos["frames"], observations[:, None].expand(-1, 4, -1, -1, -1))
    observations, rewards, terminated, truncated, infos = envs.step(envs.action_space.sample())
    assert (observations.dtype, tuple(observations.shape)) == (torch.uint8, (3, 64, 64, 3))
    assert (rewards.dtype, terminated.dtype, truncated.dtype) == (
        torch.float32,
        torch.bool,
        torch.bool,
    )
    assert all(len(value) == 3 for value in infos.values()), "infos are of tensors, one row per env"
    assert torch.equal(infos["frames"][:, -1], observations)
    assert envs.device == observations.device
    assert not rewards.any() and envs.reward_source == "none" and not infos["reward_source"].any()


@pytest.mark.parametrize("space", ["Discrete", "Box"])
def test_other_controls(make_checkpoint, tmp_path, space):
    folder = make_checkpoint(tmp_path / "world", space)
    envs = AAPTVectorEnv(2, checkpoint=str(folder), device="cpu")
    envs.reset(seed=0)
    sample = envs.action_space.sample()
    first = envs.step(sample)[0]
    assert first.shape == (2, 64, 64, 3)
    envs.reset(seed=0)
    assert torch.equal(envs.step(torch.from_numpy(sample))[0], first), "tensors are actions too"


def test_one_forward_per_step_for_all_rows(make, actions):
    envs, counts = make(), []
    envs.world.generator.register_forward_hook(lambda *_: counts.append(1))
    envs.reset(seed=0)
    assert len(counts) == 4, "five rows share the four passes over their starts"
    counts.clear()
    run(envs, actions)
    assert len(counts) == len(actions) == envs.world.passes


def test_a_row_is_the_same_to_the_bit_whoever_is_beside_it_and_whenever_others_begin(make, actions):
    envs = make(autoreset_mode="Disabled")
    envs.reset(seed=SEEDS)
    reference = run(envs, actions)[:, 2]
    other = make(autoreset_mode="Disabled")
    other.reset(seed=[90, 91, 5, 92, 93])
    changed, frames = 1 - actions, []
    changed[:, 2] = actions[:, 2]
    for i, each in enumerate(changed):
        if i % 2:  # one other row, or all other rows at once
            mask = np.arange(5) == 0 if i % 4 == 1 else np.arange(5) != 2
            other.reset(seed=i, options={"reset_mask": mask})
        frames.append(other.step(each)[4]["frames"][2])
    assert torch.equal(torch.stack(frames), reference)


def test_a_row_begins_the_same_to_the_bit_however_many_begin_with_it(make, actions):
    alone = make(12)
    alone.reset(seed=0)
    for row in range(12):
        mask = np.arange(12) == row
        alone.reset(seed=[100 + row] * 12, options={"reset_mask": mask})
    together = make(12)
    together.reset(seed=100)
    steps = np.tile(actions[:4, :1], (1, 12, 1))
    assert torch.equal(run(alone, steps), run(together, steps))


def test_a_row_is_the_lone_env_within_a_grey_level(make, tiny, actions):
    """Another batch size adds in another order; the tolerance that the docs state."""
    envs = make()
    _, infos = envs.reset(seed=3)
    many = run(envs, actions)
    for row in range(5):
        lone = AAPTEnv(checkpoint=str(tiny), device="cpu")
        _, info = lone.reset(seed=3 + row)
        assert (info["seed"], info["start"]["index"]) == (infos["seed"][row], infos["start"][row])
        assert np.abs(info["frames"].astype(int) - infos["frames"][row].int().numpy()).max() <= 1
        frames = np.stack([lone.step(each)[4]["frames"] for each in actions[:, row]])
        gap = np.abs(frames.astype(int) - many[:, row].int().numpy())
        assert gap.max() <= 1 and (gap > 0).mean() < 0.01


def test_a_vector_of_one_is_the_env_to_the_bit(make, tiny, actions):
    envs, lone = make(1), AAPTEnv(checkpoint=str(tiny), device="cpu")
    envs.reset(seed=9)
    lone.reset(seed=9)
    for each in actions[:, :1]:
        assert np.array_equal(envs.step(each)[4]["frames"][0], lone.step(each[0])[4]["frames"])


def test_next_step_begins_anew_on_the_step_after(make, actions):
    envs = make(2, max_episode_steps=3)
    envs.reset(seed=0)
    found = [envs.step(each) for each in actions[:5, :2]]
    assert [step[3].tolist() for step in found] == [[i == 2] * 2 for i in range(5)]
    assert [step[4]["elapsed"].tolist() for step in found] == [[n] * 2 for n in (1, 2, 3, 0, 1)]
    begun = found[3][4]["frames"]
    assert torch.equal(begun, begun[:, -1:].expand_as(begun)), "its first frame, k times"
    lone = make(2)
    lone.reset(seed=0)
    expected, _ = lone.reset()
    assert torch.equal(found[3][0], expected), "the episode that a reset would have begun"


def test_same_step_begins_at_once_and_keeps_what_ended(make, actions):
    plain, envs = make(2), make(2, max_episode_steps=3, autoreset_mode=AutoresetMode.SAME_STEP)
    plain.reset(seed=0)
    envs.reset(seed=0)
    last = [plain.step(each)[0] for each in actions[:3, :2]][-1]
    step = [envs.step(each) for each in actions[:3, :2]][-1]
    infos = step[4]
    assert step[3].all() and infos["_final_obs"].all() and infos["_final_info"].all()
    assert torch.equal(infos["final_obs"], last)
    assert torch.equal(infos["final_info"]["frames"][:, -1], last)
    assert infos["final_info"]["elapsed"].tolist() == [3, 3] and infos["elapsed"].tolist() == [0, 0]
    assert torch.equal(step[0], plain.reset()[0])
    assert "final_obs" not in envs.step(actions[3, :2])[4]


def test_disabled_waits_for_the_mask(make, actions):
    envs = make(3, max_episode_steps=2, autoreset_mode=AutoresetMode.DISABLED)
    envs.reset(seed=0)
    envs.step(actions[0, :3])
    envs.reset(seed=8, options={"reset_mask": np.array([False, True, False])})
    _, _, _, truncated, infos = envs.step(actions[1, :3])
    assert truncated.tolist() == [True, False, True] and infos["elapsed"].tolist() == [2, 1, 2]
    with pytest.raises(ResetNeeded, match=r"rows \[0, 2\] have ended; call envs.reset"):
        envs.step(actions[2, :3])
    before = envs.dreams.shown[1].clone()
    observations, _ = envs.reset(options={"reset_mask": truncated})
    assert torch.equal(observations[1], before)
    envs.step(actions[2, :3])


def test_a_time_limit_of_none_never_ends(make, actions):
    envs = make(2)
    envs.reset(seed=0)
    assert not any(envs.step(each)[3].any() for each in actions[:, :2])


def test_what_is_given_out_is_the_callers_own(make, actions):
    envs, reference = make(2), make(2)
    for each in (envs, reference):
        each.reset(seed=1)
    for each in actions[:, :2]:
        observations, rewards, terminated, truncated, infos = envs.step(each)
        expected = reference.step(each)
        assert torch.equal(observations, expected[0])
        for tensor in (observations, rewards, *infos.values()):
            tensor.zero_()
        terminated[:] = truncated[:] = True


def test_starts_and_scenes(make):
    envs = make(3)
    _, infos = envs.reset(seed=0, options={"start": 4})
    assert infos["start"].tolist() == [4, 4, 4]
    assert envs.reset(options={"start": [0, 3, 5]})[1]["start"].tolist() == [0, 3, 5]
    _, infos = envs.reset(options={"scene": {"time": "night"}})
    assert (infos["scene"][:, 0] == 1).all()
    picture = envs.world.starts[0].frames[0]
    assert envs.reset(options={"start": picture})[1]["start"].tolist() == [-1, -1, -1]


BAD_ACTIONS = {
    r"actions \(4,\) .*; expected \(5, 4\)": np.zeros(4),
    r"actions \(5, 3\) .*; expected \(5, 4\)": np.zeros((5, 3)),
    r"actions \(5, 4\) .*complex64; expected": torch.zeros(5, 4, dtype=torch.complex64),
    r"actions \(\) object": [[0, 0], [1]],
    r"actions, row 3: action .* is outside MultiBinary\(4\); controls are .*left": np.diag(
        [0, 0, 0, 2, 0]
    )[:, :4],
    r"actions, row 0: action \[nan, .* is outside": np.full((5, 4), np.nan),
    "actions are on meta, this world is on cpu": torch.zeros(5, 4, device="meta"),
}


@pytest.mark.parametrize("message", BAD_ACTIONS)
def test_bad_actions_are_refused_in_a_sentence_and_change_nothing(make, actions, message):
    envs = make()
    envs.reset(seed=0)
    before = envs.clone_state()
    with pytest.raises(ValueError, match=message) as caught:
        envs.step(BAD_ACTIONS[message])
    assert "\n" not in str(caught.value)
    after = envs.clone_state()
    assert all(torch.equal(v, after.tensors[n]) for n, v in before.tensors.items())


BAD_SETTINGS = [
    (dict(num_envs=0), "num_envs=0; expected a whole number >= 1"),
    (dict(num_envs=2.5), "num_envs=2.5; expected"),
    (dict(max_episode_steps=0), "max_episode_steps=0; expected"),
    (dict(autoreset_mode="Never"), "autoreset_mode='Never'; expected one of"),
    (dict(render_mode="human"), "render_mode='human'; expected None or 'rgb_array'"),
    (dict(reward_fn=3), "reward_fn 3; expected a function"),
    (dict(device="tpu"), "device 'tpu'; expected"),
]


@pytest.mark.parametrize(("settings", "message"), BAD_SETTINGS, ids=lambda x: str(x)[:20])
def test_bad_settings_are_refused_in_a_sentence(tiny, settings, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        AAPTVectorEnv(**(dict(checkpoint=str(tiny), device="cpu") | settings))


BAD_OPTIONS = [
    (
        {"begin": 1},
        r"reset options \['begin'\] unknown; expected 'start', 'scene' and 'reset_mask'",
    ),
    (5, "reset options 5; expected"),
    ({"start": [0, 1]}, "2 starts; expected one per env, 5"),
    ({"start": 9}, "start 9; this checkpoint has starts 0 to 5"),
    ({"reset_mask": np.ones(4, bool)}, r"reset_mask \(4,\) bool; expected bool \(5,\)"),
    ({"reset_mask": np.zeros(5, bool)}, "with at least one True"),
    ({"reset_mask": [1, 0, 0, 0, 0]}, "reset_mask .* int64; expected bool"),
]


@pytest.mark.parametrize(("options", "message"), BAD_OPTIONS, ids=lambda x: str(x)[:24])
def test_bad_options_are_refused_in_a_sentence(make, options, message):
    with pytest.raises(ValueError, match=message):
        make().reset(seed=0, options=options)


def test_seeds_one_per_row(make):
    with pytest.raises(ValueError, match="2 seeds; expected one per env, 5"):
        make().reset(seed=[1, 2])


def test_before_reset(make, actions):
    envs = make(render_mode="rgb_array")
    for call in (lambda: envs.step(actions[0]), envs.render, lambda: envs.fork(2)):
        with pytest.raises(ResetNeeded, match="before reset; call envs.reset"):
            call()
    envs.reset(seed=0, options={"reset_mask": np.arange(5) == 1})
    with pytest.raises(ResetNeeded, match="step before reset"):
        envs.step(actions[0])


def test_render_is_the_last_frames(make, actions):
    envs = make(render_mode="rgb_array")
    envs.reset(seed=0)
    observations = envs.step(actions[0])[0]
    assert np.array_equal(np.stack(envs.render()), observations)


def test_a_reward_of_ones_own(make, tiny, actions):
    """It pays instead of a learned one, may end episodes, and is the same in the lone env."""
    seen = []

    def bright(frames, controls):
        seen.append((frames, controls))
        mean = frames.float().mean((1, 2, 3, 4))
        return mean, controls[:, 0] > 0

    envs = make(reward_fn=bright)
    envs.reset(seed=0)
    _, rewards, terminated, _, infos = envs.step(actions[0])
    assert torch.equal(rewards, infos["frames"].float().mean((1, 2, 3, 4)))
    assert terminated.tolist() == [bool(a[0]) for a in actions[0]] and terminated.any()
    assert envs.reward_source == "reward_fn" and (infos["reward_source"] == 2).all()
    lone = AAPTEnv(checkpoint=str(tiny), device="cpu", reward_fn=lambda f, c: bright(f, c)[0])
    lone.reset(seed=0)
    _, reward, terminated, _, info = lone.step(actions[0, 0])
    assert reward == pytest.approx(float(rewards[0]), abs=0.1) and terminated is False
    assert info["reward_source"] == "reward_fn"


@pytest.mark.parametrize(
    ("given", "message"),
    [(1.0, r"rewards \(\); expected \(5,\)"), ("much", "rewards 'much'; expected numbers"),
     (np.full(5, np.nan), "expected .* finite values"), ((), "gave 0 values; expected rewards, or"),
     (torch.zeros(5, dtype=torch.complex64), "expected numbers"), ((np.ones(5),) * 3, "gave 3 values"),
     ((np.ones(5), np.full(5, 0.3)), "ended with values between no and yes"),
     ((np.ones(5), np.full(5, np.nan)), "ended .* finite values")],
)  # fmt: skip
def test_a_reward_function_that_gives_something_else(make, actions, given, message):
    envs = make(reward_fn=lambda frames, controls: given)
    envs.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        envs.step(actions[0])


def test_step_after_a_termination_needs_a_reset(tiny):
    env = AAPTEnv(checkpoint=str(tiny), device="cpu", reward_fn=lambda f, c: (c[:, 0], c[:, 1] > 0))
    env.reset(seed=0)
    assert env.step([1, 0, 0, 0])[1:3] == (1.0, False)
    assert env.step([0, 1, 0, 0])[1:3] == (0.0, True)
    with pytest.raises(ResetNeeded, match="after the episode has terminated; call env.reset"):
        env.step([0, 0, 0, 0])
    env.reset()
    env.step([0, 0, 0, 0])


@pytest.mark.gpu
def test_on_a_gpu_tensors_go_in_and_out_there(tiny):
    """The device of a world was "cuda", that of its tensors "cuda:0", and actions on it were refused."""
    envs = AAPTVectorEnv(3, checkpoint=str(tiny), device="cuda")
    envs.reset(seed=0)
    step = envs.step(torch.ones(3, 4, device=envs.device))
    assert all(value.device == envs.device for value in (*step[:4], *step[4].values()))
    with pytest.raises(ValueError, match="actions are on cpu, this world is on cuda:0"):
        envs.step(torch.ones(3, 4))


@pytest.mark.slow
def test_many_steps_with_random_resets_leave_no_trace_on_others(make, tiny):
    """A slot's stream beside random resets of all the others is the one it has alone at that batch size."""
    rng = np.random.default_rng(0)
    calm, wild = (make(4, autoreset_mode="Disabled") for _ in range(2))
    calm.reset(seed=[0, 1, 2, 3])
    wild.reset(seed=[0, 8, 9, 10])
    for i in range(600):
        steps = rng.integers(0, 2, (4, 4))
        mask = np.append(False, rng.random(3) < 0.05)
        if mask.any():
            wild.reset(seed=i, options={"reset_mask": mask})
        assert torch.equal(calm.step(steps)[0][0], wild.step(steps)[0][0]), i
    assert torch.isfinite(wild.world.previous).all()


def test_a_refused_reset_leaves_every_row_as_it_was(make):
    envs, other = make(2), make(2)
    for each in (envs, other):
        each.reset(seed=5)
    for seed, options in (([9, -1], None), (9, {"start": [1, 99]})):
        with pytest.raises(ValueError, match="seed -1|start 99"):
            envs.reset(seed=seed, options=options)
    assert torch.equal(envs.reset()[1]["seed"], other.reset()[1]["seed"])


@pytest.mark.parametrize(
    "seed", [np.int64(4), np.array(4), np.array([4, 5]), torch.tensor([4, 5]), [np.int64(4), 5]]
)
def test_seeds_of_any_kind(make, seed):
    envs, other = make(2), make(2)
    assert torch.equal(envs.reset(seed=seed)[1]["seed"], other.reset(seed=[4, 5])[1]["seed"])


@pytest.mark.parametrize("seed", [1.5, [1, 1.5], "one", [0, -1]])
def test_seeds_that_are_none(make, seed):
    with pytest.raises(ValueError, match="expected whole numbers >= 0"):
        make(2).reset(seed=seed)


@pytest.mark.parametrize(
    "starts", [np.array([1, 0]), torch.tensor([1, 0]), [torch.tensor(1), np.int64(0)]]
)
def test_starts_of_any_kind(make, starts):
    assert make(2).reset(options={"start": starts})[1]["start"].tolist() == [1, 0]
