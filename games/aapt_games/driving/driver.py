"""A scripted driver with a style of its own, who taps keys as people do and makes mistakes."""

from __future__ import annotations

from dataclasses import dataclass
from math import atan, atan2, cos, hypot, sin, sqrt
from typing import Any

import numpy as np

from aapt_games.chance import by_share, one_of
from aapt_games.driving.physics import CENTER_RATE, GRAVITY, LOCK, STEER_RATE, WHEELBASE
from aapt_games.driving.track import wrap

FPS = 24


@dataclass(frozen=True, kw_only=True)
class Style:
    """How someone drives.

    Attributes:
        cruise: m/s on a straight.
        daring: share of the grip used in bends, 0 to 1.
        calm: seconds between mistakes, on average.
        shaky: standard deviation of the aim, in radians.
    """

    cruise: float
    daring: float
    calm: float
    shaky: float


STYLES = {
    "careful": Style(cruise=14.0, daring=0.35, calm=10.0, shaky=0.01),
    "normal": Style(cruise=20.0, daring=0.5, calm=8.0, shaky=0.02),
    "fast": Style(cruise=28.0, daring=0.68, calm=8.0, shaky=0.02),
    "sloppy": Style(cruise=19.0, daring=0.58, calm=5.0, shaky=0.06),
}
MISTAKES = {  # name: (share, shortest, longest) in seconds
    "stop": (2.0, 3.0, 7.0),
    "leave": (2.2, 1.2, 3.0),
    "dream": (2.0, 0.6, 1.3),
    "brake": (1.5, 0.4, 1.2),
    "swerve": (2.0, 1.0, 2.5),
    "lane": (3.0, 0.1, 0.1),
    "mash": (2.0, 0.7, 2.0),
    "idle": (1.5, 1.0, 3.0),
    "rest": (4.0, 8.0, 28.0),
    "coast": (3.0, 5.0, 16.0),
    "hands off": (9.0, 2.0, 7.0),
    "pull": (5.0, 1.0, 4.0),
    "spin": (1.8, 1.4, 2.8),
}


