"""Line charts as pictures: horizon to the right, a line per metric, intervals as bars."""

from __future__ import annotations

import cv2
import numpy as np

from aapt_env.evaluate.summary import Metrics

WIDTH, HEIGHT = 720, 360
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 44, 54
COLOURS = [(31, 90, 180), (214, 96, 20), (60, 140, 60), (150, 60, 150), (110, 110, 110)]  # RGB
INK, FAINT = (40, 40, 40), (222, 222, 222)


def write(image: np.ndarray, text: str, at: tuple[int, int], size: float = 0.42, ink=INK) -> None:
    """Text, its lower left corner at (x, y)."""
    cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, ink, 1, cv2.LINE_AA)


def scale(values: list[float], lines: list[float]) -> tuple[float, float]:
    """Lowest and highest value of the axis, with a little room."""
    everything = [*values, *lines]
    low, high = min(everything), max(everything)
    room = 0.06 * (high - low) or max(abs(high), 1.0) * 0.1
    return (0.0 if 0 <= low < 0.6 * high else low - room), high + room


def ticks(low: float, high: float, wanted: int = 5) -> np.ndarray:
    """Round values between low and high."""
    raw = (high - low) / wanted
    power = 10.0 ** np.floor(np.log10(raw))
    step = power * min((1, 2, 5, 10), key=lambda m: abs(m * power - raw))
    return np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step


def chart(
    title: str, metrics: Metrics, series: dict[str, str], lines: tuple[float, ...] = ()
) -> np.ndarray | None:
    """One chart.

    Args:
        title: what is shown, and its unit.
        metrics: all of eval.json's.
        series: {metric: its label}; those not measured are left out.
        lines: values drawn across, such as a bar to be reached.

    Returns:
        [360, 720, 3] uint8 RGB; None where nothing of it was measured.
    """
    shown = {label: metrics[metric] for metric, label in series.items() if metric in metrics}
    if not shown:
        return None
    columns = list(dict.fromkeys(window for cells in shown.values() for window in cells))
    cells = [cell for by_window in shown.values() for cell in by_window.values()]
    low, high = scale([c.get(e, c["value"]) for c in cells for e in ("low", "high")], list(lines))
    image = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    step = (WIDTH - LEFT - RIGHT) / max(1, len(columns))

    def y(value: float) -> int:
        return round(HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM))

    def x(window: str, shift: int = 0) -> int:
        return round(LEFT + (columns.index(window) + 0.5) * step) + shift

    for value in ticks(low, high):
        cv2.line(image, (LEFT, y(value)), (WIDTH - RIGHT, y(value)), FAINT, 1)
        write(image, f"{value:.4g}", (8, y(value) + 4))
    for value in lines:
        cv2.line(image, (LEFT, y(value)), (WIDTH - RIGHT, y(value)), (200, 30, 30), 1, cv2.LINE_AA)
    for i, window in enumerate(columns):
        if i % max(1, round(64 / step)) == 0:
            write(image, window, (x(window) - 4 * len(window), HEIGHT - BOTTOM + 20), 0.38)
    write(image, title, (LEFT, 20), 0.5)
    at = LEFT
    for i, (label, by_window) in enumerate(shown.items()):
        colour, shift = COLOURS[i % len(COLOURS)], 3 * (i - len(shown) // 2)
        points = [(x(w, shift), y(c["value"])) for w, c in by_window.items()]
        cv2.polylines(image, [np.array(points)], False, colour, 2, cv2.LINE_AA)
        for (window, cell), point in zip(by_window.items(), points, strict=True):
            cv2.circle(image, point, 3, colour, -1, cv2.LINE_AA)
            if "low" in cell:
                ends = (x(window, shift), y(cell["low"])), (x(window, shift), y(cell["high"]))
                cv2.line(image, *ends, colour, 1, cv2.LINE_AA)
        cv2.line(image, (at, HEIGHT - 14), (at + 16, HEIGHT - 14), colour, 3)
        write(image, label, (at + 22, HEIGHT - 10))
        at += 40 + 8 * len(label)
    return image
