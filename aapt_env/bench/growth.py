"""How the cost of a step grows: with the window, with the tokens of a latent, with the batch; and not with time."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from aapt_env.bench.rollout import TENTHS, Rollout
from aapt_env.bench.subject import Sizes
from aapt_env.evaluate.plots import chart
from aapt_env.model.trunk import TrunkConfig
from aapt_env.spec import WorldSpec

BATCHES = 1, 2, 4, 8, 16
WINDOWS = 0.25, 0.5, 1, 2, 4  # times the world's own
GRIDS = (1, 1), (1, 2), (2, 2), (2, 4)  # times the world's own height and width
TITLES = {
    "window": "ms of the generator against the window, in latents",
    "tokens": "ms of the generator against the tokens of a latent",
    "batch": "ms of the generator against the rows of a batch",
}


@dataclass(frozen=True, kw_only=True)
class Point:
    """One size, measured and counted."""

    name: str  # what is changed: window, tokens or batch
    label: str  # its value
    median: float  # milliseconds of the generator, as are the next two
    low: float  # a quarter of the steps took less
    high: float  # a quarter took more
    flops: int  # counted from the network
    formula: int  # the formula's
    floor: float  # milliseconds, at the machine's measured rates


def formula(spec: WorldSpec, trunk: TrunkConfig) -> int:
    """FLOPs of a row's step that grow: depth * N * D * (24 D + 4 (S + (W + 2) N)).

    The first term is the blocks' products, the second attention; a multiply-add counts as two. What enters and leaves
    is a few per cent more.
    """
    n, d = trunk.tokens, trunk.dim
    seen = len(spec.scenes) + (trunk.window + 2) * n
    return trunk.depth * n * d * (24 * d + 4 * seen)


def cases(sizes: Sizes) -> Iterator[tuple[str, str, Sizes, int]]:
    """What is changed, its value, the sizes, the batch: one thing at a time."""
    spec, trunk, coder = sizes
    for window in sorted({max(1, round(times * trunk.window)) for times in WINDOWS}):
        changed = dataclasses.replace(trunk, window=window)
        yield "window", str(window), (spec, changed, coder), 1
    for tall, wide in GRIDS:
        grid = dataclasses.replace(trunk, rows=tall * trunk.rows, columns=wide * trunk.columns)
        large = dataclasses.replace(spec, height=tall * spec.height, width=wide * spec.width)
        yield "tokens", str(grid.tokens), (large, grid, coder), 1
    for batch in BATCHES:
        yield "batch", str(batch), sizes, batch


def quartiles(times: np.ndarray) -> tuple[float, float, float]:
    """25th, 50th and 75th percentile."""
    low, half, high = np.percentile(times, (25, 50, 75))
    return float(low), float(half), float(high)


def table(points: list[Point]) -> str:
    """All points, one row each."""
    rows = ["               median   GFLOP  formula   floor ms  x floor"]
    rows += [
        f"{p.name:<7} {p.label:>5} {p.median:>6.2f} ms {p.flops / 1e9:>7.3f} {p.formula / 1e9:>8.3f} "
        f"{p.floor:>10.3f} {p.median / p.floor:>8.1f}"
        for p in points
    ]
    return "\n".join(rows)


def figure(points: list[Point], dream: Rollout | None) -> np.ndarray:
    """A chart per thing that is changed, and one along a dream, below each other: uint8 [H, W, 3] RGB.

    The formula's line is its FLOPs at the rate that the first point of its chart reaches.
    """
    charts = [one(title, [p for p in points if p.name == name]) for name, title in TITLES.items()]
    if dream is not None:
        charts.append(along(dream))
    return np.concatenate(charts)


def one(title: str, points: list[Point]) -> np.ndarray:
    """Measured, by formula, and the floor."""
    rate = points[0].median / points[0].formula
    metrics = {
        "measured": {p.label: {"value": p.median, "low": p.low, "high": p.high} for p in points},
        "formula": {p.label: {"value": rate * p.formula} for p in points},
        "floor": {p.label: {"value": p.floor} for p in points},
    }
    image = chart(title, metrics, {name: name for name in metrics})
    assert image is not None
    return image


def along(dream: Rollout) -> np.ndarray:
    """Median step in each tenth of a dream."""
    steps = [mark.steps for mark in dream.marks[1:]]
    cells = {f"{s:,}": {"value": t} for s, t in zip(steps, dream.medians, strict=True)}
    title = f"ms of a step along a dream, median of each of {TENTHS} parts"
    image = chart(title, {"step": cells}, {"step": "step"}, lines=(0.0,))
    assert image is not None
    return image
