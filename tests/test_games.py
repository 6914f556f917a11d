import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from aapt_env import games
from aapt_env.games import HoldControl
from aapt_env.twin import Twin
from aapt_games.driving.env import LOST


class Counting(gym.Env):
    """Shows how many frames it has made, in one buffer that it overwrites; ends after `last`."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}
    observation_space = gym.spaces.Box(0, 255, (8, 16, 3), np.uint8)
    action_space = gym.spaces.Discrete(3)
    control_names = ("a", "b", "c")
    keymap = ((("left",), 1, 1.0),)
    scenes = {"sky": ("clear", "grey")}

    def __init__(self, last=10**6, render_mode=None):
        self.last, self.render_mode = last, render_mode
        self.screen = np.zeros((8, 16, 3), np.uint8)
        self.actions = []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count, self.screen[:] = 0, 0
        return self.screen, {"scene": {"sky": "grey"}}

    def step(self, action):
        self.count += 1
        self.screen[:] = self.count
        self.actions.append(action)
        over = self.count >= self.last
        return self.screen, 0.5 * self.count, over, False, {"count": self.count}


class Dial(gym.Env):
    """A vector of controls with bounds of its own; draws, but observes no pixels."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}
    observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)

    def __init__(self, low=(-2.0, 0.0), high=(2.0, 1.0), render_mode="rgb_array"):
        self.render_mode = render_mode
        self.action_space = gym.spaces.Box(np.float32(low), np.float32(high))
        self.got = None

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.got = action
        return np.zeros(2, np.float32), 1, False, False, {}

    def render(self):
        return np.full((40, 60, 3), 77, np.uint8)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_a_step_holds_the_control_for_k_frames(k):
    game = Counting()
    env = HoldControl(game, k)
    obs, info = env.reset(seed=0)
    assert (info["frames"] == obs).all() and info["frames_real"] == 1
    assert info["frames"].shape == (k, 8, 16, 3) and info["rewards"].tolist() == [0] * k
    obs, reward, terminated, truncated, info = env.step(2)
    assert game.actions == [2] * k
    assert info["frames"].shape == (k, 8, 16, 3)
    assert info["frames"][:, 0, 0, 0].tolist() == list(range(1, k + 1))
    assert (obs == info["frames"][-1]).all()
    assert reward == 0.5 * sum(range(1, k + 1)) == info["rewards"].sum()
    assert not terminated and not truncated and info["frames_real"] == k and info["count"] == k


def test_rhythm_is_in_steps_per_second():
    env = HoldControl(Counting(), 4)
    assert env.metadata["render_fps"] == 8 and env.frame_fps == 30
    assert Counting.metadata["render_fps"] == 30
    slow = Counting()
    slow.metadata = {"render_fps": 1}
    assert HoldControl(slow, 4).metadata["render_fps"] == 1


def test_ending_in_mid_latent_fills_with_the_last_frame():
    env = HoldControl(Counting(last=6), 4)
    env.reset()
    env.step(0)
    obs, reward, terminated, _, info = env.step(0)
    assert terminated and info["frames_real"] == 2
    assert info["frames"][:, 0, 0, 0].tolist() == [5, 6, 6, 6] and obs[0, 0, 0] == 6
    assert info["rewards"].tolist() == [2.5, 3, 0, 0] and reward == 5.5


def test_a_game_that_is_called_off_is_over_but_has_not_ended():
    """The marshal's limit, like a clock's, cuts an episode short; a twin stands still after it."""
    game = games.make_game("driving")
    twin = Twin(game, games.world_spec(game, "driving", 4))
    twin.stand({"seed": 0, "scene": {}, "controls": []}, [])
    far = game.unwrapped.world.track.pose(50.0, 30.0)
    game.unwrapped.car.x, game.unwrapped.car.y = map(float, far[:2])
    game.unwrapped.lost, game.unwrapped.index = LOST - 1, None
    twin.step(np.zeros(4, np.float32))
    assert twin.over and not twin.terminated and twin.info["frames_real"] == 2


def test_nothing_is_shared_between_steps():
    env = HoldControl(Counting(), 2)
    results = [env.reset()]
    for _ in range(3):
        obs, _, _, _, info = env.step(0)
        results.append((obs, info))
    assert [obs[0, 0, 0] for obs, _ in results] == [0, 2, 4, 6]
    arrays = [array for obs, info in results for array in (obs, info["frames"], info["rewards"])]
    for i, a in enumerate(arrays):
        assert not any(np.shares_memory(a, b) for b in arrays[i + 1 :])


