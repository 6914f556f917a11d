"""Which bars show a control: one per element, and one for a left and a right that belong together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aapt_env.play import paint
from aapt_env.play.inputs import other_keys, roles_of
from aapt_env.spec import ControlSpec

MOST = 4  # bars in the strip


@dataclass(frozen=True, kw_only=True)
class Gauge:
    """One bar."""

    name: str
    plus: int  # element of the control that fills it to the right
    minus: int | None = None  # element that fills it to the left
    centred: bool = False

    def value(self, row: np.ndarray) -> float:
        """How far the control pushes, -1 to 1."""
        return float(row[self.plus] - (0.0 if self.minus is None else row[self.minus]))

    def color(self, value: float) -> paint.Color:
        """Red for brakes, green for throttles."""
        if "brake" in self.name or ("pedal" in self.name and value < 0):
            return paint.STOP
        return paint.GO if self.name in ("throttle", "gas", "pedal", "pedals") else paint.ACCENT


def gauges_of(control: ControlSpec) -> list[Gauge]:
    """The bars of a control, at most four; a Discrete one shows its action's name instead."""
    if control.space == "Discrete":
        return []
    names = control.names or tuple(f"control {i}" for i in range(control.size))
    if control.space == "Box":
        down = {b.index for b in control.keymap if b.value < 0}
        both = down if control.keymap else set(range(control.size))
        bars = [Gauge(name=n, plus=i, centred=i in both) for i, n in enumerate(names)]
        return bars[:MOST]
    keys = {b.keys[0]: b.index for b in control.keymap if len(b.keys) == 1}
    roles = {role: keys[names[0]] for role, names in roles_of(control).items() if names[0] in keys}
    left, right = roles.get("left"), roles.get("right")
    if other_keys(control):
        return []  # the keycaps tell it all
    bars = [Gauge(name=n, plus=i) for i, n in enumerate(names) if i not in (left, right)]
    if left is not None and right is not None:
        bars.insert(0, Gauge(name="steer", plus=right, minus=left, centred=True))
    return bars[:MOST]
