"""The game as a Gymnasium environment."""

from __future__ import annotations

import copy
from typing import Any

import gymnasium
import numpy as np

from aapt_games.puppet import body, figure, limits, places
from aapt_games.puppet.angles import EASE, pose_of
from aapt_games.puppet.shadow import Shadow
from aapt_games.puppet.skeleton import JOINTS, LENGTHS, LIMBS, NAMES, REACH, between
from aapt_games.puppet.solids import Canvas

SMALLEST, LARGEST = 64, 256  # pixels
GLIDE = 4  # frames in which a commanded pose is reached
CARRY = 0.6  # of the mean pace of a glide is left at its end
SIZE = 3 * JOINTS
KEPT = ("pose", "pace", "origin", "origin_pace", "target", "wanted", "into", "frame", "held")


class PuppetEnv(gymnasium.Env):
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

    metadata = {"render_modes": ["rgb_array"], "render_fps": 24}
    control_kind = "pose"
    control_names = tuple(f"{joint} {axis}" for joint in NAMES for axis in "xyz")
    control_settings = {
        f"{NAMES[a]} > {NAMES[b]}": round(1.2 * REACH * float(LENGTHS[b]), 4) for a, b in LIMBS
    }  # limbs and the greatest length that any body's has
    control_rest = limits.REST_ROW
    keymap = ()
    scenes = places.SCENES
    driver_entry = "aapt_games.puppet.driver:Driver"
    hands_entry = "aapt_games.puppet.hands:Hands"

    def __init__(self, height: int = 64, width: int = 64, render_mode: str | None = "rgb_array"):
        if not (SMALLEST <= height <= LARGEST and SMALLEST <= width <= LARGEST):
            raise ValueError(
                f"height and width must be {SMALLEST} to {LARGEST} pixels, got {height} x {width}"
            )
        self.height, self.width, self.render_mode = height, width, render_mode
        self.observation_space = gymnasium.spaces.Box(0, 255, (height, width, 3), np.uint8)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (SIZE,), np.float32)
        self.canvas = Canvas(height, width)
        self.image: np.ndarray | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Someone new, somewhere new; see Gymnasium."""
        super().reset(seed=seed)
        wanted = _scene_of(options or {})
        rng = self.np_random
        self._enter(int(rng.integers(2**62)), places.draw(rng) | wanted)
        angles = EASE.copy()
        angles[22] = rng.uniform(-35, 35)
        self.pose = pose_of(angles, float(rng.uniform(-0.4, 0.4)), self.body.lengths)
        self.pace = np.zeros_like(self.pose)
        self.origin, self.origin_pace, self.target = self.pose, self.pace, self.pose
        self.wanted = self.pose.astype(np.float32).reshape(-1)
        self.into, self.frame, self.held = GLIDE, 0, False
        return self._observe(), self._info()

    def _enter(self, seed: int, scene: dict[str, str]) -> None:
        """Draw the person and the place of a seed."""
        rng = np.random.default_rng(seed)
        self.seed, self.scene = seed, {name: scene[name] for name in places.SCENES}
        self.body = body.draw(rng)
        self.backdrop = places.paint(rng, self.scene, self.height, self.width)
        self.light = places.light(np.random.default_rng(seed + 1), self.scene, self.backdrop)
        self.shadow = Shadow(self.height, self.width, places.FLOORS[self.scene["place"]])

    def step(self, action):
        """Advance 1/24 s; see Gymnasium."""
        if self.image is None:
            raise gymnasium.error.ResetNeeded("call reset() before step()")
        row = np.asarray(action, np.float32) if np.shape(action) == (SIZE,) else np.full(1, np.nan)
        if row.shape != (SIZE,) or not (np.abs(row) <= 1).all():
            raise ValueError(
                f"action of shape {np.shape(action)} is outside {self.action_space}: expected a pose, "
                f"x, y and z in -1 to 1 of {JOINTS} joints"
            )
        if not np.array_equal(row, self.wanted):
            self.wanted = row.copy()
            self.target, self.held = limits.hold(row.reshape(JOINTS, 3), self.body.lengths)
            self.origin, self.origin_pace, self.into = self.pose, self.pace, 0
        elif self.into >= GLIDE and np.any(self.pace):
            self.origin, self.origin_pace, self.into = self.pose, self.pace, 0
        self._glide()
        self.frame += 1
        return self._observe(), 0.0, False, False, self._info()

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

    def _observe(self) -> np.ndarray:
        picture = self.backdrop.copy()
        self.shadow.cast(picture, self.pose, self.body.size, self.light)
        self.canvas.begin()
        figure.draw(self.canvas, self.pose, self.body)
        self.canvas.finish(picture, self.light)
        self.image = np.ascontiguousarray((picture * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0))
        return self.image.copy()

    def _info(self) -> dict[str, Any]:
        """Exact state as plain numbers."""
        return {
            "frame": self.frame,
            "pose": self.pose.copy(),
            "control": self.wanted.copy(),
            "clamped": self.held,
            "scene": dict(self.scene),
        }

    def render(self) -> np.ndarray | None:
        """The current frame, [H, W, 3] uint8."""
        return None if self.render_mode is None or self.image is None else self.image.copy()

    def clone_state(self, include_rng: bool = True) -> dict[str, Any]:
        """Everything that decides the future, small and picklable."""
        state = {name: copy.copy(getattr(self, name)) for name in KEPT}
        state |= {"place": (self.seed, dict(self.scene))}
        if include_rng:
            state["rng"] = copy.deepcopy(self.np_random.bit_generator.state)
        return state

    def restore_state(self, state: dict[str, Any]) -> None:
        """Continue from a state of `clone_state`, of this or another instance."""
        seed, scene = state["place"]
        if self.image is None or (self.seed, self.scene) != (seed, scene):
            self._enter(seed, scene)
        for name in KEPT:
            setattr(self, name, copy.copy(state[name]))
        if "rng" in state:
            self.np_random.bit_generator.state = copy.deepcopy(state["rng"])
        self._observe()


def _scene_of(options: dict[str, Any]) -> dict[str, str]:
    """The scene that reset's options fix. Raises ValueError for an option or a scene that there is not."""
    wanted = options.get("scene") or {}
    unknown = sorted(set(options) - {"scene"})
    if unknown or not isinstance(wanted, dict):
        got = f"{unknown} unknown" if unknown else f"scene {wanted!r}"
        raise ValueError(f"reset options: {got}; expected {{'scene': {{attribute: value}}}}")
    places.check(wanted)
    return dict(wanted)
