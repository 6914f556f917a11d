"""The car: a bicycle model with finite grip, integrated 4 times a frame."""

from __future__ import annotations

from dataclasses import dataclass
from math import atan, cos, hypot, sin, sqrt, tan

GRAVITY = 9.81  # m/s^2
WHEELBASE = 2.6  # m
SUBSTEPS = 4
FRAME_S = 1 / 24  # seconds
ENGINE = 6.0  # m/s^2 at low speed
POWER = 92.0  # m^2/s^3, engine power over mass: caps the thrust at speed
DRAG = 0.0033  # 1/m, top speed is near 30 m/s
ROLLING = 0.25  # m/s^2
BRAKE = 9.0  # m/s^2
REVERSE = 3.5  # m/s, top speed backwards
LOCK = 0.5  # rad, steering angle at walking pace
STEER_RATE = 2.2  # of full lock per second while a key is held
CENTER_RATE = 2.8  # of full lock per second when released or countered


@dataclass
class Car:
    """The state of a car; metres, seconds, radians.

    Attributes:
        x: world position, m.
        y: world position, m.
        heading: counter-clockwise from +x, rad.
        speed: along the car, m/s, negative backwards.
        slide: to the left of the car, m/s.
        yaw_rate: rad/s, positive to the left.
        steer: -1 (right) to 1 (left), share of the lock that the speed allows.
        pitch: nod of the body, about -1 (brakes) to 1 (full throttle).
        roll: lean of the body, about -1 to 1, positive in left-hand bends.
    """

    x: float = 0.0
    y: float = 0.0
    heading: float = 0.0
    speed: float = 0.0
    slide: float = 0.0
    yaw_rate: float = 0.0
    steer: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0

    def step(self, turn: int, throttle: bool, brake: bool, grip: float, off: float) -> None:
        """Advance one frame.

        Args:
            turn: 1 left, -1 right, 0 neither.
            throttle: pedal down.
            brake: pedal down; at a standstill it reverses.
            grip: friction coefficient under the car, 0.3 to 1.
            off: share of the car off the road, 0 to 1: drag and a rough ride.
        """
        dt = FRAME_S / SUBSTEPS
        for _ in range(SUBSTEPS):
            self._steer(turn, dt)
            self._move(throttle, brake, grip, off, dt)

    def _steer(self, turn: int, dt: float) -> None:
        rate = STEER_RATE if turn and turn * self.steer >= 0 else CENTER_RATE
        if turn and turn * self.steer < 0:
            rate = STEER_RATE + CENTER_RATE * 0.5
        delta = turn - self.steer
        self.steer += max(-rate * dt, min(rate * dt, delta))

    def _angle(self) -> float:
        """Front wheel angle in rad: finer near the centre, and less of it at speed."""
        lock = min(LOCK, atan(1.2 * GRAVITY * WHEELBASE / max(self.speed**2, 1.0)))
        return lock * self.steer * (0.55 + 0.45 * abs(self.steer))

    def _push(self, throttle: bool, brake: bool, grip: float, off: float) -> float:
        """Acceleration along the car in m/s^2, before slip."""
        v = self.speed
        push = 0.0
        if throttle:
            push += min(ENGINE, POWER / max(v, 1.0), grip * GRAVITY * 0.8) if v >= 0 else BRAKE
        if brake:
            push -= (
                min(BRAKE, 0.95 * grip * GRAVITY)
                if v > 0.3
                else 3.5 * (-REVERSE < v and abs(self.slide) < 1)
            )
        drag = DRAG * v * abs(v) + off * (0.15 * v)
        rolling = (ROLLING + 0.8 * off) * max(-1.0, min(1.0, v * 2))
        return push - drag - rolling

    def _move(self, throttle: bool, brake: bool, grip: float, off: float, dt: float) -> None:
        push = self._push(throttle, brake, grip, off)
        limit = grip * GRAVITY
        spare = sqrt(max(1 - (push / limit) ** 2, 0.06)) * limit  # friction circle
        if brake and abs(self.speed) < abs(self.slide):  # sliding sideways on locked wheels
            spare = 0.9 * limit
        wanted = self.speed * tan(self._angle()) / WHEELBASE
        if abs(self.speed) > 2:
            wanted += off * 0.25 * sin(0.9 * self.x + 1.3 * self.y) * min(1.0, self.speed / 12)
        cap = 1.06 * limit / max(abs(self.speed), 1.0)
        wanted = max(-cap, min(cap, wanted))
        loose = min(1.0, abs(self.slide) / 4)  # a sliding car is slow to answer the wheel
        self.yaw_rate += (wanted - self.yaw_rate) * min(1.0, (9.0 - 6.5 * loose) * dt)
        if brake and abs(self.slide) > 0.8 and self.speed > 5:  # locked wheels swing the tail out
            self.yaw_rate -= 2.6 * dt * max(-1.0, min(1.0, self.slide / 2))
        side = max(-spare, min(spare, -7.0 * self.slide))
        speed = self.speed + (push + self.yaw_rate * self.slide) * dt
        self.slide += (side - self.yaw_rate * self.speed) * dt
        if not throttle and not brake and abs(speed) < 0.15:
            speed = 0.0
        if speed * self.speed < 0 and not (throttle and brake):
            speed = 0.0
        self.speed = speed
        self.heading += self.yaw_rate * dt
        c, s = cos(self.heading), sin(self.heading)
        self.x += (self.speed * c - self.slide * s) * dt
        self.y += (self.speed * s + self.slide * c) * dt
        bump = off * min(1.0, hypot(self.speed, self.slide) / 10)
        shake = bump * 0.9 * sin(1.7 * self.x + 0.6 * self.y)
        sway = bump * 0.9 * sin(1.1 * self.y - 0.8 * self.x)
        self.pitch += (push / 9.0 + shake - self.pitch) * min(1.0, 8 * dt)
        self.roll += (self.yaw_rate * self.speed / 10.0 + sway - self.roll) * min(1.0, 8 * dt)