@pytest.mark.filterwarnings("ignore:.*")
@pytest.mark.parametrize("make", [Counting, lambda: games.PixelView(Dial(), 16, 24)])
def test_held_games_pass_check_env(make):
    check_env(HoldControl(make(), 4), skip_render_check=True)


def test_pixels_and_controls_of_any_environment():
    dial = Dial()
    env = games.PixelView(dial, 16, 24)
    obs, _ = env.reset(seed=0)
    assert obs.shape == (16, 24, 3) and obs.dtype == np.uint8 and (obs == 77).all()
    assert env.action_space == gym.spaces.Box(-1, 1, (2,), np.float32)
    for control, wanted in [((0, 0), (0, 0)), ((1, 1), (2, 1)), ((-0.5, -1), (-1, 0))]:
        env.step(np.float32(control))
        assert tuple(dial.got) == wanted and dial.got.dtype == np.float32


def test_image_observations_are_used_as_they_are():
    env = games.PixelView(Counting(), 8, 16)
    env.reset()
    first = env.step(0)[0]
    env.step(0)
    assert (first == 1).all()  # a copy: the game draws over its own buffer
    assert games.PixelView(Counting(), 16, 32).reset()[0].shape == (16, 32, 3)


def test_environments_that_cannot_be_games():
    with pytest.raises(ValueError, match="neither image observations nor"):
        games.PixelView(Dial(render_mode=None), 16, 24)
    with pytest.raises(ValueError, match="finite bounds"):
        games.PixelView(Dial(low=(-np.inf, 0.0)), 16, 24)


def test_world_spec_is_read_from_the_game():
    spec = games.world_spec(HoldControl(Counting(), 4), "counting", 4)
    assert spec == games.world_spec(Counting(), "counting", 4)
    assert (spec.height, spec.width, spec.frame_fps, spec.k) == (8, 16, 30, 4)
    assert spec.control.names == ("a", "b", "c") and spec.control.keymap[0].keys == ("left",)
    assert spec.scenes == {"sky": ("clear", "grey")} and spec.steps_per_second == 8
    with pytest.raises(ValueError, match="expected RGB frames"):
        games.world_spec(Dial(), "dial", 4)


@pytest.mark.parametrize("name", ["chess", "", "gym:", "dream:"])
def test_unknown_games(name):
    with pytest.raises(ValueError, match="gym:ID.*gym:CarRacing-v3.*dream:NAME"):
        games.make_game(name)


@pytest.mark.parametrize("name", ["gym:Nowhere-v0", "gym:no_such_module:Game-v0"])
def test_unknown_gymnasium_ids(name):
    with pytest.raises(ValueError, match=f"{name}: Gymnasium cannot make it"):
        games.make_game(name)


def test_a_dream_needs_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "aapt_env.env", None)
    with pytest.raises(ValueError, match="dream:driving needs 'aapt_env.env'"):
        games.make_game("dream:driving")


def test_folder_names():
    assert games.folder_name("gym:ALE/Pong-v5") == "gym-ALE-Pong-v5"


def test_our_games_are_described_and_made():
    assert set(games.describe()) == set(games.known_games())
    for name, line in games.describe().items():
        assert line
        if name in ("doom", "freedoom"):  # need ViZDoom: tests/games/test_doom.py
            continue
        env = games.make_held(name, 64, 72)
        obs, info = env.reset(seed=1)
        assert obs.shape == (64, 72, 3) and set(info["scene"]) == set(env.unwrapped.scenes)
        info = env.step(env.action_space.sample())[-1]
        assert info["frames"].shape == (4, 64, 72, 3)
        assert games.world_spec(env, name, 4).game == name


def test_games_and_data_load_no_torch():
    code = "import sys, aapt_env.games, aapt_env.data, aapt_env.data.record; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_gymnasiums_own_vector_envs_stack_games_of_which_one_begins_anew():
    class Short(Counting):
        def step(self, action):
            return *super().step(action)[:3], self.count >= 8, {}

    envs = gym.vector.SyncVectorEnv([lambda: HoldControl(Counting()), lambda: HoldControl(Short())])
    envs.reset(seed=0)
    real = [envs.step(np.array([2, 2]))[4]["frames_real"].tolist() for _ in range(4)]
    assert [4, 1] in real
