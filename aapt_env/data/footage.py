"""Videos that others made: when each frame was shown, and the same at an even rate.

Time is in seconds from a video's first frame. Rates may vary and frames may be missing: an even rate takes for each of
its moments the frame that was shown nearest to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import dropwhile
from pathlib import Path

import av
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer
from av.video.stream import VideoStream

from aapt_env.pixels import fit

KINDS = (".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v")
LASTING = ("matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "flv")  # formats that say how long they are
GAP = 1.0  # seconds without a frame, after which another episode begins
REMARKS = {"h264": "6", "hevc": "39-40"}  # kinds of units that tell something beside the picture
CUT = 0.5  # seconds that a whole file may end earlier than it says
Trouble = Callable[[str], None]  # raises ValueError, or notes what is left out


@dataclass(frozen=True)
class Clock:
    """When the frames of a video are shown, found without decoding them."""

    path: Path
    times: np.ndarray  # float64 [n], seconds from the first frame, rising
    size: tuple[int, int]  # (height, width) of a frame
    start: float = 0.0  # seconds of the file at which the first frame is shown
    lack: str = ""  # what the file says that it has and has not

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


def read(path: Path, trouble: Trouble) -> Clock | None:
    """`clock`; None for a video that cannot be read. `trouble` is told of that, and of an end that is missing."""
    try:
        found = clock(path)
    except ValueError as error:
        trouble(str(error))
        return None
    if found.lack:
        trouble(f"{path} {found.lack}; was it cut off before its end?")
    return found


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
            base = float(stream.time_base or Fraction(1, 90000))
            size = stream.height, stream.width
            stamps, packets, end = [], 0, 0.0
            for packet in container.demux():
                if not packet.size or packet.pts is None or packet.time_base is None:
                    continue
                end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                if packet.stream_index == stream.index:
                    packets += 1
                    stamps += [] if packet.is_discard else [packet.pts]
            lack = _lack(container, stream, packets, max(stamps, default=0), end)
    except (OSError, av.error.FFmpegError) as error:
        raise ValueError(
            f"{path} cannot be read as a video ({error.strerror or error}); was it cut off before its end?"
        ) from error
    if not stamps or not all(size):
        raise ValueError(f"{path} has no frames")
    seconds = np.unique(np.array(stamps, np.float64)) * base
    return Clock(path, seconds - seconds[0], size, float(seconds[0]), lack)


def _lack(
    container: InputContainer, stream: VideoStream, packets: int, last: int, end: float
) -> str:
    """What a file says that it has and has not: frames, or where it does not count them, seconds of any stream.

    Args:
        container: the file, read to its end.
        stream: its video.
        packets: of the video that are there.
        last: the greatest stamp of them.
        end: seconds at which the last packet of any stream ends.
    """
    if container.format.name == "avi":  # it counts the frames that were dropped, too
        packets = max(packets, last + 1)
    if stream.frames > packets + 2:
        return f"ends after frame {packets - 1}; it says that it has {stream.frames}"
    says = (container.duration or 0) / av.time_base
    if not stream.frames and container.format.name in LASTING and end < says - CUT:
        return f"ends at {end:.2f} s; it says that it lasts {says:.2f} s"
    return ""


def frames(
    video: Clock, begin: float, end: float, trouble: Trouble
) -> Iterator[tuple[float, np.ndarray]]:
    """(time, uint8 [H, W, 3]) of each frame shown from `begin` to `end`; `trouble` is told of damage, which ends it."""
    number, whole = 0, len(video.times)
    try:
        for time, frame in _from(video, begin):
            if time >= end - 1e-9:
                return
            number = video.frame_at(time)
            if (frame.height, frame.width) != video.size:
                trouble(
                    f"{video.path}, frame {number}: {frame.height}x{frame.width} pixels, before it {video.size}"
                )
                return
            if frame.is_corrupt:
                trouble(f"{video.path} is damaged at frame {number} of {whole}")
                return
            yield time, frame.to_ndarray(format="rgb24")
    except (OSError, av.error.FFmpegError) as error:
        trouble(
            f"{video.path} is damaged after frame {number} of {whole} ({error.strerror or error})"
        )
        return
    if end >= video.end - 1e-6 and number < whole - 2:
        trouble(f"{video.path} ends after frame {number}; it says that it has {whole}")


def _from(video: Clock, begin: float) -> Iterator[tuple[float, av.VideoFrame]]:
    """`_decoded` from the frame shown at `begin` on: by a jump, or where none leads there, past all before it."""

    def before(shown: tuple[float, av.VideoFrame]) -> bool:
        return shown[0] < begin - video.pause

    if begin > GAP:
        jump = dropwhile(before, _sound(video, begin))
        try:
            first = next(jump, None)
        except (OSError, av.error.FFmpegError):
            first = None
        if first is not None and first[0] <= begin + video.pause:
            yield first
            yield from jump
            return
    yield from dropwhile(before, _sound(video, 0.0))


def _sound(video: Clock, begin: float) -> Iterator[tuple[float, av.VideoFrame]]:
    """`_decoded`; where that fails, once more without what stands beside the pictures: it may be all that is damaged.

    Raises:
        FFmpegError: damage of the pictures.
    """
    last = -np.inf
    try:
        for time, frame in _decoded(video, begin):
            last = max(last, time)
            yield time, frame
    except av.error.FFmpegError:
        for time, frame in _decoded(video, begin, bare=True):
            if time > last + 1e-9:
                yield time, frame


def _decoded(
    video: Clock, begin: float, bare: bool = False
) -> Iterator[tuple[float, av.VideoFrame]]:
    """(time, frame) of what can be decoded, from the key frame before `begin` on; `bare` without its remarks (SEI).

    Frames that build on others from before a cut or a jump are left out.

    Raises:
        FFmpegError: damage.
    """
    with av.open(str(video.path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"  # several threads keep to themselves what they find wrong
        stream.codec_context.options = {"err_detect": "explode"}
        base = float(stream.time_base or Fraction(1, 90000))
        if begin:
            container.seek(int((begin + video.start) / base), stream=stream)
        kinds = REMARKS.get(stream.codec_context.name) if bare else None
        remarks = (
            BitStreamFilterContext(f"filter_units=remove_types={kinds}", stream) if kinds else None
        )
        key, torn, any_yet, last = None, False, False, None
        for packet in container.demux(stream):
            if packet.size and packet.pts is not None:
                key = packet.pts if key is None and packet.is_keyframe else key
                torn = torn or key is None or packet.pts < key
            try:
                found = _pictures(packet, remarks)
            except av.error.FFmpegError as error:
                if not torn or any_yet:
                    raise
                last = error
                continue
            for frame in found:
                if frame.pts is not None and not (frame.is_corrupt and torn and not any_yet):
                    any_yet = True
                    yield frame.pts * base - video.start, frame
        if last is not None and not any_yet:
            raise last


def _pictures(packet: av.Packet, remarks: BitStreamFilterContext | None) -> list[av.VideoFrame]:
    """What a packet gives, through a filter that takes out its remarks, if any."""
    if remarks is None or not packet.size:
        return packet.decode()
    coder = packet.stream.codec_context
    return [frame for bare in remarks.filter(packet) for frame in coder.decode(bare)]


def even(
    shown: Iterator[tuple[float, np.ndarray]], fps: int, size: tuple[int, int], begin: float
) -> Iterator[tuple[float, np.ndarray]]:
    """Frames at an even rate: for each moment `begin + j / fps` the one shown nearest to it, brought to `size`.

    Yields:
        (moment, uint8 [height, width, 3]), from the first frame on. After a pause of more than a second without a
        frame, moments go on behind the pause: the gap tells where to cut.
    """
    j, last = 0, None
    for time, image in shown:
        now = (time, fit(image, *size))
        if last is None:
            j = max(0, int(np.ceil((time - begin) * fps - 1)))
        else:
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
