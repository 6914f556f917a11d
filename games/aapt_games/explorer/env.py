"""The game as a Gymnasium environment."""

from __future__ import annotations

from math import radians
from typing import Any

import gymnasium
import numpy as np

from aapt_games.explorer import scene, world
from aapt_games.explorer.plan import SIZE
from aapt_games.explorer.view import EYE, FOV, View
from aapt_games.explorer.walker import RADIUS, STEEPEST, STRIDE, TURN, Walker
from aapt_games.game import Simulator

STILL = np.zeros(4, np.float32)
HOUSES = {"castle": 73, "villa": 45, "temple": 66, "garden": 61}  # seeds of those that stay
HOUSE = 12  # metres they are wide


def whereabouts(side: int) -> dict[str, Any]:
    """What `info["carried"]` is, in a place so many metres wide, whose outer walls are a metre thick."""
    reach = (side / 2 - 1 - RADIUS) / (side / 4)
    return {
        "kind": "place", "names": ("x", "y", "yaw", "pitch"),
        "middle": (side / 2, side / 2, 0.0, 0.0), "spread": (side / 4, side / 4, 1.0, 0.25),
        "reach": (reach, reach, 4.0, radians(STEEPEST) / 0.25),
    }  # fmt: skip


class ExplorerEnv(Simulator):
    """Walk through the rooms, corridors and courtyards of four houses.

    There is one for each style; the seed says where in it one begins.

    ### Action space
    `Box(-1, 1, (4,), float32)`: forward, strafe (right), yaw (right) and pitch (up), a motion per frame. 1 is 0.06 m or
    2.5 degrees. The control is the command: walls, pillars and the neck (30 degrees up and down) may stop some of it, a
    walker slides along a wall; `info["motion"]` is what came of it, in the same units.

    ### Observation space
    `Box(0, 255, (height, width, 3), uint8)`: what the eyes see, 80 degrees along the longer side, 24 frames per second.

    ### Reward
    1 for each room that is entered for the first time.

    ### Episode end
    Never by itself.

    ### Info
    `pose` [4]: x, y (m), yaw, pitch (rad; yaw 0 looks along +x, more turns right), and as float32 `carried`, which a
    dream can carry along. `command` and `motion` [4] of the last frame. `depth` [H, W] float32: metres along the
    optical axis, about 1000 for the sky. `eye`: metres above the floor. `room`, `kind`, `visited`, `scene`.

    ### Reset options
    `options={"scene": {"style": ..., "time": ...}}`, each optional; see `scenes`.

    Args:
        height: rows of the frame, 64 to 256.
        width: columns of the frame, 64 to 256.
        render_mode: "rgb_array" or None.
    """

    control_kind = "camera"
    control_names = ("forward", "strafe", "yaw", "pitch")
    control_settings = {"metres": STRIDE, "degrees": TURN, "fov": FOV}
    carried = whereabouts(HOUSE)
    keymap = [
        (("w",), 0, 1.0), (("s",), 0, -1.0), (("d",), 1, 1.0), (("a",), 1, -1.0),
        (("right",), 2, 0.8), (("left",), 2, -0.8), (("up",), 3, 0.6), (("down",), 3, -0.6),
    ]  # fmt: skip
    scenes = scene.SCENES
    driver_entry = "aapt_games.explorer.wanderer:Wanderer"
    kept = ("walker", "visited", "command", "motion")

    def __init__(self, height: int = 64, width: int = 64, render_mode: str | None = "rgb_array"):
        super().__init__(height, width, render_mode)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (4,), np.float32)

    def _where(self, seed: int, scene: dict[str, str]) -> int:
        """The style's house, whatever the seed."""
        return HOUSES[scene["style"]]

    def _enter(self, seed: int, scene: dict[str, str]) -> None:
        self.world = world.build(seed, scene, HOUSE if seed in HOUSES.values() else SIZE)
        self.view = View(self.height, self.width, self.world)

    def _start(self, rng: np.random.Generator) -> None:
        """Stand in one of the rooms, looking into it rather than at a wall."""
        x, y = self._spot(rng)
        looks = rng.uniform(-np.pi, np.pi, 4)
        self.walker = Walker(
            x, y, yaw=float(max(looks, key=lambda a: self.world.plan.free(x, y, a)))
        )
        self.visited = {self._room()}
        self.command = self.motion = STILL

    def _spot(self, rng: np.random.Generator) -> tuple[float, float]:
        """A free place in some room, 0.6 m from whatever stands there."""
        cells = np.argwhere(self.world.plan.ceiling > 0)
        posts = self.world.obstacles
        while True:
            y, x = cells[int(rng.integers(len(cells)))] + 0.5
            if (np.hypot(posts[:, 0] - x, posts[:, 1] - y) > posts[:, 2] + 0.6).all():
                return float(x), float(y)

    def _control(self, action) -> np.ndarray:
        try:
            control = np.array(action, np.float32)
        except (TypeError, ValueError):
            raise self._outside(action) from None
        if not self.action_space.contains(control):
            raise self._outside(action)
        return control

    def _advance(self, control: np.ndarray) -> tuple[float, bool]:
        """Walk for one frame; a room that is new pays."""
        self.command = control
        done = self.walker.step(control, self.world.plan, self.world.obstacles)
        self.motion = np.array(done, np.float32)
        known, self.visited = self.visited, self.visited | {self._room()}
        return len(self.visited) - len(known), False

    def _room(self) -> int:
        return int(self.world.plan.room[int(self.walker.y), int(self.walker.x)])

    def _draw(self) -> np.ndarray:
        w = self.walker
        image, self.depth = self.view.render(w.x, w.y, w.yaw, w.pitch)
        return image

    def _info(self) -> dict[str, Any]:
        """Exact state; arrays are copies."""
        w, room = self.walker, self._room()
        pose = np.array([w.x, w.y, w.yaw, w.pitch])
        return {
            "frame": self.frame,
            "pose": pose,
            "carried": pose.astype(np.float32),
            "eye": EYE,
            "command": self.command.copy(),
            "motion": self.motion.copy(),
            "depth": self.depth.copy(),
            "room": room,
            "kind": self.world.plan.rooms[room].kind,
            "visited": len(self.visited),
            "scene": dict(self.scene),
        }


class LabyrinthEnv(ExplorerEnv):
    """Walk through rooms, corridors and courtyards that no one has seen before.

    The explorer's game in a place of its own for every seed, more than six times as large.
    """

    carried = whereabouts(SIZE)

    def _where(self, seed: int, scene: dict[str, str]) -> int:
        return seed + 2**31 if seed in HOUSES.values() else seed
