"""Somebody who walks and looks about, and whom walls stop."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, hypot, pi, radians, sin

import numpy as np

from aapt_games.explorer.plan import Plan

FPS = 24
STRIDE = 0.06  # metres per frame that a full control asks for, 1.4 m/s
TURN = 2.5  # degrees per frame that a full control asks for, 60 a second
STEEPEST = 30.0  # degrees that one can look up or down
RADIUS = 0.3  # metres kept from walls


@dataclass
class Walker:
    """Position (m), heading and pitch (rad): yaw 0 looks along +x, more turns right; pitch is up."""

    x: float
    y: float
    yaw: float = 0.0
    pitch: float = 0.0

    def step(self, control: np.ndarray, plan: Plan, obstacles: np.ndarray) -> tuple[float, ...]:
        """Move for one frame as commanded, as far as walls and the neck allow.

        Args:
            control: forward, strafe (right), yaw (right), pitch (up), each -1 to 1.
            plan: the walls.
            obstacles: [n, 3] x, y, radius.

        Returns:
            The motion that came of it, in the same units and the frame before the turn: forward, strafe, yaw, pitch.
        """
        forward, strafe, turn, tilt = (float(c) for c in control)
        c, s = cos(self.yaw), sin(self.yaw)
        x0, y0, pitch0 = self.x, self.y, self.pitch
        self.x += STRIDE * (forward * c - strafe * s)
        self.y += STRIDE * (forward * s + strafe * c)
        self._keep_out(plan, obstacles)
        dx, dy = self.x - x0, self.y - y0
        self.yaw = (self.yaw + radians(TURN) * turn + pi) % (2 * pi) - pi
        steepest = radians(STEEPEST)
        self.pitch = min(max(pitch0 + radians(TURN) * tilt, -steepest), steepest)
        done = (dx * c + dy * s) / STRIDE, (dy * c - dx * s) / STRIDE
        return *done, turn, (self.pitch - pitch0) / radians(TURN)

    def _keep_out(self, plan: Plan, obstacles: np.ndarray) -> None:
        """Push out of pillars, things and walls; what remains of the step slides along them."""
        close = np.abs(obstacles[:, :2] - (self.x, self.y)).max(1) < obstacles[:, 2] + 1
        near = obstacles[close].tolist()
        for _ in range(2):
            for ox, oy, radius in near:
                dx, dy = self.x - ox, self.y - oy
                gap, reach = hypot(dx, dy), radius + RADIUS
                if 1e-6 < gap < reach:
                    self.x, self.y = ox + dx / gap * reach, oy + dy / gap * reach
            cx, cy = int(self.x), int(self.y)
            for y in (cy, cy - 1, cy + 1):  # the own row first: sides before corners
                for x in (cx, cx - 1, cx + 1):
                    if plan.solid(x, y):
                        self._leave(x, y)

    def _leave(self, x: int, y: int) -> None:
        """Keep `RADIUS` from one wall cell."""
        near_x, near_y = min(max(self.x, x), x + 1), min(max(self.y, y), y + 1)
        dx, dy = self.x - near_x, self.y - near_y
        gap = hypot(dx, dy)
        if 1e-9 < gap < RADIUS:
            self.x, self.y = near_x + dx / gap * RADIUS, near_y + dy / gap * RADIUS
