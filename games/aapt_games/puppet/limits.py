"""What a body can do: any keypoints -> the nearest pose that it can take, and hands and feet that reach."""

from __future__ import annotations

from math import cos, radians, sqrt

import numpy as np

from aapt_games.puppet.angles import EASE, bones, pose_of, size_of
from aapt_games.puppet.skeleton import (
    ARMS,
    HEAD,
    HIPS,
    JOINTS,
    LEGS,
    NOSE,
    SOLES,
    assemble,
    facing,
    limbs,
    to_frame,
    to_world,
)

SLACK = 0.12  # share of its length that a limb may seem shorter or longer
NOTICED = 0.03  # units by which a joint may be moved without being told
BENT = cos(radians(152))  # as far as elbows and knees go
STRAIGHT = 0.2  # sine of the angle by which a knee may bend the wrong way
_REST = bones(EASE)


def hold(pose: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, bool]:
    """The nearest pose that a body can take.

    What lies in the picture is kept where it can be: a limb that is too short gets depth, one that is too long is
    shortened; knees and elbows stay within their hinges, the head looks forward, nothing sinks into the ground or
    leaves the frame.

    Args:
        pose: [JOINTS, 3] finite keypoints.
        lengths: [JOINTS] of the body's limbs.

    Returns:
        The pose, and whether a joint was moved by more than `NOTICED`.
    """
    wanted = np.asarray(pose, float).reshape(JOINTS, 3)
    limb = _sized(limbs(wanted), lengths)
    hips = np.clip(wanted[HIPS], (-0.9, -0.9, -0.4), (0.9, 0.9, 0.4))
    axes = facing(assemble(hips, limb))
    for knee in LEGS:
        _hinge(limb, knee[1], knee[2], axes[0])
    for elbow in ARMS:
        _hinge(limb, elbow[1], elbow[2], None)
    _lean(limb, HEAD, axes[1], 0.3)
    _lean(limb, NOSE, axes[2], -0.25)
    held = into_frame(assemble(hips, limb), size_of(lengths))
    return held, bool(np.abs(held[:, :2] - wanted[:, :2]).max() > NOTICED)


def _sized(limb: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Limbs of about the body's own lengths: depth is added first, then they are cut."""
    limb = limb.copy()
    for j in range(1, JOINTS):
        own = lengths[j]
        low, high = (1 - SLACK) * own, (1 + SLACK) * own
        flat = float(np.hypot(limb[j, 0], limb[j, 1]))
        length = sqrt(flat * flat + limb[j, 2] ** 2)
        if length < 0.02 * own:
            limb[j] = _REST[j] * (own / max(float(np.linalg.norm(_REST[j])), 1e-6))
        elif length < low:
            deep = sqrt(low * low - flat * flat)
            limb[j, 2] = -deep if limb[j, 2] < 0 else deep
        elif length > high:
            limb[j] *= high / length
    return limb


def _hinge(limb: np.ndarray, upper: int, lower: int, left: np.ndarray | None) -> None:
    """Keep an elbow (no axis) or a knee (its axis is the trunk's left) within its range, in place."""
    along = limb[upper] / np.linalg.norm(limb[upper])
    length = np.linalg.norm(limb[lower])
    way = limb[lower] / length
    if left is not None:
        back = np.cross(left, along)
        size = float(np.linalg.norm(back))
        if size > 0.3:
            back /= size
            wrong = -STRAIGHT - float(way @ back)
            if wrong > 0:
                way = way + wrong * back
                way /= np.linalg.norm(way)
    folded = BENT - float(way @ along)
    if folded > 0:
        way = way + folded * along
        way /= np.linalg.norm(way)
    limb[lower] = way * length


def _lean(limb: np.ndarray, joint: int, axis: np.ndarray, least: float) -> None:
    """Keep the cosine of a limb with an axis above a bound, in place."""
    length = np.linalg.norm(limb[joint])
    way = limb[joint] / length
    short = least - float(way @ axis)
    if short > 0:
        way = way + (short + 1e-3) * axis
        limb[joint] = way / np.linalg.norm(way) * length


def into_frame(pose: np.ndarray, size: float) -> np.ndarray:
    """The pose lifted out of the ground and moved into the frame."""
    sunk = float((to_world(pose)[:, 1] - SOLES * size).min())
    if sunk < 0:
        world = to_world(pose)
        world[:, 1] -= sunk
        pose = to_frame(world)
    low, high = pose[:, 0].min(), pose[:, 0].max()
    aside = min(max(-0.98 - low, 0.0), 0.98 - high) if low < -0.98 else min(0.0, 0.98 - high)
    down = min(0.0, 0.99 - float(pose[:, 1].max()))
    if aside or down:
        pose = pose + (aside, down, 0)
    return np.clip(pose, -1, 1)


def reach(pose: np.ndarray, chain: tuple[int, int, int], target: np.ndarray, share: float = 1.0):
    """Inverse kinematics of two limbs: the pose whose hand (or ankle) is at a point of the frame.

    Args:
        pose: [JOINTS, 3].
        chain: shoulder, elbow, hand; or hip, knee, ankle.
        target: [2] x and y; out of reach, the limb points there.
        share: 0 to 1 of the way.
    """
    root, middle, end = chain
    a, b = (float(np.linalg.norm(pose[j] - pose[i])) for i, j in ((root, middle), (middle, end)))
    goal = np.append(np.asarray(target, float)[:2], pose[end, 2])
    goal = pose[end] + (goal - pose[end]) * share
    way = goal - pose[root]
    far = float(np.linalg.norm(way))
    reached = min(max(far, abs(a - b) + 0.02), 0.999 * (a + b))
    way = way / max(far, 1e-6)
    bend = pose[middle] - pose[root]
    bend = bend - (bend @ way) * way
    size = float(np.linalg.norm(bend))
    if size < 1e-3:
        bend = np.cross(way, (1.0, 0.0, 0.0)) + (0, 0, 1e-3)
        size = float(np.linalg.norm(bend))
    along = (a * a - b * b + reached * reached) / (2 * reached)
    off = sqrt(max(a * a - along * along, 0.0))
    made = pose.copy()
    made[middle] = pose[root] + along * way + off * bend / size
    made[end] = pose[root] + reached * way
    for toe in range(JOINTS):  # what hangs on it moves along
        if (end, toe) in ((12, 13), (16, 17)):
            made[toe] = made[end] + pose[toe] - pose[end]
    return made


REST = pose_of(EASE)
REST_ROW = tuple(float(v) for v in REST.astype(np.float32).reshape(-1))
