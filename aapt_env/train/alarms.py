"""Alarms: what a person who watches a training would stop it for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Alarm:
    """Rings when a metric has been out of bounds at `patience` lines of the log in a row, once per excursion.

    Args:
        metric: its name in metrics.jsonl; lines without it are passed over.
        says: what is wrong and what to try.
        below: out of bounds under this value.
        of_best: out of bounds under this share of the best value so far.
        patience: lines.
    """

    metric: str
    says: str
    below: float = float("-inf")
    of_best: float = 0.0
    patience: int = 3
    best: float = field(default=0.0, init=False)
    out: int = field(default=0, init=False)

    def hear(self, metrics: Mapping[str, Any]) -> str | None:
        """Take a line's metrics; the sentence when it rings."""
        if self.metric not in metrics:
            return None
        value = float(metrics[self.metric])
        self.best = max(self.best, value)
        self.out = self.out + 1 if value < max(self.below, self.of_best * self.best) else 0
        if self.out != self.patience:
            return None
        return f"{self.metric} is {value:.3g} for {self.patience} lines of the log: {self.says}"
