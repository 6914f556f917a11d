"""The game as a Gymnasium environment."""

from __future__ import annotations

import copy
from math import cos, hypot, sin
from typing import Any

import gymnasium
import numpy as np

from aapt_games.driving import scene, world
from aapt_games.driving.physics import Car
from aapt_games.driving.render import Renderer
from aapt_games.driving.track import wrap
from aapt_games.driving.traffic import Traffic

SMALLEST, LARGEST = 64, 256  # pixels
LOST = 10 * 24  # frames off the road that end an episode
CRASH = 9.0  # m/s of impact that ends an episode


class DrivingEnv(gymnasium.Env):
    """Drive a car on a closed track that no one has driven before.

    ### Action space
    `MultiBinary(4)`: left, right, throttle, brake. Braking at a standstill reverses.

    ### Observation space
    `Box(0, 255, (height, width, 3), uint8)`: the view through the windscreen, 24 frames per second.

    ### Reward
    Metres of progress along the track / 10, minus 0.1 a frame off the road, minus 5 for a crash.

    ### Episode end
    Terminated by a hit on a car or an object at more than 9 m/s, or after 10 s off the road.

    ### Reset options
    `options={"scene": {"time": ..., "weather": ..., "season": ...}}`, each optional; see `scenes`.

    Args:
        height: rows of the frame, 64 to 256.
        width: columns of the frame, 64 to 256.
        render_mode: "rgb_array" or None.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 24}
    control_names = ("left", "right", "throttle", "brake")
    keymap = [
        (("left",), 0, 1.0), (("a",), 0, 1.0), (("right",), 1, 1.0), (("d",), 1, 1.0),
        (("up",), 2, 1.0), (("w",), 2, 1.0), (("down",), 3, 1.0), (("s",), 3, 1.0),
        (("space",), 3, 1.0),
    ]  # fmt: skip
    scenes = scene.SCENES
    driver_entry = "aapt_games.driving.driver:Driver"

    def __init__(self, height: int = 64, width: int = 64, render_mode: str | None = "rgb_array"):
        if not (SMALLEST <= height <= LARGEST and SMALLEST <= width <= LARGEST):
            raise ValueError(
                f"height and width must be {SMALLEST} to {LARGEST} pixels, got {height} x {width}"
            )
        self.height, self.width, self.render_mode = height, width, render_mode
        shape = (height, width, 3)
        self.observation_space = gymnasium.spaces.Box(0, 255, shape, np.uint8)
        self.action_space = gymnasium.spaces.MultiBinary(4)
        self.world: world.World | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Build a new world and stand (or roll) on its road; see Gymnasium."""
        super().reset(seed=seed)
        wanted = _scene_of(options or {})
        rng = self.np_random
        place = int(rng.integers(2**62))
        self._enter(world.build(place, scene.draw(rng) | wanted))
        track = self.world.track
        s = float(rng.uniform(0, track.length)) if rng.random() < 0.8 else track.length - 12.0
        lane = -track.width / 4 + float(rng.normal(0, 0.5))
        x, y, heading = track.pose(s, lane)
        speed = float(rng.uniform(4, 14)) if rng.random() < 0.6 else 0.0
        self.car = Car(float(x), float(y), heading + float(rng.normal(0, 0.03)), speed)
        self.traffic = Traffic.draw(track, s, rng)
        self.poses = self.traffic.poses(track)
        self.index = track.nearest(self.car.x, self.car.y)
        self.s, self.offset = track.locate(self.car.x, self.car.y, self.index)
        self.frame, self.progress, self.lost = 0, 0.0, 0
        self.pedals, self.crashed, self.image = (False, False), False, None
        return self._observe(), self._info()

    def _enter(self, place: world.World) -> None:
        self.world = place
        self.renderer = Renderer(self.height, self.width, place)

    def step(self, action):
        """Advance 1/24 s; see Gymnasium."""
        if self.world is None:
            raise gymnasium.error.ResetNeeded("call reset() before step()")
        if not self.action_space.contains(np.asarray(action)):
            raise ValueError(
                f"action {action!r} is outside {self.action_space}; controls are {self.control_names}"
            )
        left, right, throttle, brake = (bool(a) for a in action)
        self.pedals = (throttle, brake)
        off = self._off()
        grip = self.world.palette.grip * (1 - 0.3 * off)
        self.car.step(int(left) - int(right), throttle, brake, grip, off)
        self.car.heading = wrap(self.car.heading)
        self.traffic.step(self.world.track, self.s, self.offset, self.car.speed)
        self.crashed = self._touch_things() | self._touch_cars()
        gained = self._advance()
        self.frame += 1
        self.lost = 0 if self._on_road() else self.lost + 1
        reward = gained / 10 - 0.1 * (not self._on_road()) - 5.0 * self.crashed
        ended = bool(self.crashed or self.lost > LOST)
        return self._observe(), float(reward), ended, False, self._info()

    def _off(self) -> float:
        """Share of the car off the asphalt, 0 to 1; the shoulder counts for some."""
        beyond = abs(self.offset) - self.world.track.width / 2
        return max(0.0, min(1.0, (beyond + 0.2) / 1.8))

    def _on_road(self) -> bool:
        return bool(abs(self.offset) < self.world.track.width / 2 + 0.7)

    def _advance(self) -> float:
        """Find the car on the track again; metres gained along it."""
        track = self.world.track
        near = abs(self.offset) < track.width
        self.index = track.nearest(self.car.x, self.car.y, self.index if near else None)
        before = self.s
        self.s, self.offset = track.locate(self.car.x, self.car.y, self.index)
        gained = (self.s - before + track.length / 2) % track.length - track.length / 2
        gained = gained if abs(gained) < 4 else 0.0
        self.progress += gained
        return gained

    def _touch_things(self) -> bool:
        """Bounce off scenery; True when it was hit hard."""
        things, car = self.world.scenery, self.car
        dx, dy = things.xy[:, 0] - car.x, things.xy[:, 1] - car.y
        gap = np.hypot(dx, dy) - things.radius - 1.0
        gap[things.radius == 0] = np.inf
        i = int(gap.argmin())
        if gap[i] > 0:
            return False
        n = np.array([dx[i], dy[i]]) / max(float(np.hypot(dx[i], dy[i])), 1e-6)
        c, s = cos(car.heading), sin(car.heading)
        hit = (car.speed * c - car.slide * s) * n[0] + (car.speed * s + car.slide * c) * n[1]
        car.x, car.y = car.x + float(n[0] * gap[i]), car.y + float(n[1] * gap[i])
        if hit > 0:
            car.speed, car.slide = -0.15 * car.speed, 0.0
        return bool(hit > CRASH)

    def _touch_cars(self) -> bool:
        """Push against other cars; True when one was hit hard."""
        car, others = self.car, self.traffic
        self.poses = poses = others.poses(self.world.track)
        c, s = cos(car.heading), sin(car.heading)
        dx, dy = poses[:, 0] - car.x, poses[:, 1] - car.y
        ahead, left = dx * c + dy * s, dy * c - dx * s
        near = np.flatnonzero((np.abs(ahead) < 4.1) & (np.abs(left) < 1.75))
        hard = False
        for i in near:
            their = float(others.speed[i])
            turn = float(poses[i, 2]) - car.heading
            hard |= hypot(their * cos(turn) - car.speed, their * sin(turn) - car.slide) > CRASH
            if ahead[i] > 0:
                car.speed = min(car.speed, max(their * cos(turn) - 1.0, -1.0))
            others.speed[i] = max(their * 0.9, 0.0)
            push = -0.15 * float(np.sign(left[i]))
            car.x, car.y = car.x - push * s, car.y + push * c
        return bool(hard)

    def _observe(self) -> np.ndarray:
        self.image = self.renderer.render(self.car, self.poses, self.traffic.color, self.pedals)
        return self.image.copy()

    def _info(self) -> dict[str, Any]:
        """Exact state as plain numbers."""
        car, track = self.car, self.world.track
        road = float(track.heading[self.index])
        return vars(car) | {
            "frame": self.frame,
            "s": float(self.s),
            "offset": float(self.offset),
            "heading_error": wrap(car.heading - road),
            "progress": float(self.progress),
            "on_road": self._on_road(),
            "curvature": track.bend(self.s + 15.0),
            "width": track.width,
            "length": track.length,
            "grip": float(self.world.palette.grip),
            "crashed": bool(self.crashed),
            "frames_off_road": int(self.lost),
            "scene": dict(self.world.scene),
        }

    def render(self) -> np.ndarray | None:
        """The current frame, [H, W, 3] uint8."""
        return None if self.render_mode is None or self.image is None else self.image.copy()

    def control_mask(self) -> np.ndarray:
        """[H, W] bool, True on pixels that display the control: wheel, hands, pedal lamps, speed bar."""
        if self.world is None:
            raise gymnasium.error.ResetNeeded("call reset() before control_mask()")
        return self.renderer.cockpit.mask()

    def get_keys_to_action(self) -> dict[tuple[str, ...], np.ndarray]:
        """A, D, W and S, alone and in pairs, for `gymnasium.utils.play`; its `noop` is four zeros."""
        keys = {"a": 0, "d": 1, "w": 2, "s": 3}
        table = {}
        for a in keys:
            for b in keys:
                action = np.zeros(4, np.int8)
                action[[keys[a], keys[b]]] = 1
                table[tuple(sorted({a, b}))] = action
        return table

    def clone_state(self, include_rng: bool = True) -> dict[str, Any]:
        """Everything that decides the future, small and picklable."""
        names = ("s", "offset", "index", "frame", "progress", "lost", "pedals", "crashed")
        state = {name: getattr(self, name) for name in names}
        state |= {"car": dict(vars(self.car)), "traffic": self.traffic.copy()}
        state |= {"place": (self.world.seed, dict(self.world.scene))}
        if include_rng:
            state["rng"] = copy.deepcopy(self.np_random.bit_generator.state)
        return state

    def restore_state(self, state: dict[str, Any]) -> None:
        """Continue from a state of `clone_state`, of this or another instance."""
        seed, attributes = state["place"]
        if self.world is None or (self.world.seed, self.world.scene) != (seed, attributes):
            self._enter(world.build(seed, attributes))
        for name in ("s", "offset", "index", "frame", "progress", "lost", "pedals", "crashed"):
            setattr(self, name, state[name])
        self.car, self.traffic = Car(**state["car"]), state["traffic"].copy()
        self.poses = self.traffic.poses(self.world.track)
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
