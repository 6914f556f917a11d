"""The dream as an ordinary Gymnasium env: any code that takes an Env takes it."""

import copy
import dataclasses
import pickle
import subprocess
import sys
import types
import warnings

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import RecordEpisodeStatistics, RecordVideo, TimeLimit

import aapt_env  # noqa: F401  registers the world
from aapt_env.env import AAPTEnv, key_code
from aapt_env.snapshot import Snapshot

GO, BACK = np.array([0, 0, 1, 0], np.int8), np.array([0, 1, 0, 1], np.int8)


@pytest.fixture
def env(tiny):
    """The bare env, on the CPU."""
    return AAPTEnv(checkpoint=str(tiny), device="cpu", render_mode="rgb_array")


@pytest.fixture
def made(tiny):
    """The env as gym.make gives it."""
    made = gym.make("AAPT-World-v0", checkpoint=str(tiny), device="cpu", render_mode="rgb_array")
    yield made
    made.close()


def drive(env, actions, **reset):
    """Frames of an episode, the start's included."""
    frames = [env.reset(**reset)[1]["frames"][-1:]]
    frames += [env.step(action)[4]["frames"] for action in actions]
    return np.concatenate(frames)


@pytest.mark.parametrize(("space", "k"), [("MultiBinary", 4), ("Discrete", 2), ("Box", 1)])
def test_gymnasium_finds_nothing_to_complain_of(make_checkpoint, tmp_path, space, k):
    folder = make_checkpoint(tmp_path / "world", space, k)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = gym.make("AAPT-World-v0", checkpoint=str(folder), render_mode="rgb_array")
        check_env(made.unwrapped)
    assert made.metadata["render_fps"] == 24 // k
    observation, info = made.reset(seed=0)
    assert info["frames"].shape == (k, 64, 64, 3) and (info["frames"] == observation).all()
    observation, reward, terminated, truncated, info = made.step(made.action_space.sample())
    assert made.observation_space.contains(observation)
    assert (reward, terminated, truncated) == (0.0, False, False)
    assert info["frames"].shape == (k, 64, 64, 3) and info["frames"].dtype == np.uint8
    assert np.array_equal(info["frames"][-1], observation)


def test_the_checker_passes_on_what_make_gives(made):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*different from the unwrapped version.*")
        check_env(made, skip_render_check=False)


def test_a_program_that_imports_nothing_of_ours_can_make_it(tiny):
    code = (
        "import gymnasium as gym, sys; env = gym.make('aapt_env:AAPT-World-v0', checkpoint=sys.argv[1]);"
        "env.reset(seed=0); print(env.step(env.action_space.sample())[0].shape)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(tiny)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.strip() == "(64, 64, 3)", done.stderr


def test_a_minute_by_default_and_as_long_as_asked(made, tiny):
    assert isinstance(made, TimeLimit) and made.spec.max_episode_steps == 360
    short = gym.make("AAPT-World-v0", checkpoint=str(tiny), max_episode_steps=3)
    short.reset(seed=0)
    assert [short.step(GO)[2:4] for _ in range(3)] == [(False, False)] * 2 + [(False, True)]
    endless = gym.make("AAPT-World-v0", checkpoint=str(tiny), max_episode_steps=-1)
    assert not isinstance(endless, TimeLimit)


def test_same_seed_and_actions_same_frames(made, env):
    actions = [GO, BACK, GO, GO]
    first = drive(made, actions, seed=7)
    assert np.array_equal(first, drive(made, actions, seed=7))
    assert np.array_equal(first, drive(env, actions, seed=7)), (
        "wrappers and another instance change nothing"
    )
    assert not np.array_equal(first, drive(made, actions, seed=8))
    assert not np.array_equal(first, drive(made, [BACK] * 4, seed=7))


def test_later_episodes_follow_from_the_first_seed(env):
    first = [drive(env, [GO], seed=7), drive(env, [GO]), drive(env, [GO])]
    again = [drive(env, [GO], seed=7), drive(env, [GO]), drive(env, [GO])]
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[1], first[2])


def test_step_and_render_before_reset(env):
    with pytest.raises(ResetNeeded, match="step before reset"):
        env.step(GO)
    with pytest.raises(ResetNeeded, match="render before reset"):
        env.render()


