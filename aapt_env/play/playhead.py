"""When each frame is shown: latents in, one frame at a time out, in order, none dropped."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from aapt_env.play.session import Latent

HOLD = 1.2  # seconds the last frame of an episode stands before the next one begins


class Meter:
    """The last `size` durations, and their percentiles in milliseconds."""

    def __init__(self, size: int = 240):
        self._seconds: deque[float] = deque(maxlen=size)

    def add(self, seconds: float) -> None:
        """Remember one duration."""
        self._seconds.append(seconds)

    def __len__(self) -> int:
        return len(self._seconds)

    def seconds(self, percent: float, last: int | None = None) -> float:
        """A percentile of the last durations, 0 when there are none."""
        recent = list(self._seconds)[-last:] if last else list(self._seconds)
        return float(np.percentile(recent, percent)) if recent else 0.0

    def text(self) -> str:
        """'31 / 44 ms': the median and the 99th percentile."""
        if not self._seconds:
            return "-"
        return f"{1e3 * self.seconds(50):.0f} / {1e3 * self.seconds(99):.0f} ms"


class Playhead:
    """Shows the frames of latents at `fps`, and says when the next latent has to be there.

    A world slower than real time plays evenly in slow motion instead of in bursts: the frames of a latent are spread
    over the time one takes to make.
    """

    def __init__(
        self,
        take: Callable[[], Latent | None],
        need: Callable[[float], None],
        fps: float,
    ):
        self._take = take
        self._need = need
        self.fps = fps
        self.latent: Latent | None = None
        self.index = 0  # of the frame on screen, in its latent
        self.shown = 0  # frames since the window opened
        self.late = 0  # latents that were not there in time
        self.next_at = 0.0
        self.paused_at: float | None = None
        self._waiting = False
        self._pace = Meter(8)
        self._times: deque[float] = deque(maxlen=48)

    def advance(self, now: float) -> bool:
        """Move to the next frame if it is due and there; True when the picture changed."""
        if self.paused_at is not None or now < self.next_at:
            return False
        fresh = self.latent is None or self.index + 1 >= len(self.latent.frames)
        if fresh and not self._next_latent():
            return False
        if not fresh:
            self.index += 1
        self._schedule(now, fresh)
        self.shown += 1
        self._times.append(now)
        return True

    def pause(self, now: float) -> None:
        """Stand still on the frame on screen."""
        self.paused_at = now

    def resume(self, now: float) -> None:
        """Go on, as if the pause had not been."""
        if self.paused_at is None:
            return
        self.next_at += now - self.paused_at
        self.paused_at = None
        self._times.clear()
        if self.latent is not None:
            self._need(self.next_at + self._interval() * (len(self.latent.frames) - 1 - self.index))

    def wait(self, now: float) -> float:
        """Seconds until `advance` is worth calling again."""
        if self.paused_at is not None or self._waiting:
            return 0.05
        return min(max(self.next_at - now, 0.0), 0.05)

    def measured_fps(self, now: float) -> float:
        """Frames per second over the last frames shown."""
        recent = [t for t in self._times if now - t < 2.0]
        return (len(recent) - 1) / (recent[-1] - recent[0]) if len(recent) > 1 else 0.0

    def _next_latent(self) -> bool:
        latent = self._take()
        if latent is None:
            self.late += self.latent is not None and not self._waiting
            self._waiting = True
            return False
        self.latent, self.index, self._waiting = latent, 0, False
        if latent.number:
            self._pace.add(latent.seconds)
        return True

    def _interval(self) -> float:
        assert self.latent is not None
        even = 0.0 if self.latent.number == 0 else self._pace.seconds(50) / len(self.latent.frames)
        return max(1 / self.fps, even)

    def _schedule(self, now: float, fresh: bool) -> None:
        assert self.latent is not None
        interval = self._interval()
        start = self.next_at if now - self.next_at < interval else now
        left = len(self.latent.frames) - 1 - self.index
        self.next_at = start + interval + (HOLD if self.latent.over and left == 0 else 0.0)
        if fresh or left == 0:
            self._need(self.next_at + interval * left)
