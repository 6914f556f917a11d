"""The model thread: makes one latent at a time, from the newest input, as late as the step time allows."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable

from aapt_env.play.hands import HandedInputs
from aapt_env.play.inputs import Inputs
from aapt_env.play.playhead import Meter
from aapt_env.play.recorder import Recorder
from aapt_env.play.session import Latent, Session, Setup

log = logging.getLogger(__name__)
MARGIN = 0.006  # seconds kept between the end of a step and the moment its frames are due


class Runner:
    """Owns the session: it is opened, stepped and closed on one thread.

    One latent at most waits to be shown, and none is ever dropped. Wishes ("reset", "new", "policy", "twin",
    "record", "pause", "play") are granted between steps.

    Args:
        open_session: makes the session; called on the model thread, because loading a world takes seconds.
        make_recorder: makes what takes every latent, and starts and stops at the wish "record".
        notify: called on the model thread when there is news (a latent, a message, an error).
    """

    def __init__(
        self,
        open_session: Callable[[], Session],
        make_recorder: Callable[[Setup], Recorder] | None = None,
        notify: Callable[[], None] = lambda: None,
    ):
        self.steps = Meter()  # the model's time per latent
        self.error: Exception | None = None
        self.notify = notify
        self.setup: Setup | None = None  # known once the session is open, as are the next two
        self.inputs: Inputs | None = None
        self.recorder: Recorder | None = None
        self.driver = "you"
        self._open_session = open_session
        self._make_recorder = make_recorder
        self._busy = Meter(32)
        self._wake = threading.Condition()
        self._slot: Latent | None = None
        self._wishes: deque[str] = deque()
        self._messages: deque[str] = deque(maxlen=8)
        self._needed_at = math.inf
        self._paused = False
        self._stopped = False
        self._thread = threading.Thread(target=self._live, name="model", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def ask(self, wish: str) -> None:
        """Ask for something between two steps."""
        with self._wake:
            self._wishes.append(wish)
            self._wake.notify_all()

    def take(self) -> Latent | None:
        """The latent that waits, if one does. Never blocks."""
        with self._wake:
            latent, self._slot = self._slot, None
            if latent is not None:
                self._needed_at = math.inf  # until the window says when
            self._wake.notify_all()
            return latent

    def need(self, when: float) -> None:
        """Say when the next latent has to be there."""
        with self._wake:
            self._needed_at = when
            self._wake.notify_all()

    def message(self) -> str | None:
        """The oldest message to the player that was not shown yet."""
        return self._messages.popleft() if self._messages else None

    def close(self, timeout: float = 60.0) -> bool:
        """Stop the thread after the step it is in; False when that step did not end in time."""
        with self._wake:
            self._stopped = True
            self._wake.notify_all()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _live(self) -> None:
        try:
            session = self._open_session()
            if self._make_recorder is not None:
                self.recorder = self._make_recorder(session.setup)
            hands = session.setup.hands
            self.inputs = HandedInputs(hands) if hands is not None else Inputs(session.spec.control)
            self.setup = session.setup
            try:
                self._play(session)
            finally:
                self._finish(session)
        except Exception as error:
            log.debug("the model thread stopped", exc_info=True)
            self.error = error
        finally:
            self.notify()

    def _finish(self, session: Session) -> None:
        """What was recorded is saved even when the model stopped with an error."""
        try:
            if self.recorder is not None:
                self.recorder.close()
        finally:
            session.close()

    def _play(self, session: Session) -> None:
        self._put(session.reset())
        assert self.inputs is not None
        while wish := self._wait():
            if wish == "step":
                sample = self.inputs.sample()
                if sample.note:
                    self._say(sample.note)
                latent = session.step(sample)
                if session.warm:  # the first step may compile; the pace is that of the others
                    self.steps.add(latent.seconds)
                    self._busy.add(latent.busy)
                self._put(latent)
                if latent.over:
                    self._put(session.reset(session.seed + 1))
            else:
                self._grant(wish, session)

    def _wait(self) -> str:
        """Sleep until there is something to do: a wish, "step", or "" when the thread has to end."""
        with self._wake:
            while not self._stopped:
                if self._wishes:
                    return self._wishes.popleft()
                idle = self._idle(time.perf_counter())
                if idle <= 0:
                    return "step"
                self._wake.wait(idle)
            return ""

    def _idle(self, now: float) -> float:
        """Seconds until the next step should begin."""
        if self._paused or self._slot is not None:
            return 1.0
        return min(self._needed_at - self._busy.seconds(95) - MARGIN - now, 1.0)

    def _grant(self, wish: str, session: Session) -> None:
        if wish == "reset":
            self._put(session.reset())
        elif wish == "new":
            self._put(session.reset(session.seed + 1))
        elif wish == "policy":
            self._say(session.hand_over())
        elif wish == "twin":
            self._say(session.toggle_twin())
            if session.twin is not None and session.far:
                self._put(session.reset())
        elif wish == "record" and self.recorder is not None:
            last = session.last
            self._record(lambda recorder: self._say(recorder.toggle(last)))
        elif wish in ("pause", "play"):
            self._paused = wish == "pause"
        self.driver = session.driver

    def _record(self, do: Callable[[Recorder], None]) -> None:
        """Do something with the recorder; what cannot be written ends the recording, not the play."""
        if self.recorder is None:
            return
        try:
            do(self.recorder)
        except (OSError, ValueError) as error:
            self.recorder.give_up(error)
            self._say("Recording stopped, it cannot be written; the rest is told when you leave")

    def _say(self, message: str) -> None:
        self._messages.append(message)
        self.notify()

    def _put(self, latent: Latent) -> None:
        """Hand a latent to the window, after the one that waits there."""
        self._record(lambda recorder: recorder.add(latent))
        with self._wake:
            while self._slot is not None and not self._stopped:
                self._wake.wait()
            self._slot = latent
        self.notify()
