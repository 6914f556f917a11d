"""The game as a Gymnasium environment."""

from __future__ import annotations

import copy
from typing import Any

import gymnasium
import numpy as np

from aapt_games.explorer import scene, world
from aapt_games.explorer.view import EYE, FOV, View
from aapt_games.explorer.walker import STRIDE, TURN, Walker

SMALLEST, LARGEST = 64, 256  # pixels
STILL = np.zeros(4, np.float32)


class ExplorerEnv(gymnasium.Env):
    """Walk through rooms, corridors and courtyards that no one has seen before.

    ### Action space
    `Box(-1, 1, (4,), float32)`: forward, strafe (right), yaw (right) and pitch (up), a motion per frame. 1 is 0.12 m or
    6 degrees. The control is the command: walls, pillars and the neck (30 degrees up and down) may stop some of it, a
    walker slides along a wall; `info["motion"]` is what came of it, in the same units.

    ### Observation space
    `Box(0, 255, (height, width, 3), uint8)`: what the eyes see, 80 degrees along the longer side, 24 frames per second.

    ### Reward
    1 for each room that is entered for the first time.

    ### Episode end
    Never by itself.

    ### Info
    `pose` [4]: x, y (m), yaw, pitch (rad; yaw 0 looks along +x, more turns right). `command` and `motion` [4] of the
    last frame. `depth` [H, W] float32: metres along the optical axis, about 1000 for the sky. `eye`: metres above the
    floor. `room`, `kind`, `visited`, `scene`.

    ### Reset options
    `options={"scene": {"style": ..., "time": ...}}`, each optional; see `scenes`.

    Args:
        height: rows of the frame, 64 to 256.
        width: columns of the frame, 64 to 256.
        render_mode: "rgb_array" or None.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 24}
    control_kind = "camera"
    control_names = ("forward", "strafe", "yaw", "pitch")
    control_settings = {"metres": STRIDE, "degrees": TURN, "fov": FOV}
    keymap = [
        (("w",), 0, 1.0), (("s",), 0, -1.0), (("d",), 1, 1.0), (("a",), 1, -1.0),
        (("right",), 2, 0.5), (("left",), 2, -0.5), (("up",), 3, 0.4), (("down",), 3, -0.4),
    ]  # fmt: skip
    scenes = scene.SCENES
    driver_entry = "aapt_games.explorer.wanderer:Wanderer"

    def __init__(self, height: int = 64, width: int = 64, render_mode: str | None = "rgb_array"):
        if not (SMALLEST <= height <= LARGEST and SMALLEST <= width <= LARGEST):
            raise ValueError(
                f"height and width must be {SMALLEST} to {LARGEST} pixels, got {height} x {width}"
            )
        self.height, self.width, self.render_mode = height, width, render_mode
        shape = (height, width, 3)
        self.observation_space = gymnasium.spaces.Box(0, 255, shape, np.uint8)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (4,), np.float32)
        self.world: world.World | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Build a new place and stand in one of its rooms; see Gymnasium."""
        super().reset(seed=seed)
        wanted = _scene_of(options or {})
        rng = self.np_random
        self._enter(world.build(int(rng.integers(2**62)), scene.draw(rng) | wanted))
        self.walker = Walker(*self._spot(rng), yaw=float(rng.uniform(-np.pi, np.pi)))
        self.frame, self.visited = 0, {self._room()}
        self.command = self.motion = STILL
        return self._observe(), self._info()

    def _enter(self, place: world.World) -> None:
        self.world = place
        self.view = View(self.height, self.width, place)

    def _spot(self, rng: np.random.Generator) -> tuple[float, float]:
        """A free place in some room, 0.6 m from whatever stands there."""
        cells = np.argwhere(self.world.plan.ceiling > 0)
        posts = self.world.obstacles
        while True:
            y, x = cells[int(rng.integers(len(cells)))] + 0.5
            if (np.hypot(posts[:, 0] - x, posts[:, 1] - y) > posts[:, 2] + 0.6).all():
                return float(x), float(y)

    def step(self, action):
        """Advance 1/24 s; see Gymnasium."""
        if self.world is None:
            raise gymnasium.error.ResetNeeded("call reset() before step()")
        try:
            control = np.asarray(action, np.float32)
        except (TypeError, ValueError):
            control = np.full(4, np.nan, np.float32)
        if not self.action_space.contains(control):
            raise ValueError(
                f"action {action!r} is outside {self.action_space}; controls are {self.control_names}"
            )
        self.command = control.copy()
        done = self.walker.step(control, self.world.plan, self.world.obstacles)
        self.motion = np.array(done, np.float32)
        self.frame += 1
        room = self._room()
        new = room not in self.visited
        self.visited = self.visited | {room}
        return self._observe(), float(new), False, False, self._info()

    def _room(self) -> int:
        return int(self.world.plan.room[int(self.walker.y), int(self.walker.x)])

    def _observe(self) -> np.ndarray:
        w = self.walker
        self.image, self.depth = self.view.render(w.x, w.y, w.yaw, w.pitch)
        return self.image.copy()

    def _info(self) -> dict[str, Any]:
        """Exact state; arrays are copies."""
        w, room = self.walker, self._room()
        return {
            "frame": self.frame,
            "pose": np.array([w.x, w.y, w.yaw, w.pitch]),
            "eye": EYE,
            "command": self.command.copy(),
            "motion": self.motion.copy(),
            "depth": self.depth.copy(),
            "room": room,
            "kind": self.world.plan.rooms[room].kind,
            "visited": len(self.visited),
            "scene": dict(self.world.scene),
        }

    def render(self) -> np.ndarray | None:
        """The current frame, [H, W, 3] uint8."""
        return None if self.render_mode is None or self.world is None else self.image.copy()

    def clone_state(self, include_rng: bool = True) -> dict[str, Any]:
        """Everything that decides the future, small and picklable."""
        state = {
            "place": (self.world.seed, dict(self.world.scene)),
            "walker": dict(vars(self.walker)),
            "frame": self.frame,
            "visited": set(self.visited),
            "last": (self.command.copy(), self.motion.copy()),
        }
        if include_rng:
            state["rng"] = copy.deepcopy(self.np_random.bit_generator.state)
        return state

    def restore_state(self, state: dict[str, Any]) -> None:
        """Continue from a state of `clone_state`, of this or another instance."""
        seed, attributes = state["place"]
        if self.world is None or (self.world.seed, self.world.scene) != (seed, attributes):
            self._enter(world.build(seed, attributes))
        self.walker = Walker(**state["walker"])
        self.frame, self.visited = state["frame"], set(state["visited"])
        self.command, self.motion = (part.copy() for part in state["last"])
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
    scene.check(wanted)
    return dict(wanted)
