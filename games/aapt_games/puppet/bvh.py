"""BVH motion capture files -> poses of the figure."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from aapt_games.puppet.skeleton import (
    JOINTS,
    LENGTHS,
    PARENTS,
    SOLES,
    assemble,
    to_frame,
    turn_x,
    turn_y,
    turn_z,
)

EDGE = 0.6  # where the hips may go, from the middle
USUAL = {  # our joint: names that files give it, lower case without separators
    0: ("hips", "hip", "pelvis", "root"),
    1: ("neck", "neck1", "lowerneck", "spine3", "chest2", "upperchest", "chest", "spine2"),
    2: ("head", "headtop", "skull"),
    4: ("leftarm", "lshoulder", "leftshoulder", "lhumerus", "lshldr", "leftuparm"),
    5: ("leftforearm", "lelbow", "leftelbow", "lradius", "lforearm", "leftlowarm"),
    6: ("lefthand", "lwrist", "leftwrist", "lhand"),
    10: ("leftupleg", "lhip", "lefthip", "lfemur", "lthigh", "leftthigh"),
    11: ("leftleg", "lknee", "leftknee", "ltibia", "lshin", "leftshin"),
    12: ("leftfoot", "lankle", "leftankle", "lfoot"),
    13: ("lefttoebase", "lefttoe", "ltoes", "ltoe", "lefttoes"),
}
for _ours in (4, 5, 6):
    USUAL[_ours + 3] = tuple(
        n.replace("left", "right") if "left" in n else "r" + n[1:] for n in USUAL[_ours]
    )
for _ours in (10, 11, 12, 13):
    USUAL[_ours + 4] = tuple(
        n.replace("left", "right") if "left" in n else "r" + n[1:] for n in USUAL[_ours]
    )
NEEDED = (0, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16)


@dataclass
class Joint:
    """One joint of a file."""

    name: str
    parent: int
    offset: np.ndarray = field(default_factory=lambda: np.zeros(3))
    channels: list[str] = field(default_factory=list)


def read(path: Path) -> tuple[np.ndarray, float]:
    """Poses [T, JOINTS, 3] of the middle body, and their number per second.

    Raises:
        ValueError: no BVH, or joints that are needed are not found by their names; says which.
    """
    joints, motion, seconds = parse(path.read_text(encoding="utf-8", errors="replace"))
    places = positions(joints, motion)
    return retarget(ours(joints, places)), 1 / seconds


def parse(text: str) -> tuple[list[Joint], np.ndarray, float]:
    """Joints, channel values [T, channels], seconds per pose."""
    head, found, tail = text.partition("MOTION")
    words = head.split()
    if words[:1] != ["HIERARCHY"] or not found:
        raise ValueError("no BVH: expected HIERARCHY and MOTION")
    joints: list[Joint] = []
    open_: list[int] = []
    i = 1
    while i < len(words):
        word = words[i]
        if word in ("ROOT", "JOINT", "End"):
            joints.append(Joint(words[i + 1], open_[-1] if open_ else -1))
            i += 2
        elif word == "{":
            open_.append(len(joints) - 1)
            i += 1
        elif word == "}":
            open_.pop()
            i += 1
        elif word == "OFFSET":
            joints[-1].offset = np.array([float(v) for v in words[i + 1 : i + 4]])
            i += 4
        elif word == "CHANNELS":
            count = int(words[i + 1])
            joints[-1].channels = words[i + 2 : i + 2 + count]
            i += 2 + count
        else:
            raise ValueError(f"no BVH: {word!r} in the hierarchy")
    rows = tail.split()
    if rows[:1] != ["Frames:"] or rows[2:4] != ["Frame", "Time:"]:
        raise ValueError("no BVH: expected 'Frames: N' and 'Frame Time: SECONDS'")
    count, seconds, width = int(rows[1]), float(rows[4]), sum(len(j.channels) for j in joints)
    if len(rows) - 5 != count * width or count < 1 or not seconds > 0:
        raise ValueError(f"{len(rows) - 5} numbers of motion; expected {count} poses of {width}")
    return joints, np.array([float(v) for v in rows[5:]]).reshape(count, width), seconds


def positions(joints: list[Joint], motion: np.ndarray) -> np.ndarray:
    """[T, joints, 3] where each joint is."""
    turns = {"X": turn_x, "Y": turn_y, "Z": turn_z}
    made = np.zeros((len(motion), len(joints), 3))
    for t, row in enumerate(motion):
        frames: list[np.ndarray] = []
        at = 0
        for j, joint in enumerate(joints):
            turn, shift = np.eye(3), joint.offset.copy()
            for channel in joint.channels:
                value, at = row[at], at + 1
                if channel.endswith("rotation"):
                    turn = turn @ turns[channel[0]](np.radians(value))
                else:
                    shift["XYZ".index(channel[0])] += value
            base = frames[joint.parent] if joint.parent >= 0 else np.eye(3)
            origin = made[t, joint.parent] if joint.parent >= 0 else np.zeros(3)
            made[t, j] = origin + base @ shift
            frames.append(base @ turn)
    return made


def ours(joints: list[Joint], places: np.ndarray) -> np.ndarray:
    """[T, JOINTS, 3] our joints out of a file's."""
    names = ["".join(c for c in j.name.lower().split(":")[-1] if c.isalnum()) for j in joints]
    found = {
        our: next((names.index(n) for n in usual if n in names), None)
        for our, usual in USUAL.items()
    }
    missing = [USUAL[our][0] for our in NEEDED if found[our] is None]
    if missing:
        raise ValueError(f"joints {missing} are not found among {[j.name for j in joints][:40]}")
    made = np.zeros((len(places), JOINTS, 3))
    for our, at in found.items():
        if at is not None:
            made[:, our] = places[:, at]
    across = made[:, 4] - made[:, 7] + made[:, 10] - made[:, 14]
    up = made[:, 2] - made[:, 0]
    forward = np.cross(across, up)
    forward /= np.maximum(np.linalg.norm(forward, axis=1, keepdims=True), 1e-6)
    if found[1] is None:
        made[:, 1] = (made[:, 4] + made[:, 7]) / 2
    made[:, 3] = made[:, 2] + forward
    for toe, ankle in ((13, 12), (17, 16)):
        if found[toe] is None:
            made[:, toe] = made[:, ankle] + forward
    return made


def retarget(points: np.ndarray, lengths: np.ndarray = LENGTHS) -> np.ndarray:
    """Someone else's joints [T, JOINTS, 3], y up -> poses of a body in the frame: same directions, own lengths."""
    limb = points - points[:, np.maximum(PARENTS, 0)]
    limb /= np.maximum(np.linalg.norm(limb, axis=2, keepdims=True), 1e-9)
    limb[:, 0] = 0
    leg = float(np.median(np.linalg.norm(points[:, 11] - points[:, 10], axis=1)))
    scale = lengths[11] / max(leg, 1e-9)
    hips = (points[:, 0] - points[0, 0]) * scale
    made = np.empty_like(points)
    for t, (at, bones) in enumerate(zip(hips, limb * lengths[:, None], strict=True)):
        made[t] = assemble(
            np.array((np.clip(at[0], -EDGE, EDGE), at[1], np.clip(at[2], -0.2, 0.2))), bones
        )
    made[..., 1] -= float(np.quantile((made[..., 1] - SOLES).min(1), 0.1))
    return to_frame(made)
