"""eval.json, the charts, and a page that shows them with nothing but itself."""

from __future__ import annotations

import base64
import html
import json
from pathlib import Path

import cv2
import numpy as np

from aapt_env.evaluate import plots
from aapt_env.evaluate.parts import Figures
from aapt_env.evaluate.summary import Metrics
from aapt_env.picture import sheet

CHARTS = {  # file: (title, {metric: label}, lines)
    "psnr": (
        "PSNR against the game, dB",
        {"twin_psnr": "dream", "vae_psnr": "VAE alone", "repeat_psnr": "last frame repeated"},
        (),
    ),
    "ssim": ("SSIM against the game", {"twin_ssim": "dream", "vae_ssim": "VAE alone"}, ()),
    "control": (
        "controls read back; guessing is 0.5 for keys",
        {
            f"control_accuracy_{name}": label
            for name, label in {
                "dream": "dream",
                "game": "game",
                "vae": "VAE alone",
                "ratio": "ratio",
            }.items()
        },
        (0.9,),
    ),
    "forks": (
        "controls nobody would have chosen, read back",
        {f"counterfactual_{name}": name for name in ("dream", "game", "ratio")},
        (0.9,),
    ),
    "motion": (
        "motion, dream over game, where the game moves",
        {"motion_ratio": "motion", "motion_ratio_vae": "VAE alone", "sharpness_ratio": "sharpness"},
        (0.85, 1.15),
    ),
    "drift": (
        "Frechet distance of the observer's features",
        {"drift": "dream", "drift_vae": "VAE alone", "drift_idle": "dream, no input"},
        (),
    ),
    "colours": (
        "Frechet distance of pooled colours",
        {"frechet": "dream", "frechet_vae": "VAE alone", "frechet_idle": "dream, no input"},
        (),
    ),
    "drift_ratio": (
        "drift over the VAE's, both against other starts",
        {"drift_ratio": "ratio"},
        (3.0,),
    ),
    "reward": (
        "error of the learned reward per latent",
        {"reward_error": "dream", "reward_error_of_the_mean": "always the mean"},
        (),
    ),
    "elsewhere": (
        "reward per latent under the controls of another start's drive",
        {"elsewhere_reward_dream": "dream", "elsewhere_reward_game": "game"},
        (),
    ),
    "camera": (
        "a camera's motion, realised over commanded",
        {"rotation_ratio_dream": "turns", "translation_ratio_dream": "steps"},
        (0.8, 1.25),
    ),
    "pose": (
        "joints seen off the command, units of half a frame",
        {
            "keypoint_error_dream": "dream",
            "keypoint_error_game": "game",
            "keypoint_error_vae": "VAE alone",
        },
        (),
    ),
    "identity": (
        "the same person: 1 as in the game, 0 another",
        {"identity_kept": "kept"},
        (1.0,),
    ),
    "diversity": (
        "seeds apart, over starts apart",
        {"diversity": "colours", "diversity_features": "features"},
        (),
    ),
}
BARS = {  # metric: (lowest, highest, what is asked)
    "control_accuracy_ratio": (0.9, None, "controls read back, dream over game, at least 0.90"),
    "counterfactual_ratio": (0.9, None, "the same under controls nobody would have chosen"),
    "motion_ratio": (0.85, 1.15, "motion, dream over game, 0.85 to 1.15"),
    "drift_ratio": (None, 3.0, "drift over the VAE's, at most 3"),
    "drift_growth": (None, 1.5, "drift over that at 5-10 s, at most 1.5"),
    "drift_idle_growth": (None, 1.5, "the same with no input"),
    "unbroken_dream": (1.0, None, "starts without a broken frame, all"),
    "rotation_error_dream": (None, 0.15, "a camera's turns, off the command by at most 15 %"),
    "translation_error_dream": (None, 0.25, "a camera's steps, off the command by at most 25 %"),
    "keypoint_error_ratio": (None, 1.5, "a pose's joints, off by at most 1.5 times the game's"),
    "keypoint_error_unseen_ratio": (None, 2.0, "the same for motions that no recording holds"),
    "vae_psnr": (30.0, None, "the VAE alone, at least 30 dB"),
}
STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:1040px;margin:2em auto;padding:0 1em;color:#222}
img{max-width:100%}table{border-collapse:collapse;font-size:13px}
td,th{border:1px solid #ddd;padding:3px 8px;text-align:right}
td:first-child,th:first-child{text-align:left}
.miss{color:#b00020}.ok{color:#137333}code{background:#f3f3f3;padding:1px 4px}
.charts{display:grid;grid-template-columns:1fr 1fr;gap:8px}small{color:#666}"""


def write(
    out: Path,
    about: dict,
    metrics: Metrics,
    part: Figures,
    forks: Figures | None,
    alone: Figures | None = None,
) -> None:
    """Write eval.json, PNG charts, twin.png, steer.png, beyond.png and report.html.

    Args:
        out: the folder.
        about: command, seed, device, hashes, and what was left out.
        metrics: {metric: {window: cell}}.
        part: figures of the long rollouts, pictures among them.
        forks: figures of left and right; None where there are none.
        alone: figures of dreams that went on alone; None where none did.
    """
    results = json.dumps({"about": about, "metrics": metrics}, indent=1) + "\n"
    partial = out / "eval.json.partial"
    partial.write_text(results)
    partial.replace(out / "eval.json")
    images = {"twin": twin_sheet(part)}
    if forks is not None:
        images["steer"] = steer_sheet(forks)
    if alone is not None:
        images["beyond"] = twin_sheet(alone)
    for name, (title, series, lines) in CHARTS.items():
        image = plots.chart(title, metrics, series, lines)
        if image is not None:
            images[name] = image
    for name, image in images.items():
        cv2.imwrite(str(out / f"{name}.png"), image[..., ::-1])
    (out / "report.html").write_text(page(about, metrics, images))


def twin_sheet(part: Figures, count: int = 6) -> np.ndarray:
    """Rows of the dream over the same moments of the game."""
    worlds = [name for name in ("dream", "game") if f"{name}_shown" in part]
    n = min(count, len(part["dream_shown"]))
    rows = [part[f"{name}_shown"][i] for i in range(n) for name in worlds]
    return sheet(rows, worlds * n)


def steer_sheet(forks: Figures, count: int = 3) -> np.ndarray:
    """Rows of left and right, dream over game, from the same starts; the first two variants of `shown`."""
    worlds = [name for name in ("dream", "game") if f"{name}_shown" in forks]
    rows, labels = [], []
    for i in range(min(count, len(forks["dream_shown"]))):
        for side, label in enumerate(("left", "right")):
            for name in worlds:
                rows.append(forks[f"{name}_shown"][i, side])
                labels.append(f"{name} {label}")
    return sheet(rows, labels)


def verdicts(metrics: Metrics) -> list[tuple[str, str, str, bool]]:
    """(what is asked, window, value, whether it is reached) of every bar that was measured."""
    out = []
    for metric, (low, high, asked) in BARS.items():
        for window, cell in metrics.get(metric, {}).items():
            value = cell["value"]
            good = (low is None or value >= low) and (high is None or value <= high)
            out.append((asked, window, f"{value:.3g}", good))
    return out


def number(cell: dict) -> str:
    """A figure with its interval."""
    value = f"{cell['value']:.3g}"
    return f"{value} ({cell['low']:.3g} to {cell['high']:.3g})" if "low" in cell else value


def page(about: dict, metrics: Metrics, images: dict[str, np.ndarray]) -> str:
    """The report as one HTML page."""
    facts = "".join(
        f"<li>{html.escape(key)}: <code>{html.escape(str(value))}</code></li>"
        for key, value in about.items()
        if key not in ("training", "left_out")
    )
    left = "".join(f"<li>{html.escape(line)}</li>" for line in about.get("left_out", []))
    bars = "".join(
        f"<tr><td>{asked}</td><td>{window}</td><td>{value}</td>"
        f"<td class={'ok' if good else 'miss'}>{'reached' if good else 'missed'}</td></tr>"
        for asked, window, value, good in verdicts(metrics)
    )
    rows = "".join(
        f"<tr><td>{metric}</td><td>{window}</td><td>{number(cell)}</td><td>{cell.get('n', '')}</td></tr>"
        for metric, by_window in metrics.items()
        for window, cell in by_window.items()
    )
    sheets = "".join(
        f"<h2>{name}</h2>{inline(images[name])}"
        for name in ("twin", "steer", "beyond")
        if name in images
    )
    charts = "".join(inline(image) for name, image in images.items() if name in CHARTS)
    return (
        f"<!doctype html><meta charset=utf-8><title>{html.escape(str(about.get('game')))}</title><style>{STYLE}</style>"
        f"<h1>The dream of {html.escape(str(about.get('game')))}, measured</h1><ul>{facts}</ul>"
        + (f"<h2>Left out</h2><ul>{left}</ul>" if left else "")
        + f"<h2>Bars</h2><table><tr><th>asked</th><th>window</th><th>value</th><th></th></tr>{bars}</table>"
        f"<h2>Charts</h2><small>95 % intervals over starts; red lines are bars.</small><div class=charts>{charts}</div>"
        f"{sheets}<h2>All figures</h2>"
        f"<table><tr><th>metric</th><th>window</th><th>value</th><th>n</th></tr>{rows}</table>\n"
    )


def inline(image: np.ndarray) -> str:
    """An <img> that carries its PNG."""
    good, data = cv2.imencode(".png", image[..., ::-1])
    assert good, "a picture of uint8"
    return f'<img src="data:image/png;base64,{base64.b64encode(data.tobytes()).decode()}">'