ODD = [[0, 0, 2, 0], [0, 1], 3, None, "left", [0.5, 0, 0, 0], [[0], [0, 1], 0, 0], {"left": 1}]


@pytest.mark.parametrize("action", ODD, ids=str)
def test_an_action_outside_the_space_is_refused_and_changes_nothing(env, action):
    reference = drive(env, [GO, GO], seed=1)
    env.reset(seed=1)
    with pytest.raises(ValueError, match=r"is outside MultiBinary\(4\); controls are .*left"):
        env.step(action)
    frames = [env.step(GO)[4]["frames"] for _ in range(2)]
    assert np.array_equal(np.concatenate(frames), reference[1:])


def test_a_world_without_outcome_head_invents_no_reward(env):
    assert env.reset(seed=0)[1]["reward_source"] == "none"
    _, reward, terminated, truncated, info = env.step(GO)
    assert info["reward_source"] == "none"
    assert (reward, terminated, truncated) == (0.0, False, False) and type(reward) is float


def test_start_by_index_tells_a_twin_where_to_stand(env):
    _, info = env.reset(seed=0, options={"start": 4})
    start = env.world.starts[4]
    assert (info["start"]["index"], info["start"]["seed"]) == (4, 104)
    assert info["start"]["scene"] == info["scene"] == start.scene
    assert np.array_equal(info["start"]["controls"], start.controls)
    _, numpy_int = env.reset(seed=0, options={"start": np.int64(4)})
    assert np.array_equal(numpy_int["frames"], info["frames"])


def test_every_start_comes_up_by_itself(env):
    env.reset(seed=0)
    assert {env.reset()[1]["start"]["index"] for _ in range(30)} == set(range(env.starts))


def test_scene_chooses_among_the_starts(env):
    for _ in range(5):
        _, info = env.reset(options={"scene": {"time": "night"}})
        assert info["scene"]["time"] == "night" and info["start"]["index"] in (1, 3, 5)
    _, info = env.reset(options={"start": 1, "scene": {"time": "night"}})
    assert info["start"]["index"] == 1


