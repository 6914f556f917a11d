"""What a stage of training is to the loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from aapt_env.train.alarms import Alarm
from aapt_env.train.dice import Dice

Losses = Iterator[tuple[Tensor, dict[str, Any]]]


@dataclass
class Turn:
    """Whose turn it is: `modules` learn from `losses(batch, dice)`, all other modules of the stage stand still."""

    name: str
    modules: tuple[nn.Module, ...]
    optimizer: torch.optim.Optimizer
    losses: Callable[[Any, Dice], Losses]  # one loss, or one per segment of a long video
    clip: float | None = 1.0  # gradient norm, None for no clipping
    pace: Callable[[], float] | None = None  # a factor to the learning rate, asked at each turn


@dataclass(kw_only=True)
class Stage:
    """What a stage is to the loop. Subclasses fill `modules` and `turns`; losses depend on models, batch and dice."""

    name: str
    modules: dict[str, nn.Module] = field(default_factory=dict)  # all that is saved
    turns: list[Turn] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)

    def batch(self, dice: Dice) -> Any:
        """The step's data, on the device."""
        raise NotImplementedError

    def recordable(self, batch: Any) -> bool:
        """Whether the turns do the same work on every batch of the same shapes: it can then be recorded, on a GPU.

        So they must not look at a number on the device, nor draw with `dice.pick`.
        """
        return False

    def after(self, step: int) -> None:
        """After the turns: averages of weights."""

    def finish(self) -> None:
        """Once, after the last step."""

    def picture(self) -> np.ndarray | None:
        """A contact sheet, [H, W, 3] uint8 RGB."""
        return None

    def exam(self) -> dict[str, float]:
        """Further metrics, measured as often as pictures are drawn."""
        return {}
