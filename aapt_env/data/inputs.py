"""What was pressed while a video was taken: a CSV table becomes controls, one for each frame of an even rate.

A row tells what holds from its time until the next row's, the last one for a frame. Times are in a column `time`
(seconds) or `time_ms`, or a column `frame` has the numbers of the video's own frames; with neither, row i belongs to
frame i. Every other column is an input.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aapt_env.data.footage import Clock, Trouble
from aapt_env.spec import ControlSpec

TIMES = {
    "time": 1.0,
    "timestamp": 1.0,
    "seconds": 1.0,
    "t": 1.0,
    "time_ms": 1e-3,
    "timestamp_ms": 1e-3,
}
EARLY = (
    0.1  # of a frame's time, by which a row may come late or early: containers round their times
)
DRIFT = 0.05  # clocks this near to each other's pace are called drifting, others cut off


@dataclass(frozen=True)
class Inputs:
    """A table of inputs on a video's clock. `rows` may hold NaN: nobody knows what was pressed then."""

    path: Path
    names: tuple[str, ...]
    times: np.ndarray  # float64 [N] seconds from the video's first frame, rising
    rows: np.ndarray  # float64 [N, width]
    pause: float  # seconds that the last row holds
    lines: np.ndarray | None = None  # [N] lines of the file

    @property
    def end(self) -> float:
        """Until when the last row holds."""
        return float(self.times[-1]) + self.pause

    def spans(
        self, video: Clock, part: tuple[float, float], slack: float, trouble: Trouble
    ) -> list[tuple[float, float]]:
        """The times at which both frames and inputs are known; `trouble` is told of all others.

        Args:
            video: its clock.
            part: (begin, end) in seconds of it that are looked at.
            slack: seconds by which the ends may differ.
            trouble: told in one sentence that names file and frame.
        """
        begin, end = max(part[0], float(self.times[0])), min(part[1], self.end)
        if self.times[0] - part[0] > slack:
            trouble(
                f"{self.path} begins at {self.times[0]:.2f} s, frame {video.frame_at(begin)} of {video.path}"
            )
        if abs(self.end - part[1]) > slack:
            ratio = (self.end - part[0]) / (part[1] - part[0])
            why = (
                f"; {abs(ratio - 1):.1%} apart: do the two clocks drift?"
                if abs(ratio - 1) < DRIFT
                else ""
            )
            kind = "shorter" if ratio < 1 else "longer"
            trouble(
                f"{self.path} is {kind} than {video.path}: it ends at {self.end:.2f} s, "
                f"frame {video.frame_at(self.end)}, the video at {part[1]:.2f} s, frame {video.frame_at(part[1])}{why}"
            )
        cuts = [begin]
        for i in np.flatnonzero(~np.isfinite(self.rows).all(axis=1)):
            line = "" if self.lines is None else f", line {self.lines[i]}"
            name = self.names[int(np.argmin(np.isfinite(self.rows[i])))]
            trouble(
                f"{self.path}{line}: {name} is no number, at frame {video.frame_at(self.times[i])} of {video.path}"
            )
            cuts += [
                float(self.times[i]),
                float(self.times[i + 1]) if i + 1 < len(self.times) else end,
            ]
        cuts += [end]
        return [(a, b) for a, b in zip(cuts[::2], cuts[1::2], strict=True) if b - a > 1e-9]

    def at(self, moments: np.ndarray, pause: float, control: ControlSpec) -> np.ndarray:
        """The control that holds from each moment for `pause` seconds: float32 [n, width].

        A key of a MultiBinary that was down at any time in between counts as down, so that no tap is lost.
        """
        begin = moments + EARLY * pause
        first = np.clip(np.searchsorted(self.times, begin, "right") - 1, 0, None)
        rows = np.nan_to_num(self.rows)
        if control.space != "MultiBinary":
            return rows[first].astype(np.float32)
        end = begin + (1 - 2 * EARLY) * pause
        last = np.maximum(first, np.searchsorted(self.times, end, "left") - 1)
        taps = [rows[a : b + 1].max(axis=0) for a, b in zip(first, last, strict=True)]
        return np.stack(taps).astype(np.float32)