def test_start_from_a_picture(env):
    picture = env.world.starts[2].frames[0]
    observation, info = env.reset(seed=0, options={"start": picture, "scene": {"time": "night"}})
    assert "start" not in info and info["scene"] == {"time": "night", "sky": "clear"}
    flipped = picture[::-1, :, ::-1]
    assert not np.array_equal(observation, env.reset(seed=0, options={"start": flipped})[0])
    assert env.step(GO)[4]["frames"].shape == (4, 64, 64, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"begin": 3}, r"reset options \['begin'\] unknown; expected 'start' and 'scene'"),
        ({"start": 6}, "start 6; this checkpoint has starts 0 to 5"),
        ({"start": -1}, "start -1; this checkpoint has starts 0 to 5"),
        ({"start": np.zeros((32, 64, 3), np.uint8)}, r"start picture \(32, 64, 3\) uint8; expected"),
        ({"start": np.zeros((64, 64, 3))}, "float64; expected uint8"),
        ({"start": "two"}, "start picture .* or an index below 6"),
        ({"start": 2.5}, "start picture .* or an index below 6"),
        ({"start": [[1], [1, 2]]}, "start picture .* or an index below 6"),
        (["start"], r"reset options \['start'\]; expected {'start': ..., 'scene': ...}"),
        ({"scene": {1: 2, "season": "fall"}}, r"scene attributes \[1, 'season'\] unknown"),
        ({"scene": {"time": "noon"}}, r"scene time='noon'; expected one of \('day', 'night'\)"),
        ({"scene": {"season": "fall"}}, r"scene attributes \['season'\] unknown; this world has"),
        ({"scene": "night"}, "scene 'night'; expected {attribute: value} out of"),
        ({"scene": {"time": "night", "sky": "rain"}, "start": 0}, "contradicts {'time': 'night'}; leave one out"),
    ],
    ids=lambda x: x[:20] if isinstance(x, str) else None,
)  # fmt: skip
def test_bad_options_are_refused_in_a_sentence(env, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        env.reset(seed=0, options=options)
    assert "\n" not in str(caught.value)


def test_no_start_has_that_scene(env):
    env.world.starts = [s for s in env.world.starts if s.scene["time"] == "day"]
    with pytest.raises(ValueError, match="no start has scene .*'night'.*; leave an attribute out"):
        env.reset(options={"scene": {"time": "night"}})


@pytest.mark.parametrize("mode", ["human", "ansi"])
def test_a_render_mode_it_has_not(tiny, mode):
    with pytest.raises(ValueError, match=f"render_mode='{mode}'; expected None or 'rgb_array'"):
        AAPTEnv(checkpoint=str(tiny), render_mode=mode)


@pytest.mark.parametrize(
    "which", [{"game": None}, {"game": 5}, {"checkpoint": 5}, {"checkpoint": ""}]
)
def test_names_that_are_none(which):
    with pytest.raises(ValueError, match=r"checkpoint .*; expected the name of a game"):
        gym.make("AAPT-World-v0", **which)


def test_no_checkpoint_no_gpu_no_device(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AAPT_HOME", str(tmp_path))
    with pytest.raises(ValueError, match="no checkpoint for 'nowhere'"):
        gym.make("AAPT-World-v0", game="nowhere")
    with pytest.raises(ValueError, match="device 'tpu'; expected auto, cpu, cuda or cuda:N"):
        AAPTEnv(checkpoint=str(tiny), device="tpu")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ValueError, match="sees no CUDA GPU; use cpu or auto"):
        AAPTEnv(checkpoint=str(tiny), device="cuda")


def test_clone_and_restore_are_exact_whatever_happens_between(env, tiny):
    drive(env, [GO, BACK], seed=3)
    state = env.clone_state()
    after = [env.step(a)[4]["frames"] for a in (GO, BACK, GO)] + [drive(env, [GO])]
    drive(env, [BACK] * 5, seed=9)
    for one in (env, env, AAPTEnv(checkpoint=str(tiny), device="cpu", render_mode="rgb_array")):
        one.restore_state(state)
        shown = one.render()
        again = [one.step(a)[4]["frames"] for a in (GO, BACK, GO)] + [drive(one, [GO])]
        assert all(np.array_equal(a, b) for a, b in zip(after, again, strict=True))
        assert np.array_equal(shown, state.tensors["shown"][0])


def test_a_state_without_rng_leaves_the_generator_alone(env):
    env.reset(seed=3)
    state = env.clone_state(include_rng=False)
    env.reset()
    expected = env.np_random.bit_generator.state
    env.restore_state(state)
    assert env.np_random.bit_generator.state == expected


def test_a_state_of_another_world_is_refused(env, make_checkpoint, tmp_path):
    other = AAPTEnv(checkpoint=str(make_checkpoint(tmp_path / "other", seed=1)), device="cpu")
    other.reset(seed=0)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="the state is of checkpoint .*, this world is"):
        env.restore_state(other.clone_state())
    with pytest.raises(ValueError, match="state None; expected what clone_state"):
        env.restore_state(None)


def test_what_is_given_out_is_the_callers_own(env):
    """Writing into an observation or info changes neither the dream nor what was given before."""
    reference = drive(env, [GO, GO], seed=1)
    observation, info = env.reset(seed=1)
    given = [(observation, info)]
    for _ in range(2):
        observation, *_, info = env.step(GO)
        assert not any(np.shares_memory(observation, o) for o, _ in given)
        assert not any(np.shares_memory(info["frames"], i["frames"]) for _, i in given)
        assert not np.shares_memory(observation, info["frames"])
        given.append((observation, info))
    assert np.array_equal(np.concatenate([i["frames"] for _, i in given])[3:], reference)

    observation, info = env.reset(seed=1)
    observation[:], info["frames"][:] = 0, 0
    info["start"]["controls"][0][:] = [9] * 4
    info["scene"]["time"] = info["start"]["scene"]["time"] = "noon"
    env.render()[:] = 0
    frames = [env.step(GO)[4]["frames"] for _ in range(2)]
    assert np.array_equal(np.concatenate(frames), reference[1:])
    assert np.array_equal(drive(env, [GO, GO], seed=1), reference)


def test_render_is_the_last_frame(made, tiny):
    observation, _ = made.reset(seed=0)
    assert np.array_equal(made.render(), observation)
    observation = made.step(GO)[0]
    assert np.array_equal(made.render(), observation)
    silent = AAPTEnv(checkpoint=str(tiny))
    silent.reset(seed=0)
    assert silent.render() is None


