"""The game as a Gymnasium environment."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from aapt_games.game import Simulator
from aapt_games.puppet import body, figure, limits, places
from aapt_games.puppet.angles import EASE, pose_of
from aapt_games.puppet.shadow import Shadow
from aapt_games.puppet.skeleton import JOINTS, LENGTHS, LIMBS, NAMES, REACH, between
from aapt_games.puppet.solids import Canvas

GLIDE = 4  # frames in which a commanded pose is reached
CARRY = 0.6  # of the mean pace of a glide is left at its end
SIZE = 3 * JOINTS


class PuppetEnv(Simulator):
    """Someone who moves as a pose tells them, in a room, on a stage or outdoors.

    ### Action space
    `Box(-1, 1, (54,))`: the pose to reach within the next four frames, x, y and z of 18 joints: hips, chest, head,
    nose, then shoulder, elbow, hand (left, right), then hip, knee, ankle, toe (left, right). x is to the right, y up,
    z towards the viewer; the unit is half the frame's shorter side and the origin its middle, so x and y say where a
    joint is seen. Left is the figure's own. z may be left at 0: depth is then added from the lengths of the limbs.

    A pose that this body cannot take is answered by the nearest that it can (`limits.hold`): limbs too long are cut,
    knees and elbows stay within their hinges, nothing sinks into the ground; `info["clamped"]` tells. NaN and a wrong
    number of joints raise ValueError.

    ### Observation space
    `Box(0, 255, (height, width, 3), uint8)`, 24 frames per second.

    ### Reward and end
    Always 0.0, and it never ends.

    ### Reset options
    `options={"scene": {"place": ..., "time": ...}}`, each optional; see `scenes`.

    Args:
        height: rows of the frame, 64 to 256.
        width: columns of the frame, 64 to 256.
        render_mode: "rgb_array" or None.
    """

    control_kind = "pose"
    control_names = tuple(f"{joint} {axis}" for joint in NAMES for axis in "xyz")
    control_settings = {
        f"{NAMES[a]} > {NAMES[b]}": round(1.2 * REACH * float(LENGTHS[b]), 4) for a, b in LIMBS
    }  # limbs and the greatest length that any body's has
    control_rest = limits.REST_ROW
    keymap = ()
    scenes = places.SCENES
    driver_entry = "aapt_games.puppet.driver:Driver"
    unseen_entry = "aapt_games.puppet.driver:Unseen"
    hands_entry = "aapt_games.puppet.hands:Hands"
    kept = ("pose", "pace", "origin", "origin_pace", "target", "wanted", "into", "held")

    def __init__(self, height: int = 64, width: int = 64, render_mode: str | None = "rgb_array"):
        super().__init__(height, width, render_mode)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (SIZE,), np.float32)
        self.canvas = Canvas(height, width)

    def _enter(self, seed: int, scene: dict[str, str]) -> None:
        """Draw the person and the place of a seed."""
        rng = np.random.default_rng(seed)
        self.body = body.draw(rng)
        self.backdrop = places.paint(rng, scene, self.height, self.width)
        self.light = places.light(np.random.default_rng(seed + 1), scene, self.backdrop)
        self.shadow = Shadow(self.height, self.width, places.FLOORS[scene["place"]])

    def _start(self, rng: np.random.Generator) -> None:
        """Stand at ease, turned a little, somewhere near the middle."""
        angles = EASE.copy()
        angles[22] = rng.uniform(-35, 35)
        self.pose = pose_of(angles, float(rng.uniform(-0.4, 0.4)), self.body.lengths)
        self.pace = np.zeros_like(self.pose)
        self.origin, self.origin_pace, self.target = self.pose, self.pace, self.pose
        self.wanted = self.pose.astype(np.float32).reshape(-1)
        self.into, self.held = GLIDE, False

    def _control(self, action) -> np.ndarray:
        row = np.array(action, np.float32) if np.shape(action) == (SIZE,) else np.full(1, np.nan)
        if row.shape != (SIZE,) or not (np.abs(row) <= 1).all():
            raise ValueError(
                f"action of shape {np.shape(action)} is outside {self.action_space}: expected a pose, "
                f"x, y and z in -1 to 1 of {JOINTS} joints"
            )
        return row

    def _advance(self, control: np.ndarray) -> tuple[float, bool]:
        """Move for one frame towards the pose that was last commanded."""
        if not np.array_equal(control, self.wanted):
            self.wanted = control
            self.target, self.held = limits.hold(control.reshape(JOINTS, 3), self.body.lengths)
            self._set_out()
        elif self.into >= GLIDE and np.any(self.pace):
            self._set_out()
        self._glide()
        return 0.0, False

    def _set_out(self) -> None:
        """Begin a glide where the figure is, at the pace it has."""
        self.origin, self.origin_pace, self.into = self.pose, self.pace, 0

    def _glide(self) -> None:
        """One frame nearer to the target, on a smooth path that carries its pace along."""
        self.into = min(self.into + 1, GLIDE)
        t, before = self.into / GLIDE, self.pose
        ahead = CARRY * (self.target - self.origin)
        place = (
            (1 + 2 * t) * (1 - t) ** 2 * self.origin
            + t * (1 - t) ** 2 * GLIDE * self.origin_pace
            + t * t * (3 - 2 * t) * self.target
            + t * t * (t - 1) * ahead
        )
        if self.into == GLIDE:
            self.pose, self.pace = self.target, ahead / GLIDE
            return
        self.pose = limits.into_frame(between(self.origin, self.target, place, t), self.body.size)
        self.pace = self.pose - before

    def _draw(self) -> np.ndarray:
        picture = self.backdrop.copy()
        self.shadow.cast(picture, self.pose, self.body.size, self.light)
        self.canvas.begin()
        figure.draw(self.canvas, self.pose, self.body)
        self.canvas.finish(picture, self.light)
        return np.ascontiguousarray((picture * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0))

    def _info(self) -> dict[str, Any]:
        """Exact state as plain numbers."""
        return {
            "frame": self.frame,
            "pose": self.pose.copy(),
            "control": self.wanted.copy(),
            "clamped": self.held,
            "scene": dict(self.scene),
        }
