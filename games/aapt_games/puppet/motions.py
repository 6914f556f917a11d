"""Motions: cycles of walking and running, and clips written as key poses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import cos, pi, sin

import numpy as np

from aapt_games.puppet.angles import EASE, PARTS, SIZE, angles

UPPER = np.zeros(SIZE)  # angles that a clip for arms and head takes over
UPPER[[2, 3, 4, 5, *range(6, 14)]] = 1.0
WHOLE = np.ones(SIZE)


@dataclass(frozen=True, kw_only=True)
class Gait:
    """How someone walks; angles in degrees."""

    stride: float = 26.0  # swing of the legs
    knee: float = 48.0  # lift of the swinging foot
    arms: float = 24.0  # swing of the arms
    elbow: float = 18.0
    lean: float = 3.0
    bounce: float = 0.0  # height of the flight between two steps
    rate: float = 1.05  # steps of one leg per second


WALK = Gait()
RUN = Gait(stride=44, knee=92, arms=46, elbow=82, lean=13, bounce=0.045, rate=1.55)


def mixed(a: Gait, b: Gait, t: float) -> Gait:
    """A gait between two."""
    return Gait(**{name: value + (getattr(b, name) - value) * t for name, value in vars(a).items()})


def cycle(gait: Gait, phase: float) -> np.ndarray:
    """Angles at a phase of the step, in turns: the left leg leads, then the right."""
    legs = []
    for offset in (0.0, 0.5):
        p = 2 * pi * (phase + offset)
        swing, back = max(cos(p), 0.0), max(-sin(p), 0.0)
        flex = gait.stride * sin(p) + 0.12 * gait.knee * swing
        legs.append((flex, 3, 6 + gait.knee * swing**1.3, 26 * back**3 - 14 * max(sin(p), 0) ** 4))
    s = sin(2 * pi * phase)
    arms = [
        (-sign * gait.arms * s + 3, 7, 6, gait.elbow + 0.25 * gait.arms * max(-sign * s, 0))
        for sign in (1, -1)
    ]
    flight = gait.bounce * max(cos(4 * pi * phase), 0.0)
    return angles(
        spine=(gait.lean, 2 * cos(2 * pi * phase), 7 * s * gait.arms / 24), head=(0, -4 * s, 0),
        arm_l=arms[0], arm_r=arms[1], leg_l=legs[0], leg_r=legs[1], lift=flight,
    )  # fmt: skip


def idle(seconds: float, mood: float = 0.0) -> np.ndarray:
    """Standing, breathing, looking about; `mood` shifts where."""
    breath = sin(2 * pi * seconds / 3.1)
    look = sin(0.9 * seconds + 5 * mood) * sin(0.37 * seconds + mood)
    shift = sin(0.5 * seconds + 3 * mood)
    vector = EASE.copy()
    vector[:6] += (1.2 * breath, 2.5 * shift, 3 * look, 2 * breath, 22 * look, 3 * shift)
    vector[[6, 10]] += 2 * breath
    vector[[7, 11]] += 1.5 * breath
    return vector


@dataclass(frozen=True, kw_only=True)
class Clip:
    """Key poses and their times; in between the angles go smoothly."""

    times: Sequence[float]  # seconds, from 0
    keys: Sequence[np.ndarray]  # [SIZE] each
    mask: np.ndarray = field(default_factory=lambda: WHOLE)  # 1 where the clip decides
    loop: bool = False
    side: float = 0.0  # degrees that the body turns to the side, so that the motion shows

    @property
    def seconds(self) -> float:
        """Until the last key."""
        return self.times[-1]

    def at(self, seconds: float) -> np.ndarray:
        """Angles at a time; a loop goes round."""
        if self.loop:
            seconds %= self.seconds
        i = int(np.clip(np.searchsorted(self.times, seconds, "right") - 1, 0, len(self.times) - 2))
        t = (seconds - self.times[i]) / (self.times[i + 1] - self.times[i])
        t = min(max(t, 0.0), 1.0)
        t = t * t * (3 - 2 * t)
        return self.keys[i] + (self.keys[i + 1] - self.keys[i]) * t


def clip(*keys: tuple[float, dict], **options) -> Clip:
    """A clip out of (time, parts) pairs."""
    return Clip(times=[t for t, _ in keys], keys=[angles(**parts) for _, parts in keys], **options)


def mirrored(vector: np.ndarray) -> np.ndarray:
    """The same pose, left for right."""
    made = vector.copy()
    for left, right in (("arm_l", "arm_r"), ("leg_l", "leg_r")):
        a, b = PARTS[left][0], PARTS[right][0]
        made[a : a + 4], made[b : b + 4] = vector[b : b + 4], vector[a : a + 4]
    made[[1, 2, 4, 5, 22, 24]] *= -1
    return made


def other_way(one: Clip) -> Clip:
    """A clip, left for right."""
    keys = [mirrored(key) for key in one.keys]
    mask = mirrored(one.mask)
    return Clip(times=one.times, keys=keys, mask=np.abs(mask), loop=one.loop, side=-one.side)


DOWN, HIGH = dict(legs=(74, 9, 112, 0), spine=(38, 0, 0)), (170, 12, 0, 6)
UP_R = (10, 112, 88)
GUARD = dict(arms=(40, 26, -20, 98))
BENT = dict(
    arm_r=(70, -8, -40, 82), arm_l=(-32, 21, 0, 10), leg_l=(-6, 3, 4, 0), leg_r=(12, 3, 8, 0)
)
SWAY = dict(
    spine=(0, 16, 14), arm_l=(40, 60, 60, 90), arm_r=(20, 50, 60, 95), leg_l=(14, 8, 26, 0), leg_r=(2, 8, 4, 0)
)  # fmt: skip
MIDDLE = dict(spine=(4, 0, 0), arms=(30, 40, 40, 100), legs=(20, 8, 36, 0))
POINT = dict(
    arm_r=(30, 140, 0, 4), arm_l=(0, 30, 60, 95), spine=(0, 12, -16), head=(-12, -26, 0),
    leg_r=(2, 12, 4, 0), leg_l=(16, 14, 34, 20),
)  # fmt: skip
PULL = dict(
    arm_r=(50, 10, -50, 50), arm_l=(0, 30, 60, 95), spine=(10, -10, 22), head=(12, 20, 0), legs=(18, 12, 34, 0)
)  # fmt: skip
ROBOT = dict(arm_l=(0, 88, 90, 88), arm_r=(0, 88, -60, 88), head=(0, 30, 0))
STIFF = dict(
    arm_l=(85, 0, 0, 5), arm_r=(0, 20, 0, 90), head=(10, 0, 14), spine=(0, 8, -12), legs=(16, 6, 30, 0)
)  # fmt: skip


def flipped(parts: dict) -> dict:
    """Parts of a key pose, left for right."""
    other = {"arm_l": "arm_r", "arm_r": "arm_l", "leg_l": "leg_r", "leg_r": "leg_l"}
    signs = {"spine": (1, -1, -1), "head": (1, -1, -1), "whole": (-1, 1, -1)}
    return {
        other.get(name, name): tuple(v * s for v, s in zip(values, signs[name], strict=True))
        if name in signs
        else values
        for name, values in parts.items()
    }


CLIPS = {
    "wave": clip(
        (0.0, {}), (0.35, dict(arm_r=(*UP_R, 50), head=(-4, -8, -6), spine=(0, 4, 0))),
        (0.6, dict(arm_r=(*UP_R, 95), head=(-4, -8, -7), spine=(0, 5, 0))),
        (0.85, dict(arm_r=(*UP_R, 35), head=(-4, -8, -7), spine=(0, 4, 0))),
        (1.1, dict(arm_r=(*UP_R, 95), head=(-4, -8, -8), spine=(0, 5, 0))),
        (1.35, dict(arm_r=(*UP_R, 35), head=(-4, -8, -7), spine=(0, 4, 0))),
        (1.6, dict(arm_r=(*UP_R, 90), head=(-4, -8, -7), spine=(0, 4, 0))), (2.0, {}), mask=UPPER,
    ),
    "jump": clip(
        (0.0, {}), (0.28, dict(arms=(-40, 16, 0, 12), **DOWN)),
        (0.44, dict(arms=HIGH, legs=(-4, 6, 4, 30), lift=0.03)),
        (0.66, dict(arms=HIGH, legs=(22, 12, 42, 30), lift=0.24)),
        (0.88, dict(arms=(110, 50, 20, 15), legs=(14, 10, 20, 12), lift=0.03)),
        (1.04, dict(arms=(40, 24, 0, 20), legs=(58, 10, 92, 0), spine=(28, 0, 0))), (1.4, {}),
    ),
    "crouch": clip(
        (0.0, {}), (0.45, dict(arms=(48, 10, -10, 62), legs=(98, 14, 138, 6), spine=(34, 0, 0))),
        (1.0, dict(arms=(46, 12, -10, 66), legs=(98, 14, 138, 6), spine=(32, 4, 0), head=(-20, 20, 0))),
        (1.6, dict(arms=(46, 12, -10, 66), legs=(98, 14, 138, 6), spine=(32, -4, 0), head=(-20, -20, 0))),
        (2.1, {}), side=25,
    ),
    "fall": clip(
        (0.0, {}), (0.25, dict(arms=(70, 60, 0, 40), spine=(-14, 6, 0), head=(-14, 0, 0), leg_l=(30, 6, 30, 0))),
        (0.55, dict(arms=(80, 50, 0, 30), legs=(66, 8, 84, 0), whole=(0, -38, 0), spine=(20, 0, 0))),
        (0.85, dict(arms=(20, 62, 0, 25), legs=(38, 10, 44, 10), whole=(0, -84, 0), head=(14, 0, 0))),
        (1.9, dict(arms=(14, 58, 0, 30), legs=(28, 9, 52, 20), whole=(0, -88, 0), head=(8, 20, 0))),
        (2.5, dict(arms=(-30, 18, 0, 30), legs=(88, 10, 80, 10), whole=(0, -52, 0), spine=(58, 0, 0))),
        (3.1, dict(arms=(40, 14, 0, 30), legs=(108, 10, 140, 8), whole=(0, -4, 0), spine=(48, 0, 0))),
        (3.8, {}), side=62,
    ),
    "cartwheel": clip(
        (0.0, {}), (0.3, dict(arms=(160, 20, 0, 4), leg_l=(28, 16, 10, 20), leg_r=(0, 8, 4, 0))),
        (0.55, dict(arms=(165, 25, 0, 2), legs=(0, 42, 4, 30), whole=(0, 0, -70))),
        (0.85, dict(arms=(168, 28, 0, 2), legs=(0, 50, 2, 40), whole=(0, 0, -180))),
        (1.15, dict(arms=(165, 25, 0, 2), legs=(0, 42, 4, 30), whole=(0, 0, -290))),
        (1.4, dict(arms=(120, 50, 0, 10), legs=(6, 16, 12, 10), whole=(0, 0, -360))),
        (1.8, dict(whole=(0, 0, -360))),
    ),
    "kick": clip(
        (0.0, {}), (0.3, dict(GUARD, leg_r=(-30, 4, 60, 20), leg_l=(6, 4, 12, 0), spine=(6, 0, 12))),
        (0.55, dict(arms=(30, 44, -20, 80), leg_r=(106, 6, 6, 24), leg_l=(-4, 4, 8, 0), spine=(-20, 0, -14))),
        (0.85, dict(GUARD, leg_r=(60, 6, 80, 20))), (1.2, {}), side=50,
    ),
    "clap": clip(
        (0.0, {}), *((0.3 + 0.28 * i, dict(arms=(60, (-4, 26)[i % 2], -30, 70), spine=(0, (3, -3)[i % 2], 0)))
                     for i in range(8)), (2.7, {}), mask=UPPER,
    ),
    "bow": clip(
        (0.0, {}), (0.5, dict(BENT, spine=(64, 0, 0), head=(26, 0, 0))),
        (1.1, dict(BENT, spine=(66, 0, 0), head=(30, 0, 0))), (1.7, {}), side=35,
    ),
    "jacks": clip(
        (0.0, {}), (0.3, dict(arms=(5, 155, 20, 12), legs=(2, 26, 6, 10), lift=0.05)),
        (0.45, dict(arms=(5, 160, 20, 12), legs=(8, 28, 14, 0))),
        (0.6, dict(arms=(5, 90, 20, 12), legs=(2, 14, 6, 10), lift=0.05)),
        (0.9, dict(arms=(2, 9, 0, 12), legs=(14, 4, 26, 0))), loop=True,
    ),
    "sway": clip(
        (0.0, SWAY), (0.5, MIDDLE), (1.0, flipped(SWAY)), (1.5, MIDDLE), (2.0, SWAY), loop=True,
    ),
    "disco": clip((0.0, POINT), (0.5, PULL), (1.0, POINT), loop=True),
    "robot": clip(
        (0.0, ROBOT), (0.2, flipped(ROBOT)), (0.6, flipped(ROBOT)), (0.8, STIFF), (1.2, STIFF), (1.4, ROBOT),
        (1.6, ROBOT), loop=True,
    ),
    "twirl": clip(
        (0.0, dict(arms=(10, 80, 30, 30))),
        (0.5, dict(arms=(10, 95, 40, 20), whole=(180, 0, 0), leg_l=(30, 20, 70, 30))),
        (1.0, dict(arms=(10, 80, 30, 30), whole=(360, 0, 0))), (1.4, dict(whole=(360, 0, 0), spine=(14, 0, 0))),
    ),
    "flex": clip(
        (0.0, {}), (0.4, dict(arms=(0, 92, 86, 110), spine=(-6, 0, 0), legs=(4, 12, 6, 0), head=(0, 24, 0))),
        (1.0, dict(arms=(0, 96, 88, 122), spine=(-8, 6, 0), legs=(4, 12, 6, 0), head=(0, -24, 0))),
        (1.5, dict(arms=(0, 92, 86, 110), spine=(-6, 0, 0), legs=(4, 12, 6, 0))), (1.9, {}),
    ),
}  # fmt: skip
DANCES = ("sway", "disco", "robot")
UNSEEN = (
    "kick",
    "jacks",
)  # never recorded: what a world makes of them shows how far it generalises
