"""`aapt eval`: play both worlds, measure, write eval.json and pictures, print a table."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tyro

from aapt_env import checkpoint as checkpoints
from aapt_env.device import pick
from aapt_env.evaluate import measures, pairs
from aapt_env.evaluate.pairs import Pairs
from aapt_env.paths import find_checkpoint
from aapt_env.picture import sheet


@dataclass(frozen=True, kw_only=True)
class Eval:
    """Hold a dream against its game: the same starts, the same controls.

    Twin PSNR and SSIM beside the VAE's own and beside repeating the last frame, motion, sharpness, Frechet distance,
    and whether left and right part. Writes eval.json, twin.png and steer.png.

    Example: aapt eval driving --count 32 --seconds 10
    """

    game: str = "driving"
    """Whose world, looked up in checkpoints/ and runs/."""
    checkpoint: str | None = None
    """A checkpoint folder instead."""
    out: Path | None = None
    """Where the results go; by default runs/GAME/eval."""
    count: int = 32
    """Starts."""
    seconds: float = 10.0
    """Length of each rollout."""
    seed: int = 0
    """Of noise and driver."""
    device: str = "auto"
    """auto, cpu or cuda."""


def windows(seconds: float) -> list[tuple[float, float]]:
    """Horizons in seconds: 0-1, 1-2, 2-5, 5-10, then fives."""
    edges = [0.0, 1.0, 2.0, 5.0, 10.0, *np.arange(15.0, seconds + 5, 5)]
    edges = [e for e in edges if e < seconds] + [seconds]
    return list(zip(edges, edges[1:], strict=False))


def measure(found: Pairs, fps: int, seconds: float) -> dict[str, dict[str, dict]]:
    """{metric: {window: {value, low, high, n}}}; starts whose game ended within a window are left out of it."""
    out: dict[str, dict[str, dict]] = {}
    for begin, end in windows(seconds):
        cut = slice(1 + round(begin * fps), 1 + round(end * fps))
        alive = found.alive[:, cut.stop - 1]
        if alive.sum() < 2:
            continue
        game, dream, ceiling = (x[alive, cut] for x in (found.game, found.dream, found.ceiling))
        still = np.repeat(found.game[alive, :1], game.shape[1], axis=1)
        name = f"{begin:g}-{end:g}s"
        rows = {
            "twin_psnr": measures.interval(measures.psnr(dream, game)),
            "vae_psnr": measures.interval(measures.psnr(ceiling, game)),
            "repeat_psnr": measures.interval(measures.psnr(still, game)),
            "twin_ssim": measures.interval(measures.ssim(dream, game)),
            "vae_ssim": measures.interval(measures.ssim(ceiling, game)),
            "motion_ratio": measures.ratio(
                measures.motion(dream, found.mask), measures.motion(game, found.mask)
            ),
            "sharpness_ratio": measures.ratio(measures.sharpness(dream), measures.sharpness(game)),
            "sharpness_ratio_vae": measures.ratio(
                measures.sharpness(ceiling), measures.sharpness(game)
            ),
        }
        a, b = measures.pooled(dream), measures.pooled(game)
        count = int(alive.sum())
        rows["frechet"] = {"value": measures.frechet(a, b), "n": count}
        rows["frechet_vae"] = {"value": measures.frechet(measures.pooled(ceiling), b), "n": count}
        for metric, value in rows.items():
            out.setdefault(metric, {})[name] = value
    return out


def measure_steer(
    sides: dict[str, tuple[np.ndarray, np.ndarray]], mask: np.ndarray
) -> dict[str, dict]:
    """Sideways flow under left minus that under right, pixels per 2 frames: positive is the right way round."""
    gaps = {
        name: measures.sideways(left, mask) - measures.sideways(right, mask)
        for name, (left, right) in sides.items()
    }
    out = {f"steer_gap_{name}": {"2s": measures.interval(gap)} for name, gap in gaps.items()}
    out["steer_right_way"] = {
        "2s": {"value": float((gaps["dream"] > 0).mean()), "n": len(gaps["dream"])}
    }
    return out


def table(results: dict[str, dict[str, dict]]) -> str:
    """The figures as text, a metric per line."""
    lines = []
    for metric, by_window in results.items():
        cells = [f"{name} {cell['value']:.3g}" for name, cell in by_window.items()]
        lines.append(f"{metric:<22}" + "   ".join(cells))
    return "\n".join(lines)


def pictures(found: Pairs, sides: dict | None, out: Path) -> None:
    """twin.png: dream over game; steer.png: left over right."""
    every = max(1, (found.game.shape[1] - 1) // 12)
    rows = [
        clip[::every]
        for i in range(min(6, len(found.game)))
        for clip in (found.dream[i], found.game[i])
    ]
    picture = sheet(rows, ["dream", "game"] * (len(rows) // 2))
    cv2.imwrite(str(out / "twin.png"), picture[..., ::-1])
    if sides:
        rows = [
            clip[i, ::6]
            for i in range(3)
            for side in (0, 1)
            for clip in (sides["dream"][side], sides["game"][side])
        ]
        labels = ["dream left", "game left", "dream right", "game right"] * 3
        cv2.imwrite(str(out / "steer.png"), sheet(rows, labels)[..., ::-1])


def evaluate(options: Eval) -> dict[str, dict[str, dict]]:
    """Run everything; returns what eval.json holds under "metrics"."""
    loaded = checkpoints.read(find_checkpoint(options.checkpoint or options.game))
    spec, device = loaded.spec, pick(options.device)
    out = options.out or Path("runs") / options.game.replace(":", "-").replace("/", "-") / "eval"
    out.mkdir(parents=True, exist_ok=True)
    length = max(1, round(options.seconds * spec.frame_fps / spec.k))
    found = pairs.collect(loaded, options.count, length, options.seed, device)
    results = measure(found, spec.frame_fps, options.seconds)
    sides = None
    if {"left", "right"} <= set(spec.control.names):
        steps = 2 * spec.frame_fps // spec.k
        sides = pairs.steer(loaded, min(16, options.count), steps, options.seed, device)
        results |= measure_steer(sides, found.mask)
    about = {
        "command": " ".join(["aapt", "eval", options.game, f"--count {options.count} --seconds {options.seconds:g}"]),
        "seed": options.seed, "device": str(device), "checkpoint": loaded.hash, "training": loaded.training,
    }  # fmt: skip
    (out / "eval.json").write_text(
        json.dumps({"about": about, "metrics": results}, indent=1) + "\n"
    )
    pictures(found, sides, out)
    print(table(results))
    print(f"written to {out}")
    return results


def main(argv: list[str] | None = None) -> int:
    """Command line; 0, or 2 after one sentence."""
    options = tyro.cli(Eval, prog="aapt eval", args=argv)
    try:
        evaluate(options)
    except (ValueError, OSError) as error:
        print(f"aapt eval: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0
