import threading
import time

import numpy as np
import pytest

from aapt_env.play.runner import Runner


class Player:
    """What a window does with a runner, without a window."""

    def __init__(self, runner):
        self.runner, self.latents = runner, []
        self.news = threading.Event()
        runner.notify = self.news.set
        runner.start()

    def take(self, needed_at=0.0, timeout=5.0):
        """The next latent; then say when the one after it is needed."""
        deadline = time.perf_counter() + timeout
        while time.perf_counter() < deadline:
            if self.runner.error:
                raise self.runner.error
            if latent := self.runner.take():
                self.latents.append(latent)
                self.runner.need(needed_at)
                return latent
            self.news.wait(0.02)
            self.news.clear()
        raise TimeoutError("no latent came")

    def message(self, timeout=5.0):
        deadline = time.perf_counter() + timeout
        while time.perf_counter() < deadline:
            if message := self.runner.message():
                return message
            time.sleep(0.002)
        raise TimeoutError("no message came")


@pytest.fixture
def play(make_session):
    runners = []

    def start(make_recorder=None, **env):
        session = make_session(**env)
        runners.append(Runner(lambda: session, make_recorder))
        return Player(runners[-1]), session

    yield start
    for runner in runners:
        assert runner.close(5.0)


def test_latents_come_in_order_and_none_is_dropped(play):
    player, _ = play()
    for _ in range(12):
        player.take()
    values = np.concatenate([x.frames[:, 0, 0, 0] for x in player.latents])
    assert values.tolist() == list(range(1 + 11 * 4))
    assert [x.number for x in player.latents] == list(range(12))


def test_at_most_one_latent_waits(play):
    player, session = play()
    player.take()
    player.take()
    time.sleep(0.1)  # nobody takes: the third is made and waits, the fourth is not begun
    assert len(session.setup.env.actions) == 2


def test_a_step_starts_as_late_as_it_can_and_takes_the_newest_input(play):
    player, session = play(seconds=0.02)
    for _ in range(6):
        player.take()
    player.take(needed_at=time.perf_counter() + 0.4)
    made = len(session.setup.env.actions)
    time.sleep(0.15)
    assert len(session.setup.env.actions) == made  # it waits
    player.runner.inputs.press("left", time.perf_counter())
    player.runner.inputs.press("right", time.perf_counter())
    assert player.take().row.tolist() == [0, 1, 0, 0]


def test_the_latent_that_answers_a_key_carries_its_time(play):
    player, _ = play()
    player.take(needed_at=time.perf_counter() + 60)
    player.runner.inputs.press("up", 123.0)
    player.runner.need(0.0)
    assert player.take().since == 123.0
    assert player.take().since is None


def test_all_model_calls_are_on_one_thread(play):
    player, session = play()
    threads = set()
    env, step = session.setup.env, session.setup.env.step
    env.step = lambda action: (threads.add(threading.current_thread().name), step(action))[1]
    player.take()
    player.runner.ask("reset")
    for _ in range(6):
        player.take()
    assert threads == {"model"}


def test_reset_keeps_the_seed_and_new_takes_the_next(play):
    player, session = play(seed=3)
    player.take(needed_at=time.perf_counter() + 60)
    player.runner.ask("reset")
    player.take(needed_at=time.perf_counter() + 60)
    player.runner.ask("new")
    player.take(needed_at=time.perf_counter() + 60)
    assert [(x.number, x.seed) for x in player.latents] == [(0, 3), (0, 3), (0, 4)]


def test_an_episode_that_ends_is_followed_by_the_next(play):
    player, _ = play(seed=3, length=3)
    for _ in range(6):
        player.take()
    assert [x.number for x in player.latents] == [0, 1, 2, 3, 0, 1]
    assert [x.over for x in player.latents] == [False, False, False, True, False, False]
    assert player.latents[-1].seed == 4


def test_pause_makes_nothing_and_play_goes_on(play):
    player, session = play()
    player.take(needed_at=time.perf_counter() + 60)
    player.runner.ask("pause")
    player.runner.need(0.0)
    time.sleep(0.1)
    assert session.setup.env.actions == []
    player.runner.ask("play")
    assert player.take().number == 1


def test_an_error_of_the_model_thread_surfaces_with_its_message(play):
    player, _ = play(fail_at=3)
    with pytest.raises(RuntimeError, match="caught fire"):
        for _ in range(9):
            player.take()


def test_an_error_at_opening_surfaces_too():
    def broken():
        raise ValueError("no such world")

    with pytest.raises(ValueError, match="no such world"):
        Player(Runner(broken)).take()


class Hold:
    """A policy that always brakes."""

    def begin(self, seed):
        self.seed = seed

    def __call__(self, obs, info):
        return np.array([0, 0, 0, 1], np.int8)


def test_hand_over_to_the_policy_and_back(play):
    player, _ = play(policy=Hold())
    player.take(needed_at=time.perf_counter() + 60)
    player.runner.inputs.press("up", 0.0)
    player.runner.ask("policy")
    assert "policy drives" in player.message()
    player.runner.need(0.0)
    latent = player.take(needed_at=time.perf_counter() + 60)
    assert latent.row.tolist() == [0, 0, 0, 1] and latent.by == "policy"
    player.runner.ask("policy")
    assert player.message() == "You drive"
    player.runner.need(0.0)
    assert player.take().row.tolist() == [0, 0, 1, 0]


def test_without_a_policy_a_script_drives_and_the_player_is_told(play):
    player, _ = play()
    player.take()
    player.runner.ask("policy")
    assert "no policy" in player.message()
    for _ in range(4):
        latent = player.take()
    assert latent.by == "script"
