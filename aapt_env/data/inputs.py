"""What was pressed while a video was taken: a CSV table becomes controls, one for each frame of an even rate.

A row tells what holds from its time until the next row's, the last one for a frame. Times are in a column `time`
(seconds) or `time_ms`, or a column `frame` has the numbers of the video's own frames; with neither, row i belongs to
frame i. Every other column is an input.
"""

from __future__ import annotations

import csv
from bisect import bisect_left
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
    """A table of inputs on a video's clock. `rows` may hold NaN: nobody knows what was pressed then.

    A row whose time is not known either stands right behind the one before it: from there on nothing is known.
    """

    path: Path
    names: tuple[str, ...]
    times: np.ndarray  # float64 [N] seconds from the video's first frame, rising
    rows: np.ndarray  # float64 [N, width]
    pause: float  # seconds that the last row holds
    lines: np.ndarray | None = None  # [N] lines of the file
    wrong: Sequence[str] = ()  # [N] why a row is unknown; or nothing of any
    drift: str = ""  # how the table contradicts itself

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
        if self.drift:
            trouble(self.drift)
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
        for first, last in self._unknown():
            shown = f"frame {video.frame_at(self.times[first])} of {video.path}"
            trouble(f"{self._where(first, last)}: {self._why(first)}, at {shown}")
            until = self.times[last + 1] if last + 1 < len(self.times) else end
            cuts += np.clip([self.times[first], until], begin, end).tolist()
        cuts += [end]
        return [(a, b) for a, b in zip(cuts[::2], cuts[1::2], strict=True) if b - a > 1e-9]

    def _unknown(self) -> list[tuple[int, int]]:
        """(first, last) rows of every run of those of which a number is not known."""
        gaps = np.flatnonzero(~np.isfinite(self.rows).all(axis=1))
        runs = np.split(gaps, np.flatnonzero(np.diff(gaps) > 1) + 1)
        return [(int(run[0]), int(run[-1])) for run in runs if len(run)]

    def _where(self, first: int, last: int) -> str:
        """Those rows, for who looks for them in the file."""
        if self.lines is None:
            return str(self.path)
        many = f"lines {self.lines[first]} to" if last > first else "line"
        return f"{self.path}, {many} {self.lines[last]}"

    def _why(self, row: int) -> str:
        """What is wrong with a row."""
        if self.wrong:
            return self.wrong[row]
        return f"{self.names[int(np.argmin(np.isfinite(self.rows[row])))]} is no number"

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


def read(path: Path, video: Clock, slack: float) -> Inputs:
    """Read a CSV table onto a video's clock. What is wrong with single rows of it, `Inputs.spans` tells.

    Args:
        path: the table.
        video: the video's clock.
        slack: seconds by which two columns of times may differ.

    Raises:
        ValueError: no table, no inputs in it, or no row that can be used.
    """
    head, lines, numbers = _lines(path)
    kept = [i for i, name in enumerate(head) if name.lower() not in (*TIMES, "frame")]
    if not lines or not kept or all(_number(name) is not None for name in head):
        raise ValueError(
            f"{path}: expected a line of names (time and one per input), then rows of numbers"
        )
    wrong = np.array([_wrong(line, head, kept) for line in lines], object)
    whole = [line if len(line) == len(head) else [""] * len(head) for line in lines]
    values = np.array([[_number(cell) for cell in line] for line in whole], np.float64)
    times, drift = _times(path, head, values, video, slack)
    wrong[(wrong == "") & np.isnan(times)] = "it has no time"
    if (wrong != "").all():
        raise ValueError(f"{path}: no row of it can be used; line {numbers[0]}: {wrong[0]}")
    placed = _placed(times, _rising(np.where(wrong == "", times, np.nan)))
    wrong[(wrong == "") & (placed != times)] = "times must rise; sort the rows and drop doubles"
    values[wrong != ""] = np.nan
    names, rows = tuple(head[i] for i in kept), values[:, kept]
    return Inputs(path, names, placed, rows, video.pause, np.array(numbers), wrong.tolist(), drift)


