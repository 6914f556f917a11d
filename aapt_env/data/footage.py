"""Videos that others made: when each frame was shown, and the same at an even rate.

Time is in seconds from a video's first frame. Rates may vary and frames may be missing: an even rate takes for each of
its moments the frame that was shown nearest to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from aapt_env.pixels import fit

KINDS = (".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v")
GAP = 1.0  # seconds without a frame, after which another episode begins
Trouble = Callable[[str], None]  # raises ValueError, or notes what is left out


@dataclass(frozen=True)
class Clock:
    """When the frames of a video are shown, found without decoding them."""

    path: Path
    times: np.ndarray  # float64 [n], seconds from the first frame, rising
    size: tuple[int, int]  # (height, width) of a frame
    declared: int  # frames that the file says it has; 0 where it says nothing

    @property
    def end(self) -> float:
        """Until when the last frame is shown."""
        return float(self.times[-1]) + self.pause

    @property
    def pause(self) -> float:
        """The median time between two frames."""
        return float(np.median(np.diff(self.times))) if len(self.times) > 1 else 1 / 24

    @property
    def fps(self) -> int:
        """Frames per second, as most of it has."""
        return max(1, round(1 / self.pause))

    def frame_at(self, seconds: float) -> int:
        """The number of the frame that is shown then."""
        found = np.searchsorted(self.times, seconds + 0.1 * self.pause, "right") - 1
        return int(np.clip(found, 0, len(self.times) - 1))


def clock(path: Path) -> Clock:
    """Read a video's times.

    Raises:
        ValueError: it cannot be opened, or has no frames.
    """
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ValueError(f"{path} has no video in it")
            stream = container.streams.video[0]
            base = stream.time_base or Fraction(1, 90000)
            stamps = [
                packet.pts
                for packet in container.demux(stream)
                if packet.pts is not None and packet.size
            ]
            size = stream.height, stream.width
            declared = stream.frames
    except (OSError, av.error.FFmpegError) as error:
        raise ValueError(
            f"{path} cannot be read as a video ({error}); was it cut off before its end?"
        ) from error
    if not stamps or not all(size):
        raise ValueError(f"{path} has no frames")
    seconds = np.unique(np.array(stamps, np.float64)) * float(base)
    return Clock(path, seconds - seconds[0], size, declared)


def frames(
    video: Clock, begin: float, end: float, trouble: Trouble
) -> Iterator[tuple[float, np.ndarray]]:
    """(time, uint8 [H, W, 3]) of each frame shown from `begin` to `end`; `trouble` is told of damage, which ends it."""
    number = 0
    try:
        with av.open(str(video.path)) as container:
            stream = container.streams.video[0]
            base, first = float(stream.time_base or 1), None
            if begin > GAP:
                start = stream.start_time or 0
                container.seek(int(begin / base) + start, stream=stream)
                first = start * base
            for frame in container.decode(stream):
                if frame.pts is None:
                    continue
                first = frame.pts * base if first is None else first
                time = frame.pts * base - first
                number = video.frame_at(time)
                if (frame.height, frame.width) != video.size:
                    trouble(
                        f"{video.path}, frame {number}: {frame.height}x{frame.width} pixels, before it {video.size}"
                    )
                    return
                if time >= end - 1e-9:
                    return
                if time >= begin - video.pause:
                    yield time, frame.to_ndarray(format="rgb24")
    except (OSError, av.error.FFmpegError) as error:
        trouble(f"{video.path} is damaged after frame {number} of {len(video.times)} ({error})")
        return
    if video.declared > len(video.times) + 2 or (
        end >= video.end - 1e-6 and number < len(video.times) - 2
    ):
        trouble(
            f"{video.path} ends after frame {number}; it says that it has {max(video.declared, len(video.times))}"
        )


def even(
    shown: Iterator[tuple[float, np.ndarray]], fps: int, size: tuple[int, int], begin: float
) -> Iterator[tuple[float, np.ndarray]]:
    """Frames at an even rate: for each moment `begin + j / fps` the one shown nearest to it, brought to `size`.

    Yields:
        (moment, uint8 [height, width, 3]). After a pause of more than a second without a frame, moments go on behind
        the pause: the gap tells where to cut.
    """
    j, last = 0, None
    for time, image in shown:
        now = (time, fit(image, *size))
        if last is not None:
            middle = (last[0] + time) / 2 if time - last[0] <= GAP else last[0] + 0.5 / fps
            while begin + j / fps < middle:
                yield begin + j / fps, last[1]
                j += 1
            if time - last[0] > GAP:
                j = int(np.ceil((time - begin) * fps - 1e-6))
        last = now
    while last is not None and begin + j / fps < last[0] + 0.5 / fps:
        yield begin + j / fps, last[1]
        j += 1
