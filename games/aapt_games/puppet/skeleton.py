"""The skeleton: joints, what a body can do with them, and poses as keypoints in the frame.

A pose is [JOINTS, 3]: x to the right, y up, z towards the viewer. The unit is half of the frame's shorter side, the
origin its middle, so that x and y are where a joint is seen. The ground is seen from a little above, by `TILT`.
"""

from __future__ import annotations

from math import cos, radians, sin

import numpy as np

NAMES = (
    "hips", "chest", "head", "nose",
    "left shoulder", "left elbow", "left hand", "right shoulder", "right elbow", "right hand",
    "left hip", "left knee", "left ankle", "left toe", "right hip", "right knee", "right ankle", "right toe",
)  # fmt: skip
PARENTS = (-1, 0, 1, 2, 1, 4, 5, 1, 7, 8, 0, 10, 11, 12, 0, 14, 15, 16)
JOINTS = len(NAMES)
LIMBS = tuple((PARENTS[j], j) for j in range(1, JOINTS))
HIPS, CHEST, HEAD, NOSE = 0, 1, 2, 3
ARMS = ((4, 5, 6), (7, 8, 9))  # shoulder, elbow, hand
LEGS = ((10, 11, 12, 13), (14, 15, 16, 17))  # hip, knee, ankle, toe
LENGTHS = np.array(
    [0, 0.36, 0.23, 0.13, 0.145, 0.205, 0.205, 0.145, 0.205, 0.205]
    + [0.08, 0.29, 0.29, 0.107, 0.08, 0.29, 0.29, 0.107]
)  # of the limb that ends at each joint, for a body of middle height
TILT = radians(13)
FLOOR = -0.82  # where the ground is seen under hips that stand at z = 0
REACH = 1.25  # times its own length: a limb is never longer
ANCESTRY = np.zeros(
    (JOINTS, JOINTS)
)  # [j, i] 1 where limb i is on the way from the hips to joint j
for _j in range(1, JOINTS):
    ANCESTRY[_j] = ANCESTRY[PARENTS[_j]]
    ANCESTRY[_j, _j] = 1.0
SOLES = np.zeros(JOINTS)  # how far above the ground a joint is when it lies on it
SOLES[[2, 12, 13, 16, 17]] = 0.165, 0.065, 0.045, 0.065, 0.045
SOLES[[0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 15]] = (
    0.1, 0.11, 0.08, 0.08, 0.055, 0.055, 0.08, 0.055, 0.055, 0.09, 0.065, 0.09, 0.065,
)  # fmt: skip
_VIEW = np.array([[1, 0, 0], [0, cos(TILT), -sin(TILT)], [0, sin(TILT), cos(TILT)]])
_BASE = FLOOR / cos(TILT)  # height of the ground in the world


def limbs(pose: np.ndarray) -> np.ndarray:
    """[JOINTS, 3] vector of the limb that ends at each joint; zeros for the hips."""
    bones = pose - pose[np.maximum(PARENTS, 0)]
    bones[0] = 0
    return bones


def lengths_of(pose: np.ndarray) -> np.ndarray:
    """[JOINTS] lengths of a pose's limbs, left and right alike."""
    own = np.linalg.norm(limbs(pose), axis=1)
    for left, right in ((slice(4, 7), slice(7, 10)), (slice(10, 14), slice(14, 18))):
        own[left] = own[right] = (own[left] + own[right]) / 2
    return own


def assemble(hips: np.ndarray, bones: np.ndarray) -> np.ndarray:
    """The pose with these limbs: hips [3], bones [JOINTS, 3]."""
    return hips + ANCESTRY @ bones


def to_frame(world: np.ndarray) -> np.ndarray:
    """Points [..., 3] with y as height over the ground -> as seen in the frame."""
    return (world + (0, _BASE, 0)) @ _VIEW.T


def to_world(seen: np.ndarray) -> np.ndarray:
    """The inverse of `to_frame`."""
    return seen @ _VIEW - (0, _BASE, 0)


def between(a: np.ndarray, b: np.ndarray, place: np.ndarray, t: float) -> np.ndarray:
    """The pose on the way from a to b whose joints are near `place`, with limbs as long as theirs."""
    bones = limbs(place)
    own = np.linalg.norm(bones, axis=1)
    la, lb = np.linalg.norm(limbs(a), axis=1), np.linalg.norm(limbs(b), axis=1)
    wanted = la + (lb - la) * t
    return assemble(place[0], bones * (wanted / np.maximum(own, 1e-6))[:, None])


def turn_x(a: float) -> np.ndarray:
    """Rotation about x: up goes forward."""
    c, s = cos(a), sin(a)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def turn_y(a: float) -> np.ndarray:
    """Rotation about y: forward goes to the right of the frame."""
    c, s = cos(a), sin(a)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def turn_z(a: float) -> np.ndarray:
    """Rotation about z: right goes up."""
    c, s = cos(a), sin(a)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def facing(pose: np.ndarray) -> np.ndarray:
    """Axes of the trunk as rows: to its left, up, forward."""
    left = pose[4] - pose[7] + pose[10] - pose[14]
    up = pose[CHEST] - pose[HIPS]
    up = up / max(np.linalg.norm(up), 1e-6)
    left = left - (left @ up) * up
    left = left / max(np.linalg.norm(left), 1e-6)
    return np.stack([left, up, np.cross(left, up)])