def test_gymnasiums_recorder_takes_it_at_the_right_speed(tiny, tmp_path, monkeypatch):
    """RecordVideo hands frames and their rate to moviepy, which is not ours to need."""
    seen = []

    class Clip:
        def __init__(self, frames, fps):
            seen.append((len(frames), frames[0].shape, fps))

        def write_videofile(self, *_, **__):
            pass

    name = "moviepy.video.io.ImageSequenceClip"
    for i in range(1, 5):
        part = types.ModuleType(".".join(name.split(".")[:i]))
        monkeypatch.setitem(sys.modules, part.__name__, part)
    part.ImageSequenceClip = Clip
    made = gym.make(
        "AAPT-World-v0", checkpoint=str(tiny), render_mode="rgb_array", max_episode_steps=3
    )
    made = RecordVideo(
        made, str(tmp_path / "videos"), episode_trigger=lambda _: True, disable_logger=True
    )
    made.reset(seed=0)
    while not any(made.step(GO)[2:4]):
        pass
    made.close()
    assert seen == [(4, (64, 64, 3), 6)]


def test_gymnasiums_statistics_take_it(tiny):
    made = gym.make("AAPT-World-v0", checkpoint=str(tiny), max_episode_steps=3)
    made = RecordEpisodeStatistics(made)
    made.reset(seed=0)
    for _ in range(3):
        info = made.step(GO)[4]
    assert (info["episode"]["l"], info["episode"]["r"]) == (3, 0.0)


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_gymnasiums_vector_envs_take_it(make_checkpoint, tmp_path, mode):
    """They stack arrays of info, and once broke on starts whose controls differ in number."""
    from aapt_env import checkpoint

    read = checkpoint.read(make_checkpoint(tmp_path / "first"))
    starts = [
        dataclasses.replace(start, controls=np.repeat(start.controls, 1 + i, axis=0))
        for i, start in enumerate(read.starts)
    ]
    checkpoint.save(tmp_path / "world", read.spec, read.generator, read.vae, starts, {})
    import torch

    torch.randn(600, 600).exp()  # torch's threads are at work before the env forks
    many = gym.make_vec("AAPT-World-v0", 3, mode, checkpoint=str(tmp_path / "world"), device="cpu")
    try:
        infos = many.reset(seed=[1, 2, 3])[1]
        lengths = [len(rows) for rows in infos["start"]["controls"]]
        assert lengths == [len(starts[i].controls) for i in infos["start"]["index"]]
        assert len(set(lengths)) > 1
        observations, *_, infos = many.step(many.action_space.sample())
        assert observations.shape == (3, 64, 64, 3) and infos["frames"].shape == (3, 4, 64, 64, 3)
    finally:
        many.close()


def test_a_copy_and_a_pickle_dream_on_alike(env):
    env.reset(seed=1)
    env.step(GO)
    copies = [copy.deepcopy(env), pickle.loads(pickle.dumps(env))]
    after = env.step(BACK)[0]
    assert all(np.array_equal(one.step(BACK)[0], after) for one in copies)


def test_gymnasiums_player_plays_it_with_the_arrows(made, monkeypatch):
    """It refuses an empty combination of keys, and ord("left") is no key."""
    import pygame

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of matplotlib, which it would plot with
        from gymnasium.utils import play

    events = [[pygame.event.Event(pygame.KEYDOWN, key=key)] for key in (pygame.K_LEFT, pygame.K_UP)]
    events += [
        [pygame.event.Event(pygame.KEYUP, key=pygame.K_LEFT)],
        [pygame.event.Event(pygame.QUIT)],
    ]
    monkeypatch.setattr(pygame.event, "get", lambda: events.pop(0))
    actions = []
    play.play(
        made, fps=1000, noop=made.unwrapped.spec_world.control.neutral(),
        callback=lambda *step: actions.append(np.asarray(step[2]).tolist()),
    )  # fmt: skip
    assert actions == [[1, 0, 0, 0], [1, 0, 1, 0], [0, 0, 1, 0]]


def test_key_codes_are_pygames():
    import pygame

    pygame.display.init()
    names = ("a", "1", "left", "space", "left shift", "right ctrl", "return", "tab")
    assert [key_code(n) for n in names] == [pygame.key.key_code(n) for n in names]
    pygame.display.quit()


def test_a_world_without_policy_has_none(env):
    assert env.policy() is None


