"""Play without a display: a driver plays, and what it saw becomes a video and a contact sheet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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
    fps: float  # frames made per second of the model's time
    dataset: Path | None = None


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
    """
    place = recording_place(folder, session.spec.game)
    session.hand_over()
    rate = fps or session.spec.frame_fps
    if recorder is not None:
        recorder.toggle(None)
    video = place.with_suffix(".mp4")
    steps, picked, made = Meter(10**6), [], 0
    wanted = set(
        np.linspace(0, frames - 1, min(frames, COLUMNS * ROWS)).round().astype(int).tolist()
    )
    with Movie(video, rate) as movie:
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
    if recorder is not None:
        recorder.close()
    sheet = place.with_suffix(".png")
    cv2.imwrite(str(sheet), contact_sheet(picked)[..., ::-1])
    return Outcome(
        video=video,
        sheet=sheet,
        frames=made,
        driver=session.driver,
        steps=steps,
        fps=session.spec.k / max(steps.seconds(50), 1e-9),
        dataset=recorder.saved[-1] if recorder is not None and recorder.saved else None,
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
        self._container = av.open(str(path), "w")
        self._stream = self._container.add_stream("libx264", rate=round(fps))
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = {"crf": "17", "preset": "veryfast"}
        self._size: tuple[int, int] | None = None

    def __enter__(self) -> Movie:
        return self

    def __exit__(self, *problem) -> None:
        if self._size is not None:
            self._container.mux(self._stream.encode(None))
        self._container.close()

    def add(self, frame: np.ndarray) -> None:
        """Append one RGB frame, uint8 [H, W, 3]."""
        if self._size is None:
            self._size = even_size(frame)
            self._stream.width, self._stream.height = self._size
        large = enlarge(frame, self._size)
        self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(large, format="rgb24")))


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
        "script": "There is no policy here, so a script of key presses drove",
    }[outcome.driver]
    lines = [
        f"{why}. {drove} for {seconds:.1f} s ({outcome.frames} frames); "
        f"step {outcome.steps.text()} (median / p99), {outcome.fps:.0f} frames/s.",
        f"  video          {outcome.video}",
        f"  contact sheet  {outcome.sheet}",
    ]
    if outcome.dataset is not None:
        lines.append(f"  dataset        {outcome.dataset}")
    lines.append(
        "For a window, run it where there is a display: on a desktop, over 'ssh -X', "
        "or under 'xvfb-run' with a VNC viewer."
    )
    return "\n".join(lines)
