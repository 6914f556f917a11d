import numpy as np
import pygame
import pytest

from aapt_env.play import help_card, layout, paint
from aapt_env.play.gauges import gauges_of
from aapt_env.play.recorder import Recorder
from aapt_env.play.runner import Runner
from aapt_env.play.window import Window

from .conftest import Counting, counting_spec


def key(name, down=True, mod=0):
    kind = pygame.KEYDOWN if down else pygame.KEYUP
    code = getattr(pygame, f"K_{name if len(name) == 1 else name.upper()}")
    return pygame.event.Event(kind, key=code, mod=mod)


@pytest.fixture
def play(make_session, spec, tmp_path):
    """Play a counting world; `plan` is {frames shown: [key events or functions of the window]}."""

    def run(plan, limit=60, fps=240.0, record=False, **env):
        session = make_session(make_twin=lambda: Counting(spec), **env)
        runner = Runner(lambda: session, lambda setup: Recorder(tmp_path / "out", setup.spec))
        window = Window(runner, fps=fps, limit=limit, record=record)
        turn, todo, toasts = window._turn, dict(plan), []

        def planned():
            for count in [c for c in sorted(todo) if c <= window.playhead.shown]:
                for do in todo.pop(count):
                    do(window) if callable(do) else pygame.event.post(do)
            turn()
            if window._toast and window._toast not in toasts:
                toasts.append(window._toast)

        window._turn = planned
        window.run()
        return window, session, toasts

    return run


def test_keys_reach_the_world_from_posted_events(play):
    _, session, _ = play({4: [key("w"), key("left")], 30: [key("w", False)]})
    actions = [list(a) for a in session.setup.env.actions]
    assert [1, 0, 1, 0] in actions and actions[-1] == [1, 0, 0, 0]


def test_the_limit_counts_frames_shown(play):
    window, _, _ = play({}, limit=17)
    assert window.playhead.shown == 17


def test_key_to_frame_is_measured(play):
    window, _, _ = play({5: [key("up")], 20: [key("up", False)]})
    assert len(window.lag) == 2 and 0 < window.lag.seconds(99) < 2


def test_reset_and_new(play):
    _, session, _ = play({10: [key("r")], 25: [key("n")]})
    assert [seed for seed, _ in session.setup.env.resets] == [3, 3, 4]


def test_pause_stands_and_plays_on(play):
    seen = {}

    def look(window):
        seen["paused"] = window.state().paused, window.playhead.shown
        window.draw()
        pygame.event.post(key("p"))

    window, _, _ = play({10: [key("p"), key("f1"), look]}, limit=30)
    assert seen["paused"][1] < 30 and window.playhead.paused_at is None


def test_twin_record_and_policy(play):
    shots = {}

    def look(window):
        state = window.state()
        shots["twin"], shots["driver"], shots["rec"] = state.twin, state.driver, state.recording
        window.draw()

    plan = {4: [key("t")], 8: [key("tab")], 12: [key("m")], 60: [look], 64: [key("tab")]}
    window, _, toasts = play(plan, limit=110)
    assert shots["twin"] and shots["driver"] == "script" and shots["rec"] > 0
    assert any(t.startswith("Twin on") for t in toasts)
    assert any(t.startswith("Saved") for t in toasts)
    assert len(window.runner.recorder.saved) == 1


def test_what_is_recorded_is_saved_when_the_window_closes(play):
    window, _, _ = play({}, limit=20, record=True)
    assert window.runner.recorder.saved[0].is_dir()


def test_an_episode_that_ends_shows_a_banner(play, monkeypatch):
    monkeypatch.setattr("aapt_env.play.playhead.HOLD", 0.05)
    seen = []
    plan = {n: [lambda w: seen.append((w.state().over, w.draw()))] for n in range(5, 40)}
    play(plan, limit=40, length=3)
    assert "Game over" in {over for over, _ in seen}


def test_losing_focus_releases_the_keys(play):
    lost = pygame.event.Event(pygame.WINDOWFOCUSLOST)
    _, session, _ = play({4: [key("up")], 20: [lost]})
    assert list(session.setup.env.actions[-1]) == [0, 0, 0, 0]


def test_escape_closes_the_help_first(play):
    window, _, _ = play({4: [key("f1")], 8: [key("escape")], 20: [key("escape")]}, limit=500)
    assert 20 <= window.playhead.shown < 500 and not window.help


def test_a_key_that_the_game_uses_too_needs_ctrl():
    bound = frozenset({"r", "up"})
    assert help_card.command_of("r", False, bound) is None
    assert help_card.command_of("r", True, bound) == "reset"
    assert help_card.command_of("p", False, bound) == "pause"


def test_sizes_keep_the_window_readable_and_on_the_screen():
    assert layout.window_size((64, 64), 1, 0, (1920, 1080))[0] == 640
    width, height = layout.window_size((64, 64), 2, 0, (1366, 768))
    assert width <= 1366 * 0.95 and height <= 768 * 0.9
    assert layout.window_size((64, 64), 1, 4, (1920, 1080))[0] == 640
    left, right = layout.pictures((1000, 600), (64, 64), 2)
    assert left.size == right.size and left.right <= right.left
    assert left.width == left.height


def test_a_window_that_grew_stays_on_the_screen():
    assert layout.on_screen((400, 80), (1000, 500), (1280, 800)) == (280, 80)
    assert layout.on_screen((400, 80), (800, 500), (1280, 800)) == (400, 80), "it has room"
    assert layout.on_screen((100, 600), (1400, 500), (1280, 800)) == (0, 300)
    assert layout.on_screen((1300, 80), (1000, 500), (1280, 800)) == (1300, 80), "another screen"


def test_a_left_and_a_right_are_one_gauge(spec):
    gauges = gauges_of(spec.control)
    assert [g.name for g in gauges] == ["steer", "throttle", "brake"]
    assert gauges[0].value(np.array([1, 0, 0, 0])) == -1
    assert [g.centred for g in gauges_of(counting_spec("Box").control)] == [True, True]


def test_pictures_are_crisp_or_smooth():
    frame = np.zeros((2, 2, 3), np.uint8)
    frame[:, 1] = 255
    crisp = pygame.surfarray.array3d(paint.picture(frame, (8, 8), smooth=False))
    smooth = pygame.surfarray.array3d(paint.picture(frame, (8, 8), smooth=True))
    assert set(np.unique(crisp)) == {0, 255} and len(np.unique(smooth)) > 2


def test_a_key_stays_within_its_cap():
    pygame.font.init()
    for key in ("left shift", "page down", "a", "left", "print screen"):
        target = pygame.Surface((300, 100))
        cap = pygame.Rect(100, 30, 64, 32)
        paint.keycap(target, cap, key, lit=True)
        painted = pygame.surfarray.array3d(target).any(axis=-1)
        inside = painted[cap.left : cap.right, cap.top : cap.bottom].copy()
        painted[cap.left : cap.right, cap.top : cap.bottom] = False
        assert inside.any() and not painted.any(), key
