"""Does the world stay itself? Drift, broken frames, forks under other controls, and diversity over seeds."""

from __future__ import annotations

import numpy as np

from aapt_env.evaluate import drift, measures, reading
from aapt_env.evaluate.meter import Meter
from aapt_env.evaluate.parts import Figures
from aapt_env.evaluate.summary import FEWEST, Board, Metrics, Window, accuracies, readable
from aapt_env.model.observer import PLAIN
from aapt_env.spec import ControlSpec


def drifts(part: Figures, spans: list[Window], after: str = "") -> Metrics:
    """Frechet distances to the game, of pooled colours (frechet) and of the observer's learned features (drift).

    Args:
        part: figures of dream, game and, where it was run, the VAE.
        spans: windows.
        after: ending of every metric's name.
    """
    board = Board()
    for w in spans:
        alive = w.alive(part)
        if alive.sum() < FEWEST:
            continue
        colours = {n: part[f"{n}_pooled"][alive, w.latents] for n in names(part, "pooled")}
        for name, values in colours.items():
            if name != "game":
                ending = "" if name == "dream" else f"_{name}"
                board.put(f"frechet{ending}{after}", w.name, drift.paired(values, colours["game"]))
        at = readable(part, w.latents) if "dream_features" in part else []
        if not len(at):
            continue
        seen = {n: part[f"{n}_features"][alive][:, at, :-PLAIN] for n in names(part, "features")}
        for name, values in seen.items():
            if name != "game":
                ending = "" if name == "dream" else f"_{name}"
                board.put(f"drift{ending}{after}", w.name, drift.paired(values, seen["game"]))
        if "vae" in seen and alive.sum() >= 4:
            _apart(board, w, seen, int(alive.sum()))
    _growth(board, f"drift{after}")
    return board.metrics


def _apart(board: Board, w: Window, seen: dict[str, np.ndarray], n: int) -> None:
    """Dream and VAE against real frames of other starts, and their ratio."""
    dream = drift.unpaired(seen["dream"], seen["game"])
    vae = drift.unpaired(seen["vae"], seen["game"])
    board.put("drift_apart", w.name, drift.halves(dream, n))
    board.put("drift_apart_vae", w.name, drift.halves(vae, n))
    value = float(dream.mean() / max(vae.mean(), 1e-9))
    ratios = dream / np.maximum(vae, 1e-9)
    board.put("drift_ratio", w.name, drift.around(value, ratios, n))


def _growth(board: Board, metric: str) -> None:
    """Each window's drift over that of 5-10 s."""
    found = board.metrics.get(metric, {})
    base = found.get("5-10s", {}).get("value")
    if base:
        for window in list(found)[2:]:
            cell = {"value": found[window]["value"] / base, "n": found[window]["n"]}
            board.put(f"{metric}_growth", window, cell)


def names(part: Figures, figure: str) -> list[str]:
    """The worlds that have a figure."""
    return [name for name in ("dream", "game", "vae") if f"{name}_{figure}" in part]


def from_bank(
    part: Figures, spans: list[Window], meter: Meter, world: str = "dream", ending: str = ""
) -> Metrics:
    """Frechet distance of a world to the real features that the meter carries; needs no game beside it."""
    board, bank = Board(), drift.Moments.of(meter.observer.bank.cpu().numpy()[None, :, :-PLAIN])
    real = bank.gaussian(np.zeros(1, int))
    for w in spans:
        at = readable(part, w.latents)
        if len(at):
            mine = drift.Moments.of(part[f"{world}_features"][:, at, :-PLAIN])
            value = drift.between(mine.gaussian(np.arange(len(mine.count))), real)
            board.put(
                f"drift_from_recordings{ending}", w.name, {"value": value, "n": len(mine.count)}
            )
    return board.metrics


def beyond(part: Figures, long: Figures, spans: list[Window], meter: Meter | None) -> Metrics:
    """A dream that goes on by itself: its motion over that of the game before, whether it is whole, and its drift.

    Args:
        part: figures of the dream alone.
        long: those of the long rollouts, with the game's where there is one.
        spans: windows.
        meter: None leaves its figures out.
    """
    board = Board()
    if "game_motion" in long:
        pace = long["game_motion"].mean()
        for w in spans:
            pairs = slice(round(w.begin * w.fps / 2), round(w.end * w.fps / 2))
            moved = part["dream_motion"][:, pairs].mean(1)
            board.ratio("motion_ratio_beyond", w.name, moved, np.full(len(moved), pace))
    if meter is None:
        return board.metrics
    found = from_bank(part, spans, meter, ending="_beyond")
    if "game_features" in long:
        latents = long["game_features"].shape[1]
        whole = Window(0.0, latents * spans[0].k / spans[0].fps, spans[0].fps, spans[0].k)
        found |= from_bank(long, [whole], meter, "game", "_game")
    return board.metrics | found | broken(part, spans, meter, "_beyond")


