"""`aapt eval` from end to end: what it writes, what it leaves out, and that it goes on where it stopped."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from aapt_env.evaluate import rollouts
from aapt_env.evaluate.run import Eval, evaluate, main

SIZE = dict(count=4, seconds=3.0, device="cpu")


@pytest.fixture(scope="module")
def done(world, taught, tmp_path_factory):
    """The folder of a finished evaluation."""
    out = tmp_path_factory.mktemp("eval")
    options = Eval(game="sliding", checkpoint=str(world), meter=taught, out=out, **SIZE)
    evaluate(options)
    return options, out


def test_every_figure_of_the_meter_is_there(done):
    results = json.loads((done[1] / "eval.json").read_text())
    metrics = results["metrics"]
    asked = (
        "twin_psnr vae_psnr repeat_psnr twin_ssim vae_ssim motion_ratio sharpness_ratio frechet frechet_vae "
        "frechet_idle drift drift_vae drift_idle drift_ratio control_accuracy_dream control_accuracy_game "
        "control_accuracy_ratio counterfactual_dream counterfactual_game counterfactual_ratio broken_dream "
        "unbroken_dream diversity diversity_features steer_gap_dream steer_right_way"
    ).split()
    assert [name for name in asked if name not in metrics] == []
    for metric, windows in metrics.items():
        for window, cell in windows.items():
            assert np.isfinite(cell["value"]), (metric, window)
            assert cell.get("low", -1e9) <= cell.get("high", 1e9) and cell["n"] >= 1
    assert list(metrics["twin_psnr"]) == ["0-1s", "1-2s", "2-3s"]
    assert "after 3s" in metrics["counterfactual_ratio"]


def test_a_dream_can_go_on_alone(done, tmp_path, monkeypatch):
    options, out = done
    shutil.copytree(out, tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr("aapt_env.evaluate.run.MINUTE", 4.0)
    before = json.loads((out / "eval.json").read_text())["metrics"]
    metrics = evaluate(replace(options, out=tmp_path, beyond=7.0))
    assert {name: metrics[name] for name in before} == before
    for name in ("motion_ratio_beyond", "broken_dream_beyond", "drift_from_recordings_beyond"):
        assert list(metrics[name]) == ["0-4s", "4-7s"], name
    assert list(metrics["unbroken_dream_beyond"]) == ["0-7s"]
    mine, game = (metrics[f"drift_from_recordings_{of}"] for of in ("beyond", "game"))
    assert mine["4-7s"]["value"] > 2 * game["0-3s"]["value"], "noise is far from the recordings"
    assert "beyond</h2>" in (tmp_path / "report.html").read_text()


def test_figures_carry_their_command_seed_device_and_hashes(done):
    about = json.loads((done[1] / "eval.json").read_text())["about"]
    assert about["command"].startswith("aapt eval sliding --count 4 --seconds 3")
    assert (
        about["seed"] == 0
        and about["device"] == "cpu"
        and [line[:15] for line in about["left_out"]] == ["no outcome head"]
    )
    assert re.fullmatch("[0-9a-f]{64}", about["checkpoint"] + "")
    assert re.fullmatch("[0-9a-f]{64}", about["meter"])


def test_a_random_dream_is_told_from_the_game(done):
    """Weights of noise: were the meter content with these, it would be with anything."""
    metrics = json.loads((done[1] / "eval.json").read_text())["metrics"]
    last = {name: list(windows.values())[-1]["value"] for name, windows in metrics.items()}
    assert last["twin_psnr"] < 15 and last["control_accuracy_ratio"] < 0.9
    assert last["drift"] > 1 and last["drift_ratio"] > 0.5


def test_rounded_weights_are_named_and_kept_apart():
    rounded = Eval(game="driving", weights="fp8")
    assert rounded.command.endswith("--weights fp8") and rounded.folder.name == "eval-fp8-weights"
    both = Eval(game="driving", weights="fp8", cache="fp8")
    assert both.command.endswith("--weights fp8 --cache fp8")
    assert both.folder.name == "eval-fp8-weights-fp8-cache"
    assert "weights" not in Eval().command and Eval().folder.name == "eval"


def test_the_page_needs_nothing_but_itself(done):
    page = (done[1] / "report.html").read_text()
    assert page.count("data:image/png;base64,") >= 8 and "missed" in page
    assert set(re.findall(r'(?:src|href)="?(.{5})', page)) == {"data:"}
    for name in ("twin", "steer", "psnr", "control", "drift"):
        assert (done[1] / f"{name}.png").stat().st_size > 1000


def test_a_finished_evaluation_plays_nothing_again(done, monkeypatch):
    before = (done[1] / "eval.json").read_text()
    for name in ("play_games", "play_dream", "fork_dream", "through_vae"):
        monkeypatch.setattr(rollouts, name, None)
    evaluate(done[0])
    assert (done[1] / "eval.json").read_text() == before


def test_an_interrupted_one_goes_on(done, monkeypatch):
    """What was measured before the interruption is kept; the figures are those of an unbroken run."""
    options, out = done
    before = json.loads((out / "eval.json").read_text())
    kept = {path: path.stat().st_mtime_ns for path in out.glob("parts/*/twin-*.npz")}
    for path in out.glob("parts/*/idle-*.npz"):
        path.unlink()
    for path in out.glob("parts/*/seeds-*.npz"):
        path.write_bytes(path.read_bytes()[:100])
    evaluate(options)
    assert json.loads((out / "eval.json").read_text()) == before
    assert kept and kept == {path: path.stat().st_mtime_ns for path in kept}


def test_without_a_meter_the_rest_is_measured(world, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = Eval(
        game="x", checkpoint=str(world), out=tmp_path, count=2, seconds=1.0, device="cpu"
    )
    metrics = evaluate(options)
    assert "left out: no meter is trained for gym:Sliding-v0" in capsys.readouterr().out
    assert {"twin_psnr", "motion_ratio", "frechet", "diversity"} <= set(metrics)
    assert not {"drift", "control_accuracy_dream", "broken_dream"} & set(metrics)


def test_without_its_game_a_world_is_measured_as_far_as_may_be(tiny, tmp_path, capsys, monkeypatch):
    """A user's own recording: no simulator stands behind it."""
    monkeypatch.chdir(tmp_path)
    options = Eval(game="x", checkpoint=str(tiny), out=tmp_path, count=2, seconds=1.0, device="cpu")
    metrics = evaluate(options)
    out = capsys.readouterr().out
    assert (
        "left out: no game to hold the dream against" in out
        and "tiny is no game that is installed here" in out
    )
    assert "diversity" in metrics and "twin_psnr" not in metrics
    assert len(json.loads((tmp_path / "eval.json").read_text())["about"]["left_out"]) == 3


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--game nowhere", "no checkpoint"),
        ("--count 0", "--count >= 1"),
        ("--seed -1", "--seed >= 0, got -1"),
        ("--seconds -1", "--seconds > 0"),
        ("--meter nowhere", "no meter"),
    ],
)
def test_bad_input_is_one_sentence(words, sentence, world, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = [] if "--game" in words else ["--checkpoint", str(world)]
    assert main([*given, *words.split(), "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1
