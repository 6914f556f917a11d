"""The game as a Gymnasium environment."""

from __future__ import annotations

from math import cos, hypot, sin
from typing import Any

import gymnasium
import numpy as np

from aapt_games.driving import scene, world
from aapt_games.driving.physics import Car
from aapt_games.driving.render import Renderer
from aapt_games.driving.track import wrap
from aapt_games.driving.traffic import Traffic
from aapt_games.game import Simulator

LOST = 10 * 24  # frames off the road after which an episode is called off
CRASH = 9.0  # m/s of impact that ends an episode


class DrivingEnv(Simulator):
    """Drive a car on a closed track that no one has driven before.

    ### Action space
    `MultiBinary(4)`: left, right, throttle, brake. Braking at a standstill reverses.

    ### Observation space
    `Box(0, 255, (height, width, 3), uint8)`: the view through the windscreen, 24 frames per second.

    ### Reward
    Metres of progress along the track / 10, minus 0.1 a frame off the road, minus 5 for a crash.

    ### Episode end
    Terminated by a hit on a car or an object at more than 9 m/s. Truncated after 10 s off the road: the marshal calls
    it off, and no picture shows how long that takes.

    ### Reset options
    `options={"scene": {"time": ..., "weather": ..., "season": ...}}`, each optional; see `scenes`.

    Args:
        height: rows of the frame, 64 to 256.
        width: columns of the frame, 64 to 256.
        render_mode: "rgb_array" or None.
    """

    control_names = ("left", "right", "throttle", "brake")
    keymap = [
        (("left",), 0, 1.0), (("a",), 0, 1.0), (("right",), 1, 1.0), (("d",), 1, 1.0),
        (("up",), 2, 1.0), (("w",), 2, 1.0), (("down",), 3, 1.0), (("s",), 3, 1.0),
        (("space",), 3, 1.0),
    ]  # fmt: skip
    scenes = scene.SCENES
    driver_entry = "aapt_games.driving.driver:Driver"
    kept = ("car", "traffic", "index", "s", "offset", "progress", "lost", "pedals", "crashed")

    def __init__(self, height: int = 64, width: int = 64, render_mode: str | None = "rgb_array"):
        super().__init__(height, width, render_mode)
        self.action_space = gymnasium.spaces.MultiBinary(4)

    def _enter(self, seed: int, scene: dict[str, str]) -> None:
        self.world = world.build(seed, scene)
        self.renderer = Renderer(self.height, self.width, self.world)

    def _start(self, rng: np.random.Generator) -> None:
        """Stand, or roll, on the road."""
        track = self.world.track
        s = float(rng.uniform(0, track.length)) if rng.random() < 0.8 else track.length - 12.0
        lane = -track.width / 4 + float(rng.normal(0, 0.5))
        x, y, heading = track.pose(s, lane)
        speed = float(rng.uniform(4, 14)) if rng.random() < 0.6 else 0.0
        self.car = Car(float(x), float(y), heading + float(rng.normal(0, 0.03)), speed)
        self.traffic = Traffic.draw(track, s, rng)
        self.index = track.nearest(self.car.x, self.car.y)
        self.s, self.offset = track.locate(self.car.x, self.car.y, self.index)
        self.progress, self.lost = 0.0, 0
        self.pedals, self.crashed = (False, False), False

    def _advance(self, control) -> tuple[float, bool]:
        """Drive for one frame, then see what was hit and how far it came."""
        left, right, throttle, brake = (bool(a) for a in control)
        self.pedals = (throttle, brake)
        off = self._off()
        grip = self.world.palette.grip * (1 - 0.3 * off)
        self.car.step(int(left) - int(right), throttle, brake, grip, off)
        self.car.heading = wrap(self.car.heading)
        self.traffic.step(self.world.track, self.s, self.offset, self.car.speed)
        self.crashed = self._touch_things() | self._touch_cars()
        gained = self._progress()
        self.lost = 0 if self._on_road() else self.lost + 1
        reward = gained / 10 - 0.1 * (not self._on_road()) - 5.0 * self.crashed
        return reward, self.crashed

    def _called_off(self) -> bool:
        """After ten seconds off the road."""
        return self.lost > LOST

    def _off(self) -> float:
        """Share of the car off the asphalt, 0 to 1; the shoulder counts for some."""
        beyond = abs(self.offset) - self.world.track.width / 2
        return max(0.0, min(1.0, (beyond + 0.2) / 1.8))

    def _on_road(self) -> bool:
        return bool(abs(self.offset) < self.world.track.width / 2 + 0.7)

    def _progress(self) -> float:
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
        poses = others.poses(self.world.track)
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

    def _draw(self) -> np.ndarray:
        others = self.traffic
        return self.renderer.render(
            self.car, others.poses(self.world.track), others.color, self.pedals
        )

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
            "scene": dict(self.scene),
        }

    def control_mask(self) -> np.ndarray:
        """[H, W] bool, True on pixels that display the control: wheel, hands, pedal lamps, speed bar."""
        self._need_reset("control_mask")
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