def broken(part: Figures, spans: list[Window], meter: Meter, after: str = "") -> Metrics:
    """Share of latents that are like no real frame, by features and by patches, and of starts that stay whole.

    `broken`: farther than `meter.far` from all real features. `torn`: stranger than `meter.torn`; of a thousand real
    frames one is. `unbroken`: no frame of a start is broken.
    """
    board = Board()
    for word, figure, far in (
        ("broken", "distance", meter.far),
        ("torn", "strangeness", meter.torn),
    ):
        for name in names(part, figure):
            bad = part[f"{name}_{figure}"] > far  # False where it is NaN
            for w in spans:
                at = readable(part, w.latents)
                if len(at):
                    board.mean(f"{word}_{name}{after}", w.name, bad[:, at].mean(1))
            if word == "broken":
                whole = {"value": float((~bad.any(1)).mean()), "n": len(bad)}
                board.put(f"unbroken_{name}{after}", f"0-{spans[-1].end:g}s", whole)
    return board.metrics


def forks(
    part: Figures, spans: list[Window], spec: ControlSpec, chosen: list[str], late: str
) -> Metrics:
    """Are controls obeyed that nobody would have chosen? All variants from each start, by horizon and one by one.

    Args:
        part: readings [n, V, T, elements] of dream, late (after a long dream) and game; rows [n, V, T, width].
        spans: windows within a fork.
        spec: the controls.
        chosen: names of the V variants.
        late: name of the window that stands for the late forks.
    """
    board, kinds = Board(), reading.count(spec)
    worlds = [n for n in ("dream", "game") if f"{n}_reading" in part]
    truth = reading.classes(spec, part["rows"][0])[None]  # [1, V, T, elements]
    known = np.flatnonzero(part["dream_reading"][0, 0, :, 0] >= 0)

    def tally(name: str, at: np.ndarray) -> np.ndarray:
        seen = part[f"{name}_reading"][:, :, at]
        flat = seen.reshape(len(seen), -1, seen.shape[-1])
        real = np.broadcast_to(truth[:, :, at], seen.shape).reshape(flat.shape)
        return reading.tally(real, flat, kinds)

    for w in spans:
        at = known[(known >= w.latents.start) & (known < w.latents.stop)]
        if len(at):
            for metric, cell in accuracies({n: tally(n, at) for n in worlds}).items():
                board.put(f"counterfactual_{metric}", w.name, cell)
    if "late_reading" in part:
        found = {"dream": tally("late", known)}
        found |= {"game": tally("game", known)} if "game" in worlds else {}
        for metric, cell in accuracies(found).items():
            if metric != "game":
                board.put(f"counterfactual_{metric}", late, cell)
    for name in worlds:
        right = (part[f"{name}_reading"][:, :, known] == truth[:, :, known]).mean((2, 3))
        for i, variant in enumerate(chosen):
            board.mean(f"counterfactual_{name}_by_control", variant, right[:, i])
    return board.metrics


def steer(part: Figures, chosen: list[str]) -> Metrics:
    """Sideways flow under left minus that under right, pixels per 2 frames: positive is the right way round."""
    left, right = chosen.index("left"), chosen.index("right")
    board = Board()
    gaps = {
        name: part[f"{name}_sideways"][:, left] - part[f"{name}_sideways"][:, right]
        for name in ("dream", "game")
        if f"{name}_sideways" in part
    }
    for name, gap in gaps.items():
        board.mean(f"steer_gap_{name}", "2s", gap)
    way = gaps["dream"] > 0
    board.put("steer_right_way", "2s", {"value": float(way.mean()), "n": len(way)})
    return board.metrics


def spread(clips: np.ndarray) -> np.ndarray:
    """Root mean square distance over all pairs: [m, F, D] -> [F]."""
    pairs = [(i, j) for i in range(len(clips)) for j in range(i)]
    each = [np.sqrt(np.square(clips[i] - clips[j]).mean(-1)) for i, j in pairs]
    return np.mean(each, axis=0)


def diversity(part: Figures, spans: list[Window]) -> Metrics:
    """How much seeds differ under one start and its controls, over how much starts differ under one seed: 0 to about 1.

    Args:
        part: pooled [n, seeds, T, 48] and, with a meter, features [n, seeds, T, d].
        spans: windows.
    """
    board = Board()
    for figure, metric in (("pooled", "diversity"), ("features", "diversity_features")):
        if figure not in part:
            continue
        values = part[figure].astype(np.float64)
        if len(values) < FEWEST:
            continue
        among = np.stack([spread(start) for start in values])  # [n, T]
        apart = np.stack([spread(seed) for seed in values.swapaxes(0, 1)]).mean(0)  # [T]
        for w in spans:
            mine, theirs = among[:, w.latents], apart[w.latents]
            known = ~np.isnan(theirs)
            if known.any():
                cell = measures.interval(mine[:, known].mean(1) / max(theirs[known].mean(), 1e-9))
                board.put(metric, w.name, cell)
    return board.metrics
