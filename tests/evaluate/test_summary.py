"""From figures to windows: what counts in which, on figures whose answer is known."""

from types import SimpleNamespace

import numpy as np
import pytest

from aapt_env.evaluate import drift, plots, reading, stay, summary
from aapt_env.evaluate.parts import Parts, join
from aapt_env.evaluate.summary import Window

FPS, K = 24, 4


def window(begin, end):
    return Window(begin, end, FPS, K)


def test_windows_are_cut_without_overlap():
    first, second = window(0, 1), window(1, 2)
    assert (first.frames, second.frames) == (slice(1, 25), slice(25, 49))
    assert (first.latents, second.latents) == (slice(0, 6), slice(6, 12))


def test_standing_still_is_scored_apart_from_moving():
    """A dream that creeps while the game stands must not make up for one that freezes while it moves."""
    game = np.concatenate([np.full((3, 12), 2.0), np.zeros((3, 12))], axis=1)
    dream = np.concatenate([np.full((3, 12), 1.0), np.full((3, 12), 0.5)], axis=1)
    part = {"game_motion": game, "dream_motion": dream, "alive": np.ones((3, 49), bool)}
    found = summary.motion(part, [window(0, 2)])
    assert found["motion_ratio"]["0-2s"]["value"] == pytest.approx(0.5)
    assert found["still_motion_dream"]["0-2s"]["value"] == pytest.approx(0.5)
    assert found["still_motion_game"]["0-2s"]["value"] == 0


def test_starts_whose_game_has_ended_leave_the_window():
    alive = np.ones((3, 49), bool)
    alive[0, 30:] = False
    mse = np.where(alive, 100.0, 1e6)
    found = summary.pictures(
        {"dream_mse": mse, "alive": alive, "dream_sharpness": mse, "game_sharpness": mse},
        [window(0, 1), window(1, 2)],
    )["twin_psnr"]
    assert (found["0-1s"]["n"], found["1-2s"]["n"]) == (3, 2)
    assert found["1-2s"]["value"] == pytest.approx(10 * np.log10(255**2 / 100))


def features(shift, seed, n=8, m=30, d=6):
    """Every start has a place of its own, as real ones do."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 1, d)) + 0.3 * rng.normal(size=(n, m, d)) + shift


def test_drift_of_a_world_from_itself_is_zero_and_grows_with_distance():
    a = features(0, 1)
    assert drift.paired(a, a)["value"] == pytest.approx(0, abs=1e-9)
    near, far = (drift.paired(a + s, a)["value"] for s in (0.5, 2))
    assert near == pytest.approx(6 * 0.25) and far == pytest.approx(6 * 4)


def test_what_few_starts_add_to_a_distance_is_in_both():
    """Against other starts even real frames have a distance; a dream as good as they has the same."""
    real, twin = features(0, 1), features(0, 1) + 1e-6
    floor, dream = drift.unpaired(real, real).mean(), drift.unpaired(twin, real).mean()
    assert floor > 0.5 and dream / floor == pytest.approx(1, rel=1e-3)
    assert drift.unpaired(features(3, 1), real).mean() > 3 * floor


def test_an_interval_holds_its_value():
    cell = drift.paired(features(1, 2), features(0, 1))
    assert cell["low"] < cell["value"] < cell["high"] and cell["n"] == 8


def test_a_broken_frame_is_counted_where_it_is():
    distance = np.full((4, 60), 1.0)
    distance[:, [0, -1]] = np.nan
    distance[0, 40] = 9
    known = np.zeros((4, 60, 1), np.int8)
    known[:, [0, -1]] = -1
    part = {"dream_distance": distance, "dream_reading": known}
    part["dream_strangeness"] = distance / 2
    meter = SimpleNamespace(far=5, torn=0.4)
    found = stay.broken(part, [window(0, 5), window(5, 10)], meter)
    assert found["broken_dream"]["0-5s"]["value"] == 0
    assert found["broken_dream"]["5-10s"]["value"] == pytest.approx(1 / 29 / 4)
    assert found["unbroken_dream"]["0-10s"]["value"] == 0.75
    assert found["torn_dream"]["0-5s"]["value"] == 1 and "unbroken_torn" not in found


def test_seeds_that_change_nothing_have_no_diversity():
    starts = np.random.default_rng(0).normal(size=(5, 1, 12, 7))
    same = np.repeat(starts, 3, axis=1)
    noisy = same + 0.5 * np.random.default_rng(1).normal(size=same.shape)
    low, high = (
        stay.diversity({"pooled": x}, [window(0, 2)])["diversity"]["0-2s"]["value"]
        for x in (same, noisy)
    )
    assert low == 0 and 0.3 < high < 0.7


def test_parts_are_kept_by_what_they_depend_on(tmp_path):
    calls = []

    def make():
        calls.append(1)
        return {"x": np.arange(3)}

    for key in ({"a": 1}, {"a": 1}, {"a": 2}):
        assert Parts(tmp_path, key).get("p", make)["x"].tolist() == [0, 1, 2]
    assert len(calls) == 2
    next(tmp_path.glob("parts/*/p.npz")).write_bytes(b"half")
    Parts(tmp_path, {"a": 1}).get("p", make)
    Parts(tmp_path, {"a": 2}).get("p", make)
    assert len(calls) == 3
    assert join([{"x": np.arange(2)}, {"x": np.arange(1)}])["x"].tolist() == [0, 1, 0]


def test_charts_draw_what_there_is():
    metrics = {"a": {"0-1s": {"value": 1.0, "low": 0.5, "high": 2.0, "n": 3}}}
    image = plots.chart("A", metrics, {"a": "mine", "b": "not measured"}, (1.5,))
    assert image.shape == (plots.HEIGHT, plots.WIDTH, 3) and (image != 255).any()
    assert plots.chart("B", metrics, {"b": "not measured"}) is None


def test_a_world_that_does_not_obey_has_no_skill_however_badly_the_game_is_read():
    """0.5 over 0.6 is a fine ratio for a world that does nothing at all."""
    truth = np.tile(np.int8([0, 1]), 60).reshape(4, 30, 1)
    game = truth.copy()
    game[:, ::3] = 1 - game[:, ::3]
    tallies = {n: reading.tally(truth, x, 2) for n, x in (("dream", truth * 0), ("game", game))}
    found = summary.accuracies(tallies)
    assert found["ratio"]["value"] == pytest.approx(0.75) and found["skill"]["value"] == 0
    assert summary.accuracies(dict.fromkeys(tallies, tallies["game"]))["skill"]["value"] == 1
