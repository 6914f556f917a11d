"""The driving game keeps its promises: seeds, states, scenes, physics and a driver worth recording."""

import pickle
import subprocess
import sys
from pathlib import Path

import cv2
import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from aapt_games import GAMES
from aapt_games.driving import DrivingEnv
from aapt_games.driving import env as env_module
from aapt_games.driving.driver import Driver

cv2.setNumThreads(1)
CLEAR = {"scene": {"time": "day", "weather": "clear", "season": "summer"}}
GO, COAST = np.array([0, 0, 1, 0], np.int8), np.zeros(4, np.int8)
LEFT, STOP = np.array([1, 0, 1, 0], np.int8), np.array([0, 0, 0, 1], np.int8)


@pytest.fixture(scope="module")
def game():
    """One small game that tests reset as they need."""
    return DrivingEnv()


def play(game, actions):
    """Frames, rewards and infos of a run of actions."""
    steps = [game.step(a) for a in actions]
    return np.stack([s[0] for s in steps]), [s[1] for s in steps], [s[4] for s in steps]


def settle(game, speed: float, offset: float = 0.0):
    """Put the car on a straight at `speed`, alone, `offset` m left of the centre."""
    track = game.world.track
    calm = np.convolve(np.abs(np.r_[track.curvature, track.curvature[:80]]), np.ones(80), "valid")
    s = float(calm[: len(track.xy)].argmin()) * track.spacing
    x, y, heading = track.pose(s, offset)
    game.car = type(game.car)(float(x), float(y), float(heading), speed)
    game.index = track.nearest(game.car.x, game.car.y)
    game.s, game.offset = track.locate(game.car.x, game.car.y, game.index)
    for name in ("s", "lane", "speed", "cruise", "color"):
        setattr(game.traffic, name, getattr(game.traffic, name)[:0])


def test_gymnasium_accepts_it():
    """The registered game passes Gymnasium's own check."""
    check_env(gymnasium.make("aapt_games/Driving-v0").unwrapped, skip_render_check=True)
    assert GAMES["driving"] == "aapt_games.driving:DrivingEnv"


@pytest.mark.parametrize("size", [(63, 64), (64, 257)])
def test_bad_sizes_are_named(size):
    """A size that cannot be drawn is refused in words."""
    with pytest.raises(ValueError, match="64 to 256"):
        DrivingEnv(*size)


@pytest.mark.parametrize("size", [(64, 128), (96, 64), (256, 256)])
def test_sizes(size):
    """Frames of every shape; state does not depend on it."""
    game = DrivingEnv(*size)
    obs, _ = game.reset(seed=5)
    assert obs.shape == (*size, 3) and obs.std() > 15
    assert game.control_mask().shape == size


def test_equal_seed_and_controls_give_equal_frames(game):
    """Bit-identical replay, in another instance, at every step."""
    actions = np.random.default_rng(0).integers(0, 2, (60, 4)).astype(np.int8)
    runs = []
    for each in (game, DrivingEnv()):
        first, info = each.reset(seed=11)
        frames, rewards, infos = play(each, actions)
        runs.append((first, frames, rewards, [info, *infos]))
    assert np.array_equal(runs[0][0], runs[1][0]) and np.array_equal(runs[0][1], runs[1][1])
    assert runs[0][2:] == runs[1][2:]


def test_state_is_the_same_at_every_size(game):
    """The picture size never touches the physics."""
    other = DrivingEnv(96, 80)
    game.reset(seed=4), other.reset(seed=4)
    assert play(game, [LEFT] * 20)[2] == play(other, [LEFT] * 20)[2]


def test_clone_and_restore(game):
    """A restored state continues exactly, also after another track and through pickle."""
    game.reset(seed=2)
    play(game, [LEFT] * 20)
    state = pickle.loads(pickle.dumps(game.clone_state()))
    frames, rewards, infos = play(game, [GO] * 20)
    after = game.reset()[1]
    game.restore_state(state)
    again = play(game, [GO] * 20)
    assert np.array_equal(frames, again[0]) and (rewards, infos) == again[1:]
    assert game.reset()[1] == after  # the generator continued from the clone too


def test_tracks_differ_and_close():
    """Each seed has its own loop of 600 to 1500 m whose bends a car can take."""
    lengths = set()
    for seed in range(40):
        track = env_module.world.track.generate(np.random.default_rng(seed))
        gaps = np.hypot(*(np.roll(track.xy, -1, 0) - track.xy).T)
        assert 600 <= track.length <= 1501 and 7 <= track.width <= 10
        assert gaps.max() < 1.3 and np.abs(track.curvature).max() < 1 / 12
        lengths.add(round(track.length, 3))
    assert len(lengths) == 40


def test_scene_options(game):
    """Options fix a part of the scene or all of it; the rest comes from the seed."""
    free = game.reset(seed=3)[1]["scene"]
    part = game.reset(seed=3, options={"scene": {"time": "night"}})[1]["scene"]
    assert part == free | {"time": "night"} and set(free) == set(DrivingEnv.scenes)
    for bad in ({"time": "noon"}, {"mood": "good"}):
        with pytest.raises(ValueError, match="known: "):
            game.reset(seed=3, options={"scene": bad})


@pytest.mark.parametrize("options", [{"scenes": {"time": "night"}}, {"scene": "night"}])
def test_options_that_there_are_not_are_refused(game, options):
    """A typo once gave another scene than the one asked for, without a word."""
    with pytest.raises(ValueError, match="expected {'scene': {attribute: value}}"):
        game.reset(seed=3, options=options)