def read(path: Path, video: Clock, slack: float, trouble: Trouble) -> Inputs:
    """Read a CSV table onto a video's clock.

    Raises:
        ValueError: no table, no inputs in it, text for numbers, or times that do not rise; names the line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            head = [name.strip() for name in next(reader, [])]
            lines = [(reader.line_num, line) for line in reader if line]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} cannot be read as a CSV table: {error}") from error
    kept = [i for i, name in enumerate(head) if name.lower() not in (*TIMES, "frame")]
    if not lines or not kept or _numbers(path, 1, head, head, quiet=True) is not None:
        raise ValueError(
            f"{path}: expected a line of names (time and one per input), then rows of numbers"
        )
    values = np.array([_numbers(path, number, line, head) for number, line in lines])
    numbers = np.array([number for number, _ in lines])
    times = _times(path, head, values, numbers, video, slack, trouble)
    late = np.flatnonzero(~(np.diff(times) > 0))
    if len(late):
        raise ValueError(
            f"{path}, line {numbers[late[0] + 1]}: times must rise; sort the rows and drop doubles"
        )
    return Inputs(path, tuple(head[i] for i in kept), times, values[:, kept], video.pause, numbers)


def control_of(tables: Sequence[Inputs]) -> tuple[ControlSpec, np.ndarray]:
    """What kind of control all tables together are, and what each input is divided by.

    Only 0 and 1: keys (MultiBinary). One input of whole numbers from 0: actions (Discrete). Everything else: a Box,
    each input divided by its largest absolute value where that is above 1, so that 0 stays 0.
    """
    names = tables[0].names
    for table in tables:
        if table.names != names:
            raise ValueError(
                f"{table.path} has inputs {list(table.names)}, {tables[0].path} has {list(names)}"
            )
    values = np.concatenate([table.rows[np.isfinite(table.rows).all(axis=1)] for table in tables])
    if not len(values):
        raise ValueError(f"{tables[0].path} has no row without a gap")
    one = np.ones(len(names))
    if np.isin(values, (0, 1)).all():
        return ControlSpec(space="MultiBinary", size=len(names), names=names), one
    if (
        len(names) == 1
        and values.min() >= 0
        and (values == np.rint(values)).all()
        and values.max() < 256
    ):
        return ControlSpec(space="Discrete", size=int(values.max()) + 1), one
    return ControlSpec(kind="vector", space="Box", size=len(names), names=names), np.maximum(
        1, np.abs(values).max(axis=0)
    )


def _times(
    path: Path,
    head: list[str],
    values: np.ndarray,
    numbers: np.ndarray,
    video: Clock,
    slack: float,
    trouble: Trouble,
) -> np.ndarray:
    """[N] seconds of the rows on the video's clock."""
    lower = [name.lower() for name in head]
    column = next((i for i, name in enumerate(lower) if name in TIMES), None)
    stated = None if column is None else values[:, column] * TIMES[lower[column]]
    if stated is not None and not np.isfinite(stated).all():
        raise ValueError(
            f"{path}, line {numbers[int(np.argmin(np.isfinite(stated)))]}: it has no time"
        )
    if stated is not None and "frame" not in lower:
        return stated
    count = (
        values[:, lower.index("frame")]
        if "frame" in lower
        else np.arange(len(values), dtype=np.float64)
    )
    if not np.isfinite(count).all() or (count < 0).any():
        raise ValueError(f"{path}: column frame has values that are no frame numbers")
    last = len(video.times) - 1
    shown = (
        np.interp(count, np.arange(last + 1), video.times)
        + np.maximum(count - last, 0) * video.pause
    )
    if stated is not None:
        drift = np.abs((stated - stated[0]) - (shown - shown[0]))
        if drift.max() > slack:
            worst = int(drift.argmax())
            trouble(
                f"{path} and {video.path} drift apart, by {drift[worst]:.2f} s at frame {int(count[worst])}: the "
                "column time does not fit the column frame, by which the rows go otherwise"
            )
    return shown


def _numbers(
    path: Path, number: int, line: list[str], head: list[str], quiet: bool = False
) -> list[float] | None:
    """A line's numbers; NaN for an empty cell."""
    if len(line) != len(head):
        raise ValueError(
            f"{path}, line {number}: {len(line)} cells, expected {len(head)} as in its first line"
        )
    try:
        return [float(cell) if cell.strip() else float("nan") for cell in line]
    except ValueError as error:
        if quiet:
            return None
        raise ValueError(f"{path}, line {number}: {error}; expected numbers") from error
