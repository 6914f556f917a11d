"""Angles of the joints: the language in which motions are written, its limits, and the way to keypoints."""

from __future__ import annotations

import numpy as np

from aapt_games.puppet.skeleton import (
    JOINTS,
    LENGTHS,
    SOLES,
    assemble,
    to_frame,
    turn_x,
    turn_y,
    turn_z,
)

PARTS = {  # name: (place in the vector, its angles)
    "spine": (0, ("lean", "sway", "twist")),
    "head": (3, ("nod", "turn", "tilt")),
    "arm_l": (6, ("flex", "side", "roll", "elbow")),
    "arm_r": (10, ("flex", "side", "roll", "elbow")),
    "leg_l": (14, ("flex", "side", "knee", "foot")),
    "leg_r": (18, ("flex", "side", "knee", "foot")),
    "whole": (22, ("yaw", "pitch", "roll")),
    "lift": (25, ("height",)),
}
SIZE = 26
BOTH = {"arms": ("arm_l", "arm_r"), "legs": ("leg_l", "leg_r")}
_ARM, _LEG = ((-50, 175), (-15, 165), (-80, 100), (0, 145)), ((-35, 115), (-12, 55), (0, 145), (-30, 45))  # fmt: skip
LIMITS = np.array(
    [(-30, 80), (-30, 30), (-40, 40), (-40, 45), (-65, 65), (-30, 30), *_ARM, *_ARM, *_LEG, *_LEG]
    + [(-1e4, 1e4)] * 3
    + [(0, 0.4)],
    float,
)  # degrees, and units of height for the last


def angles(**parts) -> np.ndarray:
    """[SIZE] degrees out of parts: `angles(arms=(170, 10, 0, 5), spine=(20, 0, 0), lift=0.1)`; the rest is at ease."""
    vector = EASE.copy()
    for name, values in parts.items():
        for each in BOTH.get(name, (name,)):
            start, names = PARTS[each]
            values = np.atleast_1d(values)
            vector[start : start + len(names)] = values
    return vector


EASE = np.zeros(SIZE)
EASE[6:14] = (2, 9, 0, 14) * 2
EASE[14:22] = (2, 4, 4, 0) * 2


def clip(vector: np.ndarray) -> np.ndarray:
    """The nearest angles a body can have."""
    return np.clip(vector, LIMITS[:, 0], LIMITS[:, 1])


def draw(rng: np.random.Generator, boldness: float = 1.0) -> np.ndarray:
    """A random pose within the limits: on average `boldness` of the way from ease to anywhere."""
    low, high = LIMITS[:22].T
    vector = EASE.copy()
    wild = low + (high - low) * rng.beta(1.3, 1.3, 22)
    how = boldness * rng.uniform(0.3, 1.0, 8).repeat((3, 3, 4, 4, 2, 2, 2, 2))
    vector[:22] += (wild - vector[:22]) * np.minimum(how, 1.0)
    vector[14:22] = EASE[14:22] + (vector[14:22] - EASE[14:22]) * rng.choice((0.15, 0.5, 0.9))
    vector[22:25] = rng.normal(0, (50, 6, 6)) * boldness
    return clip(vector)


def bones(vector: np.ndarray, lengths: np.ndarray = LENGTHS) -> np.ndarray:
    """Angles [SIZE] in degrees -> limbs [JOINTS, 3] in the world, y up."""
    a = np.radians(vector)
    body = turn_y(a[22]) @ turn_z(a[24]) @ turn_x(a[23])
    trunk = body @ turn_z(a[1]) @ turn_x(a[0])
    chest = trunk @ turn_y(a[2])
    head = chest @ turn_y(a[4]) @ turn_z(a[5]) @ turn_x(a[3])
    made = np.zeros((JOINTS, 3))
    made[1] = trunk[:, 1]
    made[2] = 0.6 * head[:, 1] + 0.4 * chest[:, 1]
    made[2] /= np.linalg.norm(made[2])
    made[3] = head[:, 2]
    for first, start, side in ((4, 6, 1), (7, 10, -1)):
        made[first] = chest @ (0.985 * side, -0.17, 0)
        flex, out, roll, elbow = a[start : start + 4]
        arm = chest @ turn_x(-flex) @ turn_z(side * out) @ turn_y(side * roll)
        made[first + 1] = -arm[:, 1]
        made[first + 2] = -(arm @ turn_x(-elbow))[:, 1]
    hips = body @ turn_z(0.3 * a[1]) @ turn_x(0.25 * a[0])
    for first, start, side in ((10, 14, 1), (14, 18, -1)):
        made[first] = hips[:, 0] * side
        flex, out, knee, foot = a[start : start + 4]
        leg = body @ turn_x(-flex) @ turn_z(side * out)
        made[first + 1] = -leg[:, 1]
        shin = leg @ turn_x(knee)
        made[first + 2] = -shin[:, 1]
        made[first + 3] = (shin @ turn_x(flex - knee + foot)) @ (0.18 * side, -0.25, 0.95)
    return made * lengths[:, None]


def stand(limb: np.ndarray, lift: float = 0.0, size: float = 1.0) -> np.ndarray:
    """Limbs on the ground: the world pose [JOINTS, 3] whose lowest joint touches it, `lift` above."""
    pose = assemble(np.zeros(3), limb)
    pose[:, 1] += lift - float((pose[:, 1] - SOLES * size).min())
    return pose


def pose_of(vector: np.ndarray, x: float = 0.0, lengths: np.ndarray = LENGTHS) -> np.ndarray:
    """The pose in the frame of a body that stands at x."""
    world = stand(bones(vector, lengths), float(vector[25]), size_of(lengths))
    world[:, 0] += x
    return to_frame(world)


def size_of(lengths: np.ndarray) -> float:
    """How large a body is; 1 for the middle one."""
    return float(lengths[1:].sum() / LENGTHS[1:].sum())
