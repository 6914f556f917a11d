"""The player's own body: a webcam's picture -> poses, by MediaPipe where it is installed."""

from __future__ import annotations

import contextlib
import importlib
from typing import Any

import cv2
import numpy as np

from aapt_games.puppet.angles import size_of, stand
from aapt_games.puppet.bvh import EDGE
from aapt_games.puppet.skeleton import JOINTS, LENGTHS, PARENTS, to_frame

LANDMARKS = {
    4: 11,
    5: 13,
    6: 15,
    7: 12,
    8: 14,
    9: 16,
    10: 23,
    11: 25,
    12: 27,
    13: 31,
    14: 24,
    15: 26,
    16: 28,
    17: 32,
}
SEEN = 0.5  # visibility from which hips and shoulders count
MISSING = (
    "--pose webcam needs MediaPipe, which is not installed; install it with: pip install 'aapt-env[webcam]', "
    "or leave --pose out and play with keys and mouse"
)


class Webcam:
    """Reads one pose at a time.

    Raises:
        ValueError: MediaPipe is not installed, or there is no camera; says what to do.
    """

    def __init__(self, lengths: np.ndarray = LENGTHS, camera: int = 0):
        self.lengths = lengths
        try:
            pose: Any = importlib.import_module("mediapipe.python.solutions.pose")
        except ImportError as error:
            raise ValueError(MISSING) from error
        self.capture = cv2.VideoCapture(camera)
        if not self.capture.isOpened():
            raise ValueError(
                f"--pose webcam: camera {camera} is not there or in use; plug one in, or leave --pose out"
            )
        self.eye = pose.Pose(model_complexity=1)

    def read(self) -> np.ndarray | None:
        """The pose [JOINTS, 3] that the camera sees; None where it sees nobody.

        Raises:
            OSError: the camera is gone.
        """
        there, picture = self.capture.read()
        if not there:
            raise OSError("the camera is gone")
        found = self.eye.process(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
        if found.pose_world_landmarks is None:
            return None
        world = np.array(
            [(p.x, -p.y, -p.z, p.visibility) for p in found.pose_world_landmarks.landmark]
        )
        if world[[11, 12, 23, 24], 3].min() < SEEN:
            return None
        hips = found.pose_landmarks.landmark
        return pose_of_landmarks(world[:, :3], (hips[23].x + hips[24].x) - 1, self.lengths)

    def close(self) -> None:
        """Let the camera go."""
        with contextlib.suppress(Exception):
            self.capture.release()
            self.eye.close()


def pose_of_landmarks(world: np.ndarray, aside: float, lengths: np.ndarray = LENGTHS) -> np.ndarray:
    """33 landmarks [33, 3] in metres, y up, z to the camera -> the pose, as in a mirror.

    Args:
        world: MediaPipe's order.
        aside: where the hips are in the picture, -1 (left) to 1.
        lengths: of the figure's limbs.
    """
    points = np.zeros((JOINTS, 3))
    for ours, theirs in LANDMARKS.items():
        points[ours] = world[theirs]
    points[0], points[1] = (world[23] + world[24]) / 2, (world[11] + world[12]) / 2
    ears = (world[7] + world[8]) / 2
    points[2] = ears
    points[3] = ears + (world[0] - ears)
    points[:, 0] *= -1  # a mirror: the player's left hand moves the hand on the left of the frame
    mirrored = points[[0, 1, 2, 3, 7, 8, 9, 4, 5, 6, 14, 15, 16, 17, 10, 11, 12, 13]]
    limb = mirrored - mirrored[np.maximum(PARENTS, 0)]
    limb /= np.maximum(np.linalg.norm(limb, axis=1, keepdims=True), 1e-6)
    limb[0] = 0
    pose = stand(limb * lengths[:, None], size=size_of(lengths))
    pose[:, 0] += float(np.clip(-aside, -EDGE, EDGE))
    return to_frame(pose)
