"""The other cars: they follow the road in their lanes, slow in bends and behind one another."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from aapt_games.driving.physics import FRAME_S
from aapt_games.driving.track import Track

COLORS = 6


@dataclass
class Traffic:
    """State of the other cars, one array entry each.

    Attributes:
        s: metres along the lap.
        lane: metres left of the centre line.
        speed: m/s.
        cruise: m/s wanted on a straight.
        color: index of the paint.
    """

    s: np.ndarray = field(default_factory=lambda: np.zeros(0))
    lane: np.ndarray = field(default_factory=lambda: np.zeros(0))
    speed: np.ndarray = field(default_factory=lambda: np.zeros(0))
    cruise: np.ndarray = field(default_factory=lambda: np.zeros(0))
    color: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    posed: tuple = field(default=(None, None), repr=False, compare=False)  # (s, poses) asked last

    @classmethod
    def draw(cls, track: Track, start: float, rng: np.random.Generator) -> Traffic:
        """Three to eight cars spread over the lap, none within 20 m of `start`."""
        n = int(rng.integers(3, 9))
        room = track.length - 60
        s = (start + 25 + (np.arange(n) + rng.uniform(0, 0.7, n)) / n * room) % track.length
        lane = track.width / 4 * rng.choice([-1.0, -1.0, 1.0], n)
        cruise = rng.uniform(7, 15, n)
        return cls(s, lane, cruise * 0.8, cruise, rng.integers(0, COLORS, n))

    def step(self, track: Track, s: float, offset: float, speed: float) -> None:
        """Advance one frame; `s`, `offset` (m) and `speed` (m/s) are the player's."""
        n = len(self.s)
        every_s = np.append(self.s, s)
        every_lane = np.append(self.lane, offset)
        every_speed = np.append(self.speed, speed)
        gap = (every_s[None] - self.s[:, None]) % track.length
        gap[np.arange(n), np.arange(n)] = np.inf
        gap[np.abs(every_lane[None] - self.lane[:, None]) > 2.2] = np.inf
        first = gap.argmin(1)
        ahead = gap[np.arange(n), first]
        follow = every_speed[first] + 0.6 * (ahead - 9.0)
        look = ((self.s + 8) / track.spacing).astype(int) % len(track.xy)
        bend = np.sqrt(4.0 / np.maximum(np.abs(track.curvature[look]), 1e-3))
        wanted = np.maximum(np.minimum(np.minimum(self.cruise, bend), follow), 0.0)
        self.speed = self.speed + np.clip(wanted - self.speed, -6 * FRAME_S, 2.5 * FRAME_S)
        stretch = (
            1 - self.lane * track.curvature[(self.s / track.spacing).astype(int) % len(track.xy)]
        )
        self.s = (self.s + self.speed * FRAME_S / stretch) % track.length

    def poses(self, track: Track) -> np.ndarray:
        """[n, 3] world x, y (m) and heading (rad); touching and drawing ask for the same."""
        if self.posed[0] is self.s:  # a step makes a new array
            return self.posed[1]
        n = len(track.xy)
        at = self.s / track.spacing
        a = at.astype(int) % n
        t, b = at - np.floor(at), (a + 1) % n
        turn = track.heading[b] - track.heading[a]
        h = track.heading[a] + t * ((turn + np.pi) % (2 * np.pi) - np.pi)
        xy = track.xy[a] * (1 - t)[:, None] + track.xy[b] * t[:, None]
        x, y = xy[:, 0] - self.lane * np.sin(h), xy[:, 1] + self.lane * np.cos(h)
        self.posed = self.s, np.stack([x, y, h], 1)
        return self.posed[1]
