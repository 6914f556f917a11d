"""The camera's part of the meter: obedience in size and sign, and whether a view comes back."""

import numpy as np
import pytest

from aapt_env.evaluate import camera
from aapt_env.evaluate.summary import Window
from aapt_env.spec import ControlSpec

CONTROL = ControlSpec(
    kind="camera",
    space="Box",
    size=4,
    names=("forward", "strafe", "yaw", "pitch"),
    settings={"metres": 0.1, "degrees": 6.0, "fov": 80.0},
)
SPAN = [Window(0.0, 2.0, 24, 4)]


def figures(obey):
    """Four starts of 12 latents, of a dream that does `obey(commands)`; first and last cannot be read."""
    rows = np.random.default_rng(0).uniform(-1, 1, (4, 12, 4)).astype(np.float32)
    known = np.arange(12) % 11 != 0
    reading = np.where(known[None, :, None], 1, -1) * np.ones_like(rows, np.int8)
    out = {"rows": rows, "alive": np.ones((4, 49), bool), "dream_reading": reading}
    for name, value in (("dream", obey(rows)), ("game", rows)):
        out[f"{name}_value"] = np.where(known[None, :, None], value, np.nan)
    return out


@pytest.mark.parametrize(
    ("obey", "rotation", "translation"),
    [
        (lambda rows: rows, (0, 1), (0, 1)),
        (lambda rows: 0 * rows, (1, 0), (1, 0)),
        (lambda rows: rows * [1, 1, 0.5, 0.5], (0.5, 0.5), (0, 1)),
        (lambda rows: rows * [-1, -1, 1, 1], (0, 1), (2, -1)),
    ],
)
def test_error_and_ratio_tell_obedience_laziness_and_the_wrong_way(obey, rotation, translation):
    found = camera.motions(figures(obey), SPAN, CONTROL)
    for group, (error, ratio) in (("rotation", rotation), ("translation", translation)):
        assert found[f"{group}_error_dream"]["0-2s"]["value"] == pytest.approx(error, abs=1e-6)
        assert found[f"{group}_ratio_dream"]["0-2s"]["value"] == pytest.approx(ratio, abs=1e-6)
        assert found[f"{group}_error_game"]["0-2s"]["value"] == pytest.approx(0)


def test_a_look_away_ends_where_it_began():
    rows = camera.there_and_back(CONTROL, 4)
    turned = rows[:, 2].cumsum() * 6.0 * 4
    assert turned.max() == pytest.approx(camera.AWAY, abs=10) and abs(turned[-1]) < 1e-4
    assert not np.delete(rows, 2, axis=1).any()


def test_closure_is_1_for_the_same_view_and_0_for_any_other():
    views = np.random.default_rng(0).integers(0, 256, (3, 3, 8, 8, 3)).astype(np.uint8)
    same = views.copy()
    same[:, 2] = same[:, 0]
    found = camera.closure({"dream_looks": views, "game_looks": same})
    assert found["loop_closure_game"]["there and back"]["value"] == 1
    assert abs(found["loop_closure_dream"]["there and back"]["value"]) < 0.4