class Driver:
    """Decides the keys of the player's car.

    It may be asked every frame or once in several; it sees how long its last keys were held and
    chooses those whose average over that time is nearest to the wheel it would like.

    Args:
        seed: decides style and mistakes.
    """

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)
        self.name, self.style = one_of(self.rng, list(STYLES.items()))
        self.env = None

    def reset(self, env: Any) -> None:
        """Take a seat in `env`, the unwrapped game, after its reset."""
        self.env = env
        self.last, self.held = env.frame, 4
        self.act, self.until, self.keys, self.keys_until = "drive", 0, np.zeros(4, np.int8), 0
        self.side, self.extra, self.pedal = -1.0, 0.0, False
        self.next_mistake = env.frame + self._wait()
        self.stuck, self.backing = 0, 0

    def _wait(self) -> int:
        """Frames until the next mistake."""
        return int(FPS * (2.0 + self.rng.exponential(self.style.calm)))

    def __call__(self, obs: np.ndarray, info: dict[str, Any]) -> np.ndarray:
        """The keys to hold until the next call, [4] int8."""
        env = self.env
        now = env.frame
        if now > self.last:
            self.held = min(now - self.last, 8)
        self.last = now
        given_up = env.lost > 4 * FPS and self.act != "coast"
        if self.act != "drive" and (now >= self.until or given_up):
            self.act, self.extra = "drive", 0.0
            self.next_mistake = now + self._wait()
        if self.act == "drive" and now >= self.next_mistake:
            self._begin(now)
        return self._perform(now)

    def _begin(self, now: int) -> None:
        """Start a mistake."""
        self.act = by_share(self.rng, {name: share for name, (share, _, _) in MISTAKES.items()})
        _, low, high = MISTAKES[self.act]
        self.until = now + int(FPS * self.rng.uniform(low, high))
        if self.act == "lane":
            self.side = -self.side
        if self.act == "leave":
            self.extra = float(self.rng.choice([-1, 1]) * self.rng.uniform(2, 5.5))
        if self.act in ("spin", "pull"):
            self.extra = float(self.rng.choice([-1, 1]))
        self.pedal = self.rng.random() < 0.6

    def _perform(self, now: int) -> np.ndarray:
        """Keys of the current act."""
        car = self.env.car
        if self.act == "stop":
            return self._press(self._turn(0.0), False, car.speed > 0.4)
        if self.act == "dream":
            return self._press(0, self.env.car.speed < self.style.cruise, False)
        if self.act == "rest" and car.speed > 0.4:
            return self._press(self._turn(self._wheel(self._bearing())), False, car.speed > 4.0)
        if self.act in ("idle", "rest", "coast"):
            return self._press(0, False, False)
        if self.act == "hands off":
            return self._press(0, self.pedal, False)
        if self.act == "pull":
            return self._press(int(self.extra), self.pedal, False)
        if self.act == "spin" and abs(car.speed) > 3:
            return self._press(int(self.extra), False, True)
        if self.act == "mash":
            return self._mash(now)
        if self.act == "swerve":
            return self._press(1 if (now // 9) % 2 else -1, car.speed < 14, False)
        keys = self._drive(now)
        if self.act == "brake":
            keys[2], keys[3] = 0, car.speed > 1
        return keys

    def _mash(self, now: int) -> np.ndarray:
        if now >= self.keys_until:
            self.keys = (self.rng.random(4) < (0.35, 0.35, 0.5, 0.2)).astype(np.int8)
            self.keys_until = now + int(self.rng.integers(4, 14))
        return self.keys.copy()

    def _press(self, turn: int, throttle: bool, brake: bool) -> np.ndarray:
        return np.array([turn > 0, turn < 0, throttle, brake], np.int8)

    def _drive(self, now: int) -> np.ndarray:
        """Follow the lane, at a sensible speed, round other cars, and out of trouble."""
        env, car = self.env, self.env.car
        if now < self.backing:
            return self._press(-int(np.sign(self._bearing())), False, True)
        limit = self._limit()
        bearing = self._bearing() + self._dodge()
        if abs(bearing) > 1.2:
            limit = min(limit, 5.0)
        throttle, brake = car.speed < limit, car.speed > limit + 1.5
        self.stuck = self.stuck + self.held if throttle and abs(car.speed) < 0.6 else 0
        if self.stuck > 30:
            self.stuck, self.backing = 0, now + int(self.rng.uniform(1.3, 2.6) * FPS)
        return self._press(self._turn(self._wheel(bearing)), throttle, brake and env.frame > 0)

    def _lane(self) -> float:
        """Metres left of the centre line to aim for."""
        width = self.env.world.track.width
        if self.act == "leave":
            return float(np.sign(self.extra)) * (width / 2 + abs(self.extra))
        return self.side * width / 4

    def _bearing(self) -> float:
        """Angle to the point aimed for, rad, positive to the left."""
        env, car = self.env, self.env.car
        self.reach = 4.5 + 0.55 * max(car.speed, 0.0) + 0.3 * max(abs(env.offset) - 5, 0)
        x, y, _ = env.world.track.pose(env.s + self.reach, self._lane())
        lead = car.heading + car.yaw_rate * self.held / FPS / 2
        aim = wrap(atan2(y - car.y, x - car.x) - lead)
        self.reach = max(hypot(x - car.x, y - car.y), 2.0)
        return aim + float(self.rng.normal(0, self.style.shaky))

    def _dodge(self) -> float:
        """Turn in rad away from an object close ahead, while off the road."""
        env, car = self.env, self.env.car
        if abs(env.offset) < env.world.track.width / 2 + 1:
            return 0.0
        things = env.world.scenery
        dx, dy = things.xy[:, 0] - car.x, things.xy[:, 1] - car.y
        c, s = cos(car.heading), sin(car.heading)
        ahead, left = dx * c + dy * s, dy * c - dx * s
        close = (ahead > 0) & (ahead < 5 + car.speed) & (np.abs(left) < things.radius + 1.6)
        close &= things.radius > 0
        if not close.any():
            return 0.0
        i = int(np.flatnonzero(close)[ahead[close].argmin()])
        return -0.8 if left[i] > 0 else 0.8

    def _wheel(self, bearing: float) -> float:
        """Steering in [-1, 1] whose arc leads to the point aimed for."""
        if abs(bearing) > 1.5:
            return float(np.sign(bearing))
        angle = atan(2 * np.sin(bearing) / self.reach * WHEELBASE)
        lock = min(LOCK, atan(1.2 * GRAVITY * WHEELBASE / max(self.env.car.speed**2, 1.0)))
        share = min(1.0, abs(angle) / lock)
        u = (sqrt(0.55**2 + 4 * 0.45 * share) - 0.55) / (2 * 0.45)
        return float(np.copysign(min(u, 1.0), angle))

    def _turn(self, wanted: float) -> int:
        """The key whose average steering until the next call is nearest to `wanted`."""
        now, dt = self.env.car.steer, self.held / FPS
        best, choice = np.inf, 0
        for turn in (0, 1, -1):
            rate = STEER_RATE if turn and turn * now >= 0 else CENTER_RATE
            rate = STEER_RATE + CENTER_RATE / 2 if turn * now < 0 else rate
            end = now + max(-rate * dt, min(rate * dt, turn - now))
            miss = abs((now + end) / 2 - wanted) + 0.3 * abs(end - wanted)
            if miss < best - 1e-9:
                best, choice = miss, turn
        return choice

    def _limit(self) -> float:
        """Speed in m/s that the road ahead and the traffic allow."""
        env, car = self.env, self.env.car
        track, grip = env.world.track, env.world.palette.grip
        limit = self.style.cruise * (0.6 + 0.4 * grip)
        if not abs(env.offset) < track.width / 2 + 1.0:
            limit = min(limit, 8.0)
        slow = 5.0 * grip
        for d in range(0, int(car.speed**2 / (2 * slow)) + 18, 4):
            bend = max(abs(track.bend(env.s + d)), 1e-4)
            limit = min(limit, sqrt(self.style.daring * grip * GRAVITY / bend + 2 * slow * d))
        return min(limit, self._traffic_limit())

    def _traffic_limit(self) -> float:
        """Speed behind a car in the same lane; a free other lane is taken instead."""
        env, cars = self.env, self.env.traffic
        gap = (cars.s - env.s) % env.world.track.length
        near = gap < 12 + 1.6 * max(env.car.speed, 4.0)
        same = near & (np.abs(cars.lane - self._lane()) < 2.0) & (gap > 1.0)
        if not same.any():
            return np.inf
        beside = (gap < 40) | (gap > env.world.track.length - 9)
        if not (beside & (np.abs(cars.lane + self._lane()) < 2.0)).any() and self.act == "drive":
            self.side = -self.side
        i = int(np.flatnonzero(same)[gap[same].argmin()])
        return max(float(cars.speed[i]) + 0.5 * (float(gap[i]) - 9.0), 0.0)
