"""Hands: keys, mouse and sequences reach the world as its own control, and nothing else has to know."""

import json

import numpy as np
import pygame
import pytest

from aapt_env.play import app, opening
from aapt_env.play.hands import Grab, HandedInputs, HandScript, face_of
from aapt_env.play.inputs import roles_of
from aapt_env.play.session import Session


@pytest.fixture(scope="module")
def setup():
    return opening.open_setup(opening.Wanted(game="puppet", real=True, size=64, seed=1))


def test_keys_become_poses(setup):
    session = Session(setup, 1)
    session.reset()
    inputs = HandedInputs(setup.hands)
    assert set(roles_of(inputs.control)) == {"left", "right", "up", "down"}
    way = "right" if session._info["control"][0] < 0 else "left"
    inputs.press(way, 0.0)
    rows = [session.step(inputs.sample()).row for _ in range(6)]
    assert (
        rows[0].shape == (54,) and (rows[-1][0] - rows[0][0]) * (1 if way == "right" else -1) > 0.1
    )
    assert not session._info["clamped"]


def test_the_figure_goes_on_from_where_it_stands(setup):
    session = Session(setup, 5)
    session.reset()
    first = HandedInputs(setup.hands).sample().row.reshape(18, 3)
    assert np.abs(first[0] - session._info["pose"][0]).max() < 0.1


def test_what_is_held_back_is_told_once(setup):
    setup.hands.begin(None)
    setup.hands.follow([np.full((18, 3), 0.9)])
    inputs = HandedInputs(setup.hands)
    assert [bool(inputs.sample().note) for _ in range(4)] == [True, False, False, False]
    setup.hands.follow(())


def test_the_mouse_pulls_and_lets_go():
    done = []

    class Fake:
        def grab(self, x, y):
            done.append(("grab", x, y))
            return x == 0

        def drag(self, x, y):
            done.append(("drag", x, y))

        def drop(self):
            done.append("drop")

    grab = Grab(Fake(), lambda at: None if at[0] > 9 else at)
    down, up = pygame.MOUSEBUTTONDOWN, pygame.MOUSEBUTTONUP

    def send(kind, at):
        return grab.handle(pygame.event.Event(kind, pos=at, button=1))

    assert send(down, (5, 5)) and not send(pygame.MOUSEMOTION, (6, 6))
    (
        send(down, (0, 1)),
        send(pygame.MOUSEMOTION, (2, 3)),
        send(pygame.MOUSEMOTION, (10, 3)),
        send(up, (10, 3)),
    )
    assert done == [("grab", 5, 5), ("grab", 0, 1), ("drag", 2, 3), "drop"]


def test_a_script_needs_no_eyes(setup):
    script = HandScript(setup.hands, setup.spec.control, 3)
    setup.hands.begin(None)
    rows = np.array([script(None, {}) for _ in range(20)])
    assert (
        setup.spec.control.to_row(rows[-1]).shape == (54,)
        and np.abs(np.diff(rows, axis=0)).max() > 0.02
    )
    assert face_of(setup.hands).names[:2] == ("left", "right")


def test_a_file_is_replayed_without_a_window(tmp_path, capsys):
    """`--pose FILE --headless`: the game takes the poses of the file."""
    from aapt_games.puppet import angles

    poses = [angles.pose_of(angles.angles(arms=(170, 10, 0, 5))).tolist()] * 8
    (tmp_path / "up.json").write_text(json.dumps({"fps": 24, "poses": poses}))
    line = f"--game puppet --real --size 64 --headless --frames 12 --pose {tmp_path}/up.json --out {tmp_path}"
    assert app.main(line.split()) == 0
    assert len(list(tmp_path.glob("*.mp4"))) == 1
    assert "This body cannot take that pose" in capsys.readouterr().out
    assert app.main(["--game", "puppet", "--real", "--headless", "--pose", "none.json"]) == 2
    assert "no such file" in capsys.readouterr().err
    assert app.main(["--game", "driving", "--real", "--headless", "--pose", "webcam"]) == 2
    assert "--pose is for worlds whose control is a pose" in capsys.readouterr().err
