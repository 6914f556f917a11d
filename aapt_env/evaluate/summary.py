"""From figures per start to {metric: {window: {value, low, high, n}}}: picture, motion and control."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aapt_env.evaluate import measures, reading
from aapt_env.evaluate.parts import Figures
from aapt_env.spec import ControlSpec

Metrics = dict[str, dict[str, dict]]

STILL = 0.1  # pixels per 2 frames: slower than this for a second, the game stands still
FEWEST = 2  # starts that a window needs


def windows(seconds: float) -> list[tuple[float, float]]:
    """Horizons in seconds: 0-1, 1-2, 2-5, 5-10, then fives."""
    return cut_at([0.0, 1.0, 2.0, 5.0, 10.0, *np.arange(15.0, seconds + 5, 5)], seconds)


def fives(seconds: float) -> list[tuple[float, float]]:
    """Horizons in seconds: 0-5, 5-10, ...; the last may be shorter."""
    return cut_at(list(np.arange(0.0, seconds + 5, 5)), seconds)


def cut_at(edges: list[float], seconds: float) -> list[tuple[float, float]]:
    """Edges to windows that end with the rollout."""
    edges = [e for e in edges if e < seconds] + [seconds]
    return list(zip(edges, edges[1:], strict=False))


@dataclass(frozen=True)
class Window:
    """A stretch of a rollout.

    Args:
        begin: seconds after the start.
        end: seconds after the start.
        fps: frames per second.
        k: frames per latent.
    """

    begin: float
    end: float
    fps: int
    k: int

    @property
    def name(self) -> str:
        """As it is written in eval.json."""
        return f"{self.begin:g}-{self.end:g}s"

    @property
    def frames(self) -> slice:
        """Of [n, 1 + T*k]; frame 0, the start itself, is in no window."""
        return slice(1 + round(self.begin * self.fps), 1 + round(self.end * self.fps))

    @property
    def latents(self) -> slice:
        """Of [n, T]."""
        return slice(round(self.begin * self.fps / self.k), round(self.end * self.fps / self.k))

    def alive(self, part: Figures) -> np.ndarray:
        """[n] bool: starts whose game has not ended by the end of the window."""
        alive = part["alive"]
        return alive[:, min(self.frames.stop, alive.shape[1]) - 1]


class Board:
    """Collects cells by metric and window."""

    def __init__(self):
        self.metrics: Metrics = {}

    def put(self, metric: str, window: str, cell: dict | None) -> None:
        """Add a cell; None is left out."""
        if cell is not None:
            self.metrics.setdefault(metric, {})[window] = cell

    def mean(self, metric: str, window: str, values: np.ndarray) -> None:
        """Add the mean over starts, where there are enough."""
        self.put(metric, window, measures.interval(values) if len(values) >= FEWEST else None)

    def ratio(self, metric: str, window: str, top: np.ndarray, bottom: np.ndarray) -> None:
        """Add a ratio of means over starts, where there are enough."""
        self.put(metric, window, measures.ratio(top, bottom) if len(top) >= FEWEST else None)


def pictures(part: Figures, spans: list[Window]) -> Metrics:
    """Twin PSNR and SSIM, those of the VAE and of repeating the last frame, and sharpness."""
    board = Board()
    for w in spans:
        alive = w.alive(part)
        for name, metric in (("dream", "twin"), ("vae", "vae"), ("repeat", "repeat")):
            if f"{name}_mse" in part:
                mse = part[f"{name}_mse"][alive, w.frames].mean(1)
                board.mean(f"{metric}_psnr", w.name, measures.decibels(mse))
            if f"{name}_ssim" in part:
                board.mean(f"{metric}_ssim", w.name, part[f"{name}_ssim"][alive, w.frames].mean(1))
        sharp = {
            name: part[f"{name}_sharpness"][alive, w.frames].mean(1)
            for name in ("dream", "game", "vae")
            if f"{name}_sharpness" in part
        }
        board.ratio("sharpness_ratio", w.name, sharp["dream"], sharp["game"])
        if "vae" in sharp:
            board.ratio("sharpness_ratio_vae", w.name, sharp["vae"], sharp["game"])
    return board.metrics


def motion(part: Figures, spans: list[Window]) -> Metrics:
    """Flow of the dream over that of the game, in seconds in which the game moves; and in those in which it stands."""
    board, fps = Board(), spans[0].fps
    seconds = (2 * np.arange(part["game_motion"].shape[1])) // fps  # of each pair of frames
    moving = np.empty_like(part["game_motion"], dtype=bool)
    for second in np.unique(seconds):
        at = seconds == second
        moving[:, at] = part["game_motion"][:, at].mean(1, keepdims=True) >= STILL
    for w in spans:
        pairs = slice(round(w.begin * fps / 2), round(w.end * fps / 2))
        alive = w.alive(part)
        dream, game, moves = (
            x[alive, pairs] for x in (part["dream_motion"], part["game_motion"], moving)
        )
        some = moves.any(1)
        top, bottom = (np.where(moves, x, 0).sum(1)[some] for x in (dream, game))
        board.ratio("motion_ratio", w.name, top, bottom)
        if "vae_motion" in part:
            through = np.where(moves, part["vae_motion"][alive, pairs], 0).sum(1)[some]
            board.ratio("motion_ratio_vae", w.name, through, bottom)
        still = ~moves
        stands = still.any(1)
        for name, flow in (("dream", dream), ("game", game)):
            mean = np.where(still, flow, 0).sum(1)[stands] / still.sum(1)[stands]
            board.mean(f"still_motion_{name}", w.name, mean)
    return board.metrics


def readable(part: Figures, latents: slice) -> np.ndarray:
    """Which latents of a window have a reading: indices."""
    known = part["dream_reading"][0, :, 0] >= 0
    return np.flatnonzero(known & np.isin(np.arange(len(known)), np.arange(len(known))[latents]))


def tallies(part: Figures, name: str, control: ControlSpec, pick, at: np.ndarray) -> np.ndarray:
    """[n, elements, classes, 2] of the starts in `pick` and latents in `at`."""
    truth = reading.classes(control, part["rows"])[pick][:, at]
    return reading.tally(truth, part[f"{name}_reading"][pick][:, at], reading.count(control))


def control(part: Figures, spans: list[Window], spec: ControlSpec) -> Metrics:
    """Accuracy of reading controls back from dream and game, their ratio, and each element over the whole."""
    board = Board()
    worlds = [name for name in ("dream", "game") if f"{name}_reading" in part]
    for w in spans:
        at, alive = readable(part, w.latents), w.alive(part)
        if alive.sum() < FEWEST or not len(at):
            continue
        found = {name: tallies(part, name, spec, alive, at) for name in worlds}
        for metric, cell in accuracies(found).items():
            board.put(f"control_accuracy_{metric}", w.name, cell)
        if "vae_reading" in part:  # the ceiling of every dream that this VAE shows
            through = {"vae": tallies(part, "vae", spec, alive, at)}
            board.put("control_accuracy_vae", w.name, accuracies(through).get("vae"))
    at = readable(part, slice(None))
    found = {name: tallies(part, name, spec, part["alive"][:, -1], at) for name in worlds}
    for name, tally in found.items():
        if len(tally) >= FEWEST:
            right = reading.accuracy(tally.sum(0))
            for element, value in zip(reading.elements(spec), right, strict=True):
                cell = {"value": float(value), "n": len(tally)}
                board.put(f"control_accuracy_{name}_by_element", element, cell)
    return board.metrics


def accuracies(found: dict[str, np.ndarray], resamples: int = 400) -> dict[str, dict]:
    """Accuracy per world, and dream over game: {"dream": cell, "game": cell, "ratio": cell, "skill": cell}.

    `skill` is the ratio of what both have beyond guessing: 0 for a world that does not obey, however badly the game
    itself can be read.

    Args:
        found: tallies [n, elements, classes, 2] of each world, of the same starts.
        resamples: of the starts, for the interval.
    """
    first = next(iter(found.values()))
    keep, n = reading.varied(first), len(first)
    if not keep.any():
        return {}
    picks = np.random.default_rng(0).integers(n, size=(resamples, n))
    values = {name: reading.accuracy(t.sum(0)[keep]).mean() for name, t in found.items()}
    draws = {name: reading.accuracy(t[picks].sum(1)[:, keep]).mean(-1) for name, t in found.items()}
    if len(found) == 2:
        values["ratio"] = values["dream"] / max(values["game"], 1e-9)
        draws["ratio"] = draws["dream"] / np.maximum(draws["game"], 1e-9)
        chance = (1 / (first[..., 1].sum(0) > 0).sum(-1)[keep]).mean()
        values["skill"] = (values["dream"] - chance) / max(values["game"] - chance, 0.01)
        draws["skill"] = (draws["dream"] - chance) / np.maximum(draws["game"] - chance, 0.01)
    out = {}
    for name, value in values.items():
        low, high = np.percentile(draws[name], (2.5, 97.5))
        out[name] = {"value": float(value), "low": float(low), "high": float(high), "n": n}
    return out


def text(metrics: Metrics) -> str:
    """The figures as text, a metric per line."""
    width = max(map(len, metrics), default=0) + 2
    lines = []
    for metric, by_window in metrics.items():
        cells = [f"{name} {cell['value']:.3g}" for name, cell in by_window.items()]
        lines.append(f"{metric:<{width}}" + "   ".join(cells))
    return "\n".join(lines)
