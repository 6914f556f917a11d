"""The model card: figures of every measured stage, whether or not all of them measured the same things."""

import json

import pytest

from aapt_env.evaluate.card import card


def cell(value):
    return {"0-1s": {"value": value, "low": value - 1, "high": value + 1, "n": 4}}


def test_a_card_shows_stages_side_by_side_and_what_was_not_measured(world, tmp_path):
    import shutil

    shutil.copytree(world, tmp_path / "checkpoint")
    for stage, metrics in (
        ("diffusion", {"twin_psnr": cell(20.0)}),
        (
            "long",
            {"twin_psnr": cell(25.0), "control_accuracy_ratio": cell(0.75), "vae_psnr": cell(30.0)},
        ),
    ):
        (tmp_path / stage / "eval").mkdir(parents=True)
        about = {"command": "aapt eval sliding", "seed": 0, "device": "cpu"}
        text = json.dumps({"about": about, "metrics": metrics})
        (tmp_path / stage / "eval" / "eval.json").write_text(text)
        (tmp_path / stage / "metrics.jsonl").write_text('{"step": 7}\n')
    text = card(tmp_path)
    assert "| 20 (19-21) | 25 (24-26) |" in text and "| - | 0.75 (-0.25-1.75) |" in text
    assert "diffusion 7" in text and "30 (29-31)" in text


def test_a_run_that_was_not_measured_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no measured stage"):
        card(tmp_path)
