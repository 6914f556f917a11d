"""Being asked to stop, by Ctrl-C or SIGTERM, where there is something to save first."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Asked:
    """Whether one of SIGNALS has come since; the second one ends the process as it always did.

    Signals that are ignored (as Ctrl-C is under nohup) stay so, and outside of the main thread, where none can be
    heard, nothing changes.
    """

    def __init__(self):
        self.by: str | None = None  # the signal's name
        self.before: dict[int, Any] = {}

    def __enter__(self) -> Asked:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self.before[number] = signal.signal(number, self._hear)
        return self

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.by = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        self._restore()

    def _restore(self) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
        self.before = {}

    def __exit__(self, *error: object) -> None:
        self._restore()
