"""The model card: what trained a world, and its measured figures beside those of the stages before it."""

from __future__ import annotations

import json
from pathlib import Path

from aapt_env.checkpoint import read_config

STAGES = ("diffusion", "consistency", "follow", "adversarial", "long")
ROWS = {
    "twin_psnr": "twin PSNR (dB, higher is better)",
    "twin_ssim": "twin SSIM",
    "control_accuracy_ratio": "controls read back, dream over game (1 is right)",
    "counterfactual_ratio": "the same under controls nobody would have chosen",
    "drift": "drift: Frechet distance, observer's features (lower is better)",
    "drift_ratio": "drift over that of the VAE's own frames, against other starts (1 is right)",
    "drift_idle": "drift with no input",
    "unbroken_dream": "starts without a broken frame",
    "torn_dream": "frames torn in patches (share; lower is better)",
    "torn_dream_idle": "the same with no input",
    "reward_error": "reward: mean error per latent (lower is better)",
    "return_error": "return up to there: mean error",
    "elsewhere_reward_dream": "reward per latent under hands that answer nothing ahead (the game's is right)",
    "termination_precision": "endings foretold that came, by the end of the window",
    "termination_recall": "endings that were foretold",
    "diversity": "seeds apart over starts apart",
    "motion_ratio": "motion, dream over game (1 is right)",
    "sharpness_ratio": "sharpness, dream over game (1 is right)",
    "frechet": "Frechet distance, pooled colours (lower is better)",
    "steer_gap_dream": "steer gap (pixels of sideways flow, left minus right)",
    "steer_right_way": "starts whose left and right part the right way round",
    "rotation_error_dream": "camera: turns off the command (share)",
    "translation_error_dream": "camera: steps off the command (share)",
    "rotation_ratio_dream": "camera: turns realised over commanded (1 is right)",
    "translation_ratio_dream": "camera: steps realised over commanded (1 is right)",
    "keypoint_error_dream": "pose: joints off the command (units of half a frame)",
    "keypoint_error_ratio": "pose: the same over the game's (1 is right)",
    "keypoint_error_unseen_ratio": "pose: the same for motions that no recording holds",
    "identity_kept": "the same person still (1 is the game's, 0 another)",
    "loop_closure_dream": "look away and back: how much of the view is there again (1 is all)",
}
REFERENCE = {
    "vae_psnr": "PSNR of the VAE alone (dB)",
    "repeat_psnr": "PSNR of repeating the last real frame (dB)",
    "sharpness_ratio_vae": "sharpness of the VAE alone",
    "frechet_vae": "Frechet distance of the VAE alone",
    "drift_vae": "drift of the VAE alone",
    "control_accuracy_game": "controls read back from the game (0.5 is guessing)",
    "counterfactual_game": "the same under controls nobody would have chosen",
    "reward_error_of_the_mean": "reward error of always saying the mean",
    "return_game": "return of the game up to there",
    "elsewhere_reward_game": "reward per latent of the game under hands that answer nothing ahead",
    "steer_gap_game": "steer gap of the game",
    "rotation_error_game": "camera: turns read off the command, real frames",
    "translation_error_game": "camera: steps read off the command, real frames",
    "keypoint_error_game": "pose: joints read off the command, real frames",
    "loop_closure_vae": "look away and back, the VAE alone",
}


def results(run: Path, stage: str) -> dict | None:
    """eval.json of a stage of a run, where it has been measured."""
    path = run / stage / "eval" / "eval.json"
    return json.loads(path.read_text()) if path.is_file() else None


def cell(value: dict | None) -> str:
    """A figure with its interval."""
    if value is None:
        return "-"
    if "low" not in value:
        return f"{value['value']:.3g}"
    return f"{value['value']:.3g} ({value['low']:.3g}-{value['high']:.3g})"


def rows(metric: str, label: str, found: dict[str, dict]) -> list[str]:
    """Lines of the table: one per window."""
    last = found[list(found)[-1]]["metrics"].get(metric, {})
    lines = []
    for window in last:
        cells = [cell(found[stage]["metrics"].get(metric, {}).get(window)) for stage in found]
        lines.append(f"| {label} | {window} | " + " | ".join(cells) + " |")
    return lines


def card(run: Path) -> str:
    """Markdown for checkpoints/<game>/README.md.

    Args:
        run: a training's folder, its stages measured by `aapt eval GAME --checkpoint RUN/STAGE --out RUN/STAGE/eval`.

    Raises:
        ValueError: no stage has been measured.
    """
    found = {stage: data for stage in STAGES if (data := results(run, stage))}
    if not found:
        raise ValueError(f"{run} has no measured stage; run 'aapt eval' on its stages first")
    config, _ = read_config(run / "checkpoint")
    about, last = config.training, found[list(found)[-1]]
    steps = {}
    for folder in sorted(run.iterdir()):
        log = folder / "metrics.jsonl"
        if log.is_file() and folder.name != "meter":
            steps[folder.name] = json.loads(log.read_text().splitlines()[-1])["step"]
    text = [
        f"# {config.spec['game']}: a world in {config.spec['width']}x{config.spec['height']}",
        "",
        "One forward pass per latent of "
        f"{config.spec['k']} frames. Trained by `aapt train {config.spec['game']} --recipe {about.get('recipe')}` on "
        f"{about.get('frames', 0):,} recorded frames; updates: "
        + ", ".join(f"{name} {count:,}" for name, count in steps.items())
        + f". Device: {about.get('device')} ({about.get('machine')}). {about.get('note', '')}".rstrip(),
        "",
        f"Measured by `{last['about']['command']}` (seed {last['about']['seed']}, {last['about']['device']}); "
        "95 % intervals over starts. Every column plays in one pass per latent, from the same starts and controls.",
        "",
        "| figure | window | " + " | ".join(found) + " |",
        "|---|---|" + "---|" * len(found),
    ]
    for metric, label in ROWS.items():
        text += rows(metric, label, found)
    text += ["", "| to compare with | window | |", "|---|---|---|"]
    only = {list(found)[-1]: last}
    for metric, label in REFERENCE.items():
        text += rows(metric, label, only)
    return "\n".join(text) + "\n"