def test_a_state_is_for_weights_of_its_kind(env, tiny, tmp_path):
    rounded = AAPTEnv(checkpoint=str(tiny), device="cpu", weights="fp8")
    drive(rounded, [GO], seed=3)
    rounded.clone_state().save(tmp_path / "state")
    for state in (rounded.clone_state(), Snapshot.load(tmp_path / "state")):
        with pytest.raises(ValueError, match="made with fp8 weights, this env has full"):
            env.restore_state(state)
        rounded.restore_state(state)


def test_a_state_is_for_a_cache_of_its_kind(env, tiny, tmp_path):
    small = AAPTEnv(checkpoint=str(tiny), device="cpu", cache="fp8")
    drive(small, [GO, GO], seed=3)
    small.clone_state().save(tmp_path / "state")
    ahead, state = small.step(GO)[0], Snapshot.load(tmp_path / "state")
    with pytest.raises(ValueError, match="float8_e4m3fn.*or cache="):
        env.restore_state(state)
    small.restore_state(state)
    assert np.array_equal(small.step(GO)[0], ahead)


def test_gymnasiums_own_vector_envs_stack_what_one_of_two_gives_at_its_reset(tiny):
    """One row begins anew while the other goes on: its info has the shapes of a step's."""

    def make(limit):
        return lambda: gym.make("AAPT-World-v0", checkpoint=str(tiny), max_episode_steps=limit)

    envs = gym.vector.SyncVectorEnv([make(2), make(5)])
    envs.reset(seed=0)
    for i in range(6):
        observations, _, _, truncated, infos = envs.step(np.stack([GO, BACK]))
        assert infos["frames"].shape == (2, 4, 64, 64, 3)
        assert (infos["frames"][:, -1] == observations).all()
        assert truncated.tolist() == [i in (1, 4), i == 4]
    envs.close()


def test_restoring_takes_the_time_limit_back(tiny):
    limited = gym.make("AAPT-World-v0", checkpoint=str(tiny), device="cpu", max_episode_steps=5)
    limited.reset(seed=0)
    limited.step(GO)
    state = limited.unwrapped.clone_state()
    for _ in range(3):
        limited.step(GO)
    aapt_env.restore(limited, state)
    assert [limited.step(GO)[3] for _ in range(4)] == [False, False, False, True]
    fresh = gym.make("AAPT-World-v0", checkpoint=str(tiny), device="cpu", max_episode_steps=5)
    aapt_env.restore(fresh, state)  # never reset: it stands where the state does
    assert [fresh.step(GO)[3] for _ in range(4)] == [False, False, False, True]
    with pytest.raises(ValueError, match="is no AAPTEnv"):
        aapt_env.restore(gym.make("CartPole-v1"), state)


def test_a_fork_truncates_where_asked(env):
    env.reset(seed=0)
    env.step(GO)
    fork = env.fork(2, max_episode_steps=3)
    ends = [fork.step(np.stack([GO, GO]))[3].tolist() for _ in range(2)]
    assert ends == [[False, False], [True, True]]
    with pytest.raises(ValueError, match="max_episode_steps=0; expected a whole number >= 1"):
        env.fork(2, max_episode_steps=0)


def test_a_refused_reset_leaves_later_episodes_as_they_were(env, tiny):
    other = AAPTEnv(checkpoint=str(tiny), device="cpu")
    for each in (env, other):
        each.reset(seed=3)
    with pytest.raises(ValueError, match="start 99"):
        env.reset(seed=4, options={"start": 99})
    assert env.reset()[1]["seed"] == other.reset()[1]["seed"]


def test_inference_mode_outside_changes_nothing(tiny):
    plain = AAPTEnv(checkpoint=str(tiny), device="cpu")
    wanted = [*drive(plain, [GO, BACK], seed=1), *drive(plain, [GO], seed=2)]
    with torch.inference_mode():
        env = AAPTEnv(checkpoint=str(tiny), device="cpu")
        first = drive(env, [GO, BACK], seed=1)
        env.restore_state(env.clone_state())
    assert np.array_equal([*first, *drive(env, [GO], seed=2)], wanted)


@pytest.mark.parametrize("index", [np.int64(1), np.array(1), torch.tensor(1)])
def test_a_start_is_any_whole_number(env, index):
    assert env.reset(options={"start": index})[1]["start"]["index"] == 1