def _lines(path: Path) -> tuple[list[str], list[list[str]], list[int]]:
    """The names in a table's first line, the cells of the others, and the number of each in the file."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            head = [name.strip() for name in next(reader, [])]
            lines = [(line, reader.line_num) for line in reader if line]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} cannot be read as a CSV table: {error}") from error
    return head, [line for line, _ in lines], [number for _, number in lines]


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
    path: Path, head: list[str], values: np.ndarray, video: Clock, slack: float
) -> tuple[np.ndarray, str]:
    """[N] seconds of the rows on the video's clock, NaN where a row has none; and how two columns of them differ."""
    lower = [name.lower() for name in head]
    column = next((i for i, name in enumerate(lower) if name in TIMES), None)
    stated = None if column is None else values[:, column] * TIMES[lower[column]]
    if stated is not None and "frame" not in lower:
        return np.where(np.isfinite(stated), stated, np.nan), ""
    count = np.arange(len(values), dtype=np.float64)
    if "frame" in lower:
        count = values[:, lower.index("frame")]
        count = np.where(np.isfinite(count) & (count >= 0), count, np.nan)
    last = len(video.times) - 1
    shown = (
        np.interp(count, np.arange(last + 1), video.times)
        + np.maximum(count - last, 0) * video.pause
    )
    if stated is None:
        return shown, ""
    both = np.flatnonzero(np.isfinite(stated + shown))
    apart = (stated - shown)[both]
    drift = np.abs(apart - apart[:1])
    if not len(both) or drift.max() <= slack:
        return shown, ""
    frame = int(count[both[drift.argmax()]])
    return shown, (
        f"{path} and {video.path} drift apart, by {drift.max():.2f} s at frame {frame}: the "
        "column time does not fit the column frame, by which the rows go otherwise"
    )


def _rising(times: np.ndarray) -> np.ndarray:
    """The rows, bool [N], that stay where as few as can be are left out for times to rise; of doubles the first."""
    ends: list[float] = []  # the least time at which a rising sequence of each length ends
    at: list[int] = []  # the length of the longest one that ends at a row
    for time in times:
        length = bisect_left(ends, time)
        new = np.isfinite(time) and time not in ends[length : length + 1]
        at.append(length if new else -1)
        if new:
            ends[length : length + 1] = [time]
    stay, wanted, until = np.zeros(len(times), bool), len(ends) - 1, np.inf
    for i in reversed(range(len(times))):
        if at[i] == wanted >= 0 and times[i] < until:
            stay[i], wanted, until = True, wanted - 1, times[i]
    return stay


def _placed(times: np.ndarray, stay: np.ndarray) -> np.ndarray:
    """Times [N] that all rise: those that stay, and where another does not fit in, the earliest that it can have."""
    placed, first = times.copy(), int(np.argmax(stay))
    for i in reversed(range(first)):
        if not times[i] < placed[i + 1]:
            placed[i] = np.nextafter(placed[i + 1], -np.inf)
    until = np.minimum.accumulate(np.where(stay, times, np.inf)[::-1])[::-1]  # what comes
    for i in range(first, len(times)):
        if not (stay[i] or placed[i - 1] < times[i] < until[i]):
            placed[i] = np.nextafter(placed[i - 1], np.inf)
    return placed


def _wrong(line: list[str], head: list[str], kept: list[int]) -> str:
    """What is wrong with a row's cells, or ""."""
    if len(line) != len(head):
        return f"{len(line)} cells, expected {len(head)} as in its first line"
    for i in kept:
        number = _number(line[i])
        if number is None:
            return f"{head[i]} is {line[i]!r}, expected a number"
        if not np.isfinite(number):
            return f"{head[i]} is no number"
    return ""


def _number(cell: str) -> float | None:
    """A cell's number, NaN for an empty one; None for text."""
    try:
        return float(cell) if cell.strip() else float("nan")
    except ValueError:
        return None
