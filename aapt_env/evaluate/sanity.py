"""Can the meter fail? Bad games made from the real one, and the scores that each of them must get."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from aapt_env.evaluate import figures, rollouts
from aapt_env.evaluate.meter import Meter
from aapt_env.evaluate.parts import Figures
from aapt_env.evaluate.summary import Metrics
from aapt_env.starts import Start
from aapt_env.twin import Twin

BLUR = 1.5  # pixels, standard deviation of the blurred game, at 64 rows


@dataclass(frozen=True)
class Fakes:
    """Games that claim to be the dream, all beside the real one."""

    game: np.ndarray  # [n, 1 + T*k, H, W, 3]
    rows: np.ndarray  # [n, T, width]
    alive: np.ndarray  # [n, 1 + T*k] bool
    worlds: dict[str, np.ndarray]  # name -> frames, shaped as those of the game


@dataclass(frozen=True)
class Line:
    """One expectation and what was found, worst window first."""

    world: str
    expected: str
    found: str
    good: bool


def fakes(twin: Twin, starts: list[Start], length: int, seed: int, mask: np.ndarray) -> Fakes:
    """Play the game, and once more with every start under the next start's controls; then spoil what was played."""
    game, rows, alive = rollouts.play_games(twin, starts, length, seed, None)
    shuffled = np.roll(rows, 1, axis=0)
    other, _, _ = rollouts.play_games(twin, starts, length, seed, shuffled)
    return Fakes(game, rows, alive, spoil(game, other, mask))


def spoil(game: np.ndarray, other: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
    """The bad games, and the real one.

    Args:
        game: uint8 [n, F, H, W, 3].
        other: the same starts played under other controls, the same shape.
        mask: [H, W] bool, where the game displays the control.
    """
    frozen = np.repeat(game[:, :1], game.shape[1], axis=1)
    sigma = BLUR * game.shape[2] / 64
    blurred = np.stack([[cv2.GaussianBlur(f, (0, 0), sigma) for f in clip] for clip in game])
    return {
        "the game itself": game,
        "frozen image": frozen,
        "frozen road": np.where(mask[:, :, None], game, frozen),
        "shuffled controls": other,
        "blurred": blurred,
        "torn": tear(game),
    }


def tear(game: np.ndarray) -> np.ndarray:
    """The game as a mosaic: the 64 blocks of its frames in another order, the same in every frame."""
    rows, columns = (np.array_split(np.arange(size), 8) for size in game.shape[2:4])
    blocks = [
        (r, c)
        for r in rows
        for c in columns
        if len(r) == len(rows[0]) and len(c) == len(columns[0])
    ]
    torn, order = game.copy(), np.random.default_rng(0).permutation(len(blocks))
    for (r, c), i in zip(blocks, order, strict=True):
        torn[:, :, r[:, None], c] = game[:, :, blocks[i][0][:, None], blocks[i][1]]
    return torn


def figures_of(fakes: Fakes, k: int, mask: np.ndarray, meter: Meter | None) -> dict[str, Figures]:
    """Figures of each bad game as if it were the dream: {name: figures}."""
    about = {"rows": fakes.rows, "alive": fakes.alive}
    return {
        name: figures.twin(clips, fakes.game, None, k, mask, meter) | about
        for name, clips in fakes.worlds.items()
    }


EXPECTED: dict[str, tuple[tuple[str, str, Callable[[float], bool]], ...]] = {
    "the game itself": (
        ("twin_psnr", "> 70 dB", lambda v: v > 70),
        ("twin_ssim", "1", lambda v: v > 0.9999),
        ("motion_ratio", "1", lambda v: abs(v - 1) < 1e-6),
        ("sharpness_ratio", "1", lambda v: abs(v - 1) < 1e-6),
        ("frechet", "0", lambda v: v < 1e-6),
        ("drift", "0", lambda v: v < 1e-3),
        ("control_accuracy_ratio", "1", lambda v: abs(v - 1) < 1e-6),
        ("control_accuracy_skill", "1", lambda v: abs(v - 1) < 1e-6),
        ("torn_dream", "<= 0.05", lambda v: v <= 0.05),
    ),
    "frozen image": (
        ("motion_ratio", "< 0.05", lambda v: v < 0.05),
        ("control_accuracy_dream", "guessing, <= 0.55", lambda v: v <= 0.55),
        ("control_accuracy_ratio", "< 0.9", lambda v: v < 0.9),
        ("drift", "> 1", lambda v: v > 1),
    ),
    "frozen road": (
        ("motion_ratio", "< 0.05", lambda v: v < 0.05),
        ("control_accuracy_dream", "guessing, <= 0.55", lambda v: v <= 0.55),
        ("control_accuracy_ratio", "< 0.9", lambda v: v < 0.9),
    ),
    "shuffled controls": (
        ("twin_psnr", "< 35 dB", lambda v: v < 35),
        ("control_accuracy_dream", "near guessing, <= 0.7", lambda v: v <= 0.7),
        ("control_accuracy_ratio", "< 0.9", lambda v: v < 0.9),
    ),
    "blurred": (
        ("sharpness_ratio", "< 0.5", lambda v: v < 0.5),
        ("twin_ssim", "< 0.95", lambda v: v < 0.95),
        ("twin_psnr", "< 45 dB", lambda v: v < 45),
        ("drift", "> 0.1", lambda v: v > 0.1),
    ),
    "torn": (
        ("torn_dream", "> 0.5", lambda v: v > 0.5),
        ("twin_psnr", "< 35 dB", lambda v: v < 35),
        ("drift", "> 1", lambda v: v > 1),
    ),
}


def verdicts(found: dict[str, Metrics]) -> list[Line]:
    """Every expectation whose metric was measured, judged on the mean over windows (a frozen start is still fresh)."""
    lines = []
    for world, expectations in EXPECTED.items():
        for metric, wanted, holds in expectations:
            cells = found[world].get(metric)
            if cells:
                values = [cell["value"] for cell in cells.values()]
                mean = float(np.mean(values))
                good = all(map(holds, values)) if world == "the game itself" else holds(mean)
                lines.append(Line(world, f"{metric} {wanted}", f"{mean:.4g}", good))
    return lines


def text(lines: list[Line]) -> str:
    """A line per expectation."""
    return "\n".join(
        f"{'ok  ' if line.good else 'FAIL'}  {line.world:<18}{line.expected:<45}{line.found}"
        for line in lines
    )


def write(out: Path, command: str, found: dict[str, Metrics], lines: list[Line]) -> None:
    """sanity.json: every expectation, and all metrics of every bad game."""
    out.mkdir(parents=True, exist_ok=True)
    data = {"command": command, "expected": [asdict(line) for line in lines], "metrics": found}
    (out / "sanity.json").write_text(json.dumps(data, indent=1) + "\n")
