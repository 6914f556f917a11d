"""Play without a display: a driver plays, and what it saw becomes a video and a contact sheet."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from aapt_env.play.inputs import Sample
from aapt_env.play.playhead import Meter
from aapt_env.play.recorder import Recorder, recording_place
from aapt_env.play.session import Latent, Session

SHORT_SIDE = 256  # pixels that a frame is enlarged to at least
COLUMNS, ROWS = 6, 4  # of the contact sheet
BAR = 22  # pixels under each picture of the sheet


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a headless run wrote, and how fast it was."""

    video: Path
    sheet: Path
    frames: int
    driver: str  # "policy" or "script"
    steps: Meter  # the model's time per latent
    fps: float  # frames made per second of the model's time; 0 where no step was measured
    dataset: Path | None = None
    note: str = ""  # what a player would have been told


def play(
    session: Session,
    folder: Path,
    *,
    frames: int,
    fps: float = 0.0,
    recorder: Recorder | None = None,
) -> Outcome:
    """Let the policy, or the key script, drive for `frames` frames; write an mp4 and a contact sheet.

    Args:
        session: a fresh session.
        folder: where the files go.
        frames: RGB frames in the video, the first one included.
        fps: of the video; 0 for the world's own.
        recorder: also records a dataset.

    Raises:
        OSError: a file cannot be written; says why and what to do.
    """
    place = recording_place(folder, session.spec.game)
    session.hand_over()
    rate = fps or session.spec.frame_fps
    if recorder is not None:
        recorder.toggle(None)
    video, sheet = (place.with_name(place.name + end) for end in (".mp4", ".png"))
    steps, made = Meter(10**6), 0
    picked: list[tuple[float, np.ndarray]] = []
    wanted = set(
        np.linspace(0, frames - 1, min(frames, COLUMNS * ROWS)).round().astype(int).tolist()
    )
    with contextlib.ExitStack() as stack:  # whatever stops it, what there is is saved
        stack.callback(write_sheet, sheet, picked)
        if recorder is not None:
            stack.callback(recorder.close)
        movie = stack.enter_context(Movie(video, rate))
        for latent in latents(session, recorder):
            if latent.number and session.warm:
                steps.add(latent.seconds)
            for frame in latent.frames[: frames - made]:
                movie.add(frame)
                if made in wanted:
                    picked.append((made / rate, frame))
                made += 1
            if made >= frames:
                break
    return Outcome(
        video=video,
        sheet=sheet,
        frames=made,
        driver=session.driver,
        steps=steps,
        fps=session.spec.k / max(steps.seconds(50), 1e-9) if len(steps) else 0.0,
        dataset=recorder.saved[-1] if recorder is not None and recorder.saved else None,
        note=session.setup.hands.note if session.setup.hands is not None else "",
    )


def latents(session: Session, recorder: Recorder | None = None):
    """Episode after episode, latent after latent, for ever."""
    idle = Sample(row=np.zeros(session.spec.control.width, np.float32))
    latent: Latent | None = None
    while True:
        if latent is None:
            latent = session.reset()
        elif latent.over:
            latent = session.reset(session.seed + 1)
        else:
            latent = session.step(idle)
        if recorder is not None:
            recorder.add(latent)
        yield latent


class Movie:
    """An H.264 video that every player reads; frames are enlarged so that they can be watched."""

    def __init__(self, path: Path, fps: float):
        self.path, self.fps = path, fps
        self._container: Any = None  # made with the first frame: without one, there is no file
        self._broken = (
            False  # the library crashes when it is asked to finish a file that it could not begin
        )

    def __enter__(self) -> Movie:
        return self

    def __exit__(self, *problem) -> None:
        if self._container is None or self._broken:
            return
        with self._named():
            try:
                self._container.mux(self._stream.encode(None))
            finally:
                self._container.close()

    def add(self, frame: np.ndarray) -> None:
        """Append one RGB frame, uint8 [H, W, 3]."""
        with self._named():
            if self._container is None:
                self._begin(even_size(frame))
            large = enlarge(frame, (self._stream.width, self._stream.height))
            picture = av.VideoFrame.from_ndarray(large, format="rgb24")
            self._container.mux(self._stream.encode(picture))

    def _begin(self, size: tuple[int, int]) -> None:
        self._container = av.open(str(self.path), "w")
        self._stream = self._container.add_stream("libx264", rate=round(self.fps))
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = {"crf": "17", "preset": "veryfast"}
        self._stream.width, self._stream.height = size

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """An error of the video library, as a sentence with the cure."""
        try:
            yield
        except (av.error.FFmpegError, OSError) as error:
            self._broken = True
            raise cannot_write("video", self.path, error) from error