@pytest.mark.parametrize("action", [[0, 0, 1], [0, 0, 2, 0], [0.5, 0, 0, 0], None, "left", 5])
def test_an_action_outside_the_space_is_refused(game, action):
    """It was read as true or false, or failed with a sentence of Python's."""
    game.reset(seed=3)
    with pytest.raises(ValueError, match=r"is outside MultiBinary\(4\); controls are .*left"):
        game.step(action)


def test_scenes_look_different(game):
    """Day and night, rain and clear, winter and summer differ by eye."""

    def look(**change):
        return game.reset(seed=8, options={"scene": CLEAR["scene"] | change})[0].astype(float)

    base = look()
    for change in ({"time": "night"}, {"time": "dusk"}, {"weather": "rain"}, {"season": "winter"}):
        assert np.abs(base - look(**change)).mean() > 12, change


def test_mask_covers_what_shows_the_control(game):
    """With all else equal, wheel and pedals change no pixel outside the mask."""
    game.reset(seed=6)
    mask, base = game.control_mask(), game._observe()
    for steer, pedals in ((1.0, (True, False)), (-0.6, (False, True)), (0.1, (False, False))):
        game.car.steer, game.pedals = steer, pedals
        changed = (game._observe() != base).any(-1)
        assert changed.any() and not (changed & ~mask).any()
    assert mask.mean() < 0.2


def test_steering_turns(game):
    """Left raises the heading, right lowers it."""
    for key, sign in ((0, 1), (1, -1)):
        game.reset(seed=7, options=CLEAR)
        settle(game, 12.0)
        before, action = game.car.heading, np.zeros(4, np.int8)
        action[key] = 1
        play(game, [action] * 12)
        assert np.sin(game.car.heading - before) * sign > 0.1


def test_pedals(game):
    """Throttle gains speed, brake stops within a believable distance and then reverses."""
    game.reset(seed=7, options=CLEAR)
    settle(game, 0.0)
    assert play(game, [GO] * 48)[2][-1]["speed"] > 8
    settle(game, 20.0)
    infos = play(game, [STOP] * 96)[2]
    stopped = next(i for i in infos if i["speed"] <= 0.3)
    assert 15 < stopped["progress"] - infos[0]["progress"] < 40
    assert infos[-1]["speed"] < -0.5
    settle(game, 10.0)
    assert 5 < play(game, [COAST] * 24)[2][-1]["speed"] < 10


def test_grass_and_snow_are_slow(game):
    """Off the road the car loses speed and reward; on snow braking takes longer."""
    game.reset(seed=7, options=CLEAR)
    ends = []
    for offset in (0.0, game.world.track.width / 2 + 3):
        settle(game, 15.0, offset)
        _, rewards, infos = play(game, [GO] * 24)
        ends.append((infos[-1]["speed"], sum(rewards), infos[-1]["on_road"]))
    assert ends[1][0] < ends[0][0] - 1 and ends[1][1] < ends[0][1]
    assert ends[0][2] and not ends[1][2]
    game.reset(seed=7, options={"scene": CLEAR["scene"] | {"season": "winter"}})
    settle(game, 20.0)
    assert play(game, [STOP] * 48)[2][-1]["speed"] > 5


def test_brake_in_a_bend_spins(game):
    """Full lock and brake at speed swing the car round."""
    game.reset(seed=7, options=CLEAR)
    settle(game, 22.0)
    before = game.car.heading
    play(game, [np.array([1, 0, 0, 1], np.int8)] * 50)
    assert abs(np.angle(np.exp(1j * (game.car.heading - before)))) > 1.0


def test_staying_away_is_called_off(game):
    """Ten seconds off the road, and no less, cut an episode short; the game itself has not ended."""
    game.reset(seed=7, options=CLEAR)
    settle(game, 0.0, game.world.track.width / 2 + 2.5)
    ends = [game.step(COAST)[2:4] for _ in range(env_module.LOST + 1)]
    assert ends[-1] == (False, True) and not any(map(any, ends[:-1]))


def test_driver_is_worth_recording(monkeypatch):
    """Mostly on the road and quick, yet with stops and excursions; few short episodes."""

    class Blind:
        def __init__(self, *_):
            pass

        def render(self, *_):
            return np.zeros((64, 64, 3), np.uint8)

    monkeypatch.setattr(env_module, "Renderer", Blind)
    monkeypatch.setattr(env_module.world.ground, "paint", lambda *_: None)
    monkeypatch.setattr(env_module.world.horizon, "paint", lambda *_: None)
    game, infos, lengths = DrivingEnv(), [], []
    for seed in range(10):
        obs, info = game.reset(seed=seed)
        driver = Driver(seed)
        driver.reset(game)
        for step in range(24 * 30):
            if step % 4 == 0:
                action = driver(obs, info)
            obs, _, ended, off, info = game.step(action)
            infos.append(info)
            if ended or off:
                break
        lengths.append((step + 1) / 24)
    assert np.mean(lengths) > 22 and np.median(lengths) > 25
    assert 0.02 < np.mean([not i["on_road"] for i in infos]) < 0.35
    assert 0.005 < np.mean([abs(i["speed"]) < 0.3 for i in infos]) < 0.25
    assert np.mean([i["speed"] for i in infos]) > 9


def test_no_torch():
    """The simulators import neither torch nor the package that learns from them."""
    code = (
        "import sys, aapt_games.driving.driver, aapt_games.driving;"
        "assert not {'torch', 'aapt_env'} & set(sys.modules)"
    )
    folder = Path(env_module.__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=folder)
