"""The policy whose hands are in another race."""

import itertools

import gymnasium as gym
import numpy as np
import pytest

from aapt_env import games
from aapt_env.data import Episodes, policies
from aapt_env.data.elsewhere import AWAY, HERE, Elsewhere
from aapt_env.data.player import episode_seeds
from aapt_env.data.record import record
from aapt_env.data.replay import replay
from aapt_env.games import HoldControl, make_held

LATENTS = 400
RATE = 6  # latents per second
LONG = 200  # frames of a race of `Told`
REST = 0  # the control of hands that are off


class Told(gym.Env):
    """A race that goes by its seed's name, and tells its frame."""

    observation_space = gym.spaces.Box(0, 255, (16, 24, 3), np.uint8)
    action_space = gym.spaces.Discrete(10**9)
    blank = np.zeros((16, 24, 3), np.uint8)

    def __init__(self):
        self.answers = []

    def reset(self, *, seed=None, options=None):
        self.name, self.frame = int(np.random.default_rng(seed).integers(1, 10**4)), 0
        return self.blank, {}

    def step(self, action):
        self.answers.append(action)
        self.frame += 1
        return self.blank, 0.0, self.frame >= LONG, False, {}


class Teller:
    """Answers the race that it sits in: with its name and frame, so that nobody else could have said it."""

    def __init__(self, seed):
        self.seed = seed

    def reset(self, game):
        self.game = game

    def __call__(self, obs, info):
        return (self.game.name, self.game.frame, self.seed)


@pytest.fixture
def told(monkeypatch):
    """Returns f() -> a race of which another can be made."""
    monkeypatch.setattr(games, "make_game", lambda name, height, width: Told())
    return lambda: HoldControl(Told(), 4, "told")


def play(env, seed):
    """[(control, whose)] of LATENTS latents in a race that goes on whatever is done."""
    policy = Elsewhere(Teller, env, seed)
    env.reset(seed=1000 + seed)
    policy.reset(env.unwrapped)
    made = []
    for i in range(LATENTS):
        env.unwrapped.frame = 4 * i
        made.append((policy(None, {}), policy.away))
        assert policy.away if policy.off else made[-1][0] != REST
        assert made[-1][0] == REST if policy.off else True
    return made


def test_hands_answer_this_race_and_the_other_in_turns(told):
    env, seed = told(), 0
    made = play(env, seed)
    name = env.unwrapped.name
    turns = [(away, list(some)) for away, some in itertools.groupby(made, lambda each: each[1])]
    assert not turns[0][0] and len(turns) > 4
    for away, some in turns[:-1]:
        shortest, longest = AWAY if away else HERE
        assert shortest * RATE <= len(some) <= longest * RATE
    for i, (action, away) in enumerate(made):
        assert away or action == (name, 4 * i, seed)


def test_the_other_race_is_played_as_if_it_were_recorded(told):
    """Its own player's answers to it, in order, from beginning to end; it stands still while the hands are at home."""
    env = told()
    away = [action for action, away in play(env, 0) if away and action != REST]
    assert env.second().unwrapped.answers == [a for a in away for _ in range(4)]
    races = [list(some) for _, some in itertools.groupby(away, lambda a: (a[0], a[2]))]
    assert len(races) > 2 and len({race[0] for race in races}) == len(races)
    for race in races:
        assert [frame for _, frame, _ in race] == list(range(0, LONG, 4))[: len(race)]
    assert all(len(race) == LONG // 4 for race in races[:-1])


def test_now_and_then_the_hands_are_off_for_as_long(told):
    found = [play(told(), seed) for seed in range(6)]
    away = [action for made in found for action, away in made if away]
    assert 0.1 < sum(action == REST for action in away) / len(away) < 0.45


def test_nothing_but_the_seed_decides(told):
    env = told()
    first = play(env, 3)
    play(env, 4)
    assert play(env, 3) == first == play(told(), 3)
    assert [away for _, away in first] != [away for _, away in play(env, 4)]


def test_number_of_workers_does_not_matter_and_it_can_be_replayed(tmp_path, tree):
    game = "gym:colour_game:Driven-v0"
    settings = dict(
        policy="elsewhere+scripted", height=16, width=24, max_seconds=12, progress=False
    )
    for workers in (1, 2):
        record(game, tmp_path / str(workers), 300, workers=workers, **settings)
    assert tree(tmp_path / "1") == tree(tmp_path / "2")
    assert {e.policy for e in Episodes.open(tmp_path / "1").index} == {"elsewhere", "scripted"}
    assert all(v.difference is None for v in replay(tmp_path / "1", game=game))


def drive(env, index, latents):
    """[(away, keys to the left, those that the driver wanted here)] of an episode of driving, without its pictures."""
    seed, policy_seed = episode_seeds(0, index)
    policy = policies.load("elsewhere", env)(policy_seed)
    env.unwrapped.drawn = False
    _, info = env.reset(seed=seed)
    policy.reset(env.unwrapped)
    driver, wanted = policy._own, []
    policy._own = lambda obs, info: wanted.append(driver(obs, info)) or wanted[-1]
    rows, over = [], False
    while not over and len(rows) < latents:
        keys = policy(None, info)
        _, _, over, _, info = env.step(keys)
        rows.append((policy.away, *(int(some[0]) - int(some[1]) for some in (keys, wanted[-1]))))
    return np.array(rows)


@pytest.fixture(scope="module")
def drives():
    """Episodes 0 to 4, one after the other in one game."""
    env = make_held("driving")
    return [drive(env, i, 150) for i in range(5)]


def test_a_drive_is_the_same_whatever_was_driven_before(drives):
    np.testing.assert_array_equal(drive(make_held("driving"), 3, 150), drives[3])


def test_keys_for_another_road_say_nothing_about_this_one(drives):
    away, given, wanted = np.concatenate(drives).T
    there = away > 0
    assert 100 < there.sum() < 0.8 * len(away) and (given == wanted)[~there].all()
    assert abs(np.corrcoef(given[there], wanted[there])[0, 1]) < 0.3


def test_the_second_game_is_small_and_draws_nothing():
    env = make_held("driving", 128, 128, k=2)
    second = env.second()
    assert second is env.second() and second.unwrapped is not env.unwrapped and second.k == 2
    assert second.observation_space.shape == (64, 64, 3)
    small = make_held("driving", k=2)
    (first, _), (same, _) = second.reset(seed=5), small.reset(seed=5)
    assert (first == same).all()
    for _ in range(5):
        blind, drawn = (game.step(np.array([1, 0, 1, 0], np.int8)) for game in (second, small))
        assert (blind[0] == first).all() and not (drawn[0] == first).all()
        assert blind[1:4] == drawn[1:4]
        assert all(blind[4][n] == v for n, v in drawn[4].items() if n not in ("frames", "rewards"))


def test_the_second_game_is_closed_with_the_first(told):
    env, closed = told(), []
    env.second().unwrapped.close = lambda: closed.append(True)
    env.close()
    assert closed


def test_a_dream_is_not_made_twice():
    class Dream(Told):
        spec_world = "some"

        def policy(self):
            return lambda obs, info: 2

    assert policies.load("echo", Dream())
    with pytest.raises(ValueError, match="plays a second game beside the first.*use 'echo'"):
        policies.load("elsewhere", Dream())