def cannot_write(what: str, path: Path, error: Exception) -> OSError:
    """One sentence: what could not be written, why, and what to do."""
    why = getattr(error, "strerror", None) or str(error)
    return OSError(
        getattr(error, "errno", None) or 0,
        f"cannot write the {what} ({why}); expected a folder with free space: make room, "
        "or give another with --out DIR",
        str(path),
    )


def write_sheet(path: Path, pictures: list[tuple[float, np.ndarray]]) -> None:
    """Write the contact sheet as a PNG, where there is a picture.

    Raises:
        OSError: it cannot be written; says why and what to do.
    """
    if not pictures:
        return
    _, data = cv2.imencode(".png", contact_sheet(pictures)[..., ::-1])
    try:
        path.write_bytes(data.tobytes())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise cannot_write("contact sheet", path, error) from error


def even_size(frame: np.ndarray) -> tuple[int, int]:
    """(width, height) at a whole multiple of the frame, both even, as yuv420p needs."""
    tall, wide = frame.shape[:2]
    zoom = max(1, -(-SHORT_SIDE // min(tall, wide)))
    return wide * zoom // 2 * 2, tall * zoom // 2 * 2


def enlarge(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bicubic to `size`."""
    return cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC)


def contact_sheet(pictures: list[tuple[float, np.ndarray]]) -> np.ndarray:
    """Pictures at their times, in rows, each with its second below it: uint8 RGB."""
    columns = min(COLUMNS, len(pictures))
    rows = -(-len(pictures) // columns)
    tall, wide = pictures[0][1].shape[:2]
    zoom = max(1.0, 192 / wide)
    w, h, gap = round(wide * zoom), round(tall * zoom), 6
    size = (rows * (h + BAR + gap) + gap, columns * (w + gap) + gap, 3)
    sheet = np.full(size, (13, 15, 20), np.uint8)
    for i, (seconds, frame) in enumerate(pictures):
        y, x = gap + i // columns * (h + BAR + gap), gap + i % columns * (w + gap)
        sheet[y : y + h, x : x + w] = enlarge(frame, (w, h))
        cv2.putText(
            sheet,
            f"{seconds:.1f} s",
            (x + 2, y + h + 16),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.45,
            (200, 206, 216),
            1,
            cv2.LINE_AA,
        )
    return sheet


def report(outcome: Outcome, why: str, seconds: float) -> str:
    """What to tell someone who has no window: what drove, where the files are, how to get a window."""
    drove = {
        "policy": "The policy drove",
        "script": "A script of keys or poses drove",
    }[outcome.driver]
    speed = f"step {outcome.steps.text()} (median / p99), {outcome.fps:.0f} frames/s"
    speed = speed if len(outcome.steps) else "too short to measure a step"
    lines = [
        f"{why}. {drove} for {seconds:.1f} s ({outcome.frames} frames); {speed}.",
        f"  video          {outcome.video}",
        f"  contact sheet  {outcome.sheet}",
    ]
    if outcome.dataset is not None:
        lines.append(f"  dataset        {outcome.dataset}")
    if outcome.note:
        lines.append(f"{outcome.note}.")
    lines.append(
        "For a window, run it where there is a display: on a desktop, over 'ssh -X', "
        "or under 'xvfb-run' with a VNC viewer."
    )
    return "\n".join(lines)
