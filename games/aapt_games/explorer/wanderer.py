"""A scripted explorer with a style of its own, who goes round, looks about, turns back, stands and bumps into walls."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import atan2, cos, hypot, radians, sin
from typing import Any

import numpy as np

from aapt_games.chance import by_share, one_of
from aapt_games.explorer.plan import SIZE, Plan
from aapt_games.explorer.walker import FPS, RADIUS, STEEPEST, STRIDE, TURN

LATENT = 4  # frames that a control is held


@dataclass(frozen=True, kw_only=True)
class Style:
    """How someone explores.

    Attributes:
        pace: share of the full step, on average.
        turn: share of the full turn that is used at most.
        curious: seconds between looks about, on average.
        shaky: spread of the aim, in radians.
    """

    pace: float
    turn: float
    curious: float
    shaky: float


STYLES = {
    "stroller": Style(pace=0.5, turn=0.28, curious=3.0, shaky=0.02),
    "walker": Style(pace=0.75, turn=0.38, curious=4.0, shaky=0.02),
    "runner": Style(pace=1.0, turn=0.75, curious=6.0, shaky=0.03),
    "gazer": Style(pace=0.55, turn=0.5, curious=1.5, shaky=0.03),
}
ACTS = {  # name: (share, shortest, longest) in seconds
    "look": (5.0, 1.0, 2.5),  # about, standing or walking on
    "nod": (2.5, 1.2, 3.0),  # up and down
    "round": (1.5, 2.0, 4.5),  # turn on the spot
    "back": (1.5, 1.5, 3.0),  # turn away, then back to where one looked
    "stand": (4.0, 1.2, 3.0),
    "bump": (1.6, 0.8, 2.0),  # go on into whatever is ahead
    "strafe": (3.5, 0.7, 2.0),
    "retreat": (3.0, 0.9, 2.2),
    "mash": (1.6, 0.6, 1.6),  # any control
    "circle": (2.5, 1.5, 4.0),  # strafe round something while facing it
}


class Wanderer:
    """Decides the motion for the next latent.

    Args:
        seed: decides style and acts.
    """

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)
        self.name, self.style = one_of(self.rng, list(STYLES.items()))
        self.env: Any = None

    def reset(self, env: Any) -> None:
        """Take over in `env`, the unwrapped game, after its reset."""
        self.env = env
        self.path: deque[tuple[float, float]] = deque()
        self.act, self.until = "walk", 0
        self.next_act = env.frame + self._wait()
        self.gaze, self.glance, self.last = 0.0, 0.0, np.zeros(4)
        self.held, self.side, self.home = np.zeros(4), 1.0, 0.0
        self.stuck = 0

    def _wait(self) -> int:
        """Frames until the next act."""
        return int(FPS * (0.7 + self.rng.exponential(self.style.curious)))

    def __call__(self, obs: np.ndarray, info: dict[str, Any]) -> np.ndarray:
        """The control to hold until the next call, [4] float32."""
        now = self.env.frame
        if self.act != "walk" and now >= self.until:
            self.act, self.next_act = "walk", now + self._wait()
        if self.act == "walk" and now >= self.next_act:
            self._begin(now)
        wanted = getattr(self, f"_{self.act}")(now)
        ease = 0.75 if self.name == "runner" else 0.6
        self.last = np.clip(self.last + ease * (wanted - self.last), -1, 1)
        small = np.abs(self.last) < 0.02
        return np.where(small, 0, self.last).astype(np.float32)

    def _begin(self, now: int) -> None:
        """Start an act."""
        rng = self.rng
        self.act = by_share(rng, {name: share for name, (share, _, _) in ACTS.items()})
        _, shortest, longest = ACTS[self.act]
        self.until = now + int(FPS * rng.uniform(shortest, longest))
        self.began, self.home = now, self.env.walker.yaw
        self.side = float(rng.choice([-1, 1])) * float(rng.uniform(0.4, 1.0))
        self.gaze = float(rng.uniform(-0.9, 0.9)) * radians(STEEPEST)
        self.glance = 0.5 * self.gaze if rng.random() < 0.4 else 0.0  # while walking, afterwards
        self.held = rng.uniform(-1, 1, 4) * rng.integers(0, 2, 4)
        self.pace = float(rng.choice([0.0, self.style.pace]))

    def _walk(self, now: int) -> np.ndarray:
        """Along the way to some far room."""
        walker, plan = self.env.walker, self.env.world.plan
        while self.path and hypot(self.path[0][0] - walker.x, self.path[0][1] - walker.y) < 0.6:
            self.path.popleft()
        while len(self.path) > 1 and self._straight(*self.path[1]):  # no zigzag from cell to cell
            self.path.popleft()
        slow = float(np.hypot(*self.env.motion[:2])) < 0.15 * float(np.hypot(*self.last[:2])) + 0.02
        self.stuck = self.stuck + 1 if slow else 0
        if not self.path or self.stuck > 8:
            self.path, self.stuck = self._way_ahead(plan), 0
        if not self.path:
            return np.array([0.0, 0.0, self.side * self.style.turn, 0.0])
        x, y = self.path[0]
        shake = float(self.rng.normal(0, self.style.shaky))
        off = self._off(atan2(y - walker.y, x - walker.x)) + shake
        pace = self.style.pace * max(0.0, cos(off)) ** 2
        return np.array([pace, 0.0, self._aim(off), self._level(self.glance)])

    def _look(self, now: int) -> np.ndarray:
        seconds = (now - self.began) / FPS
        turn, tilt = self.side * sin(2.4 * seconds), self.gaze * sin(1.7 * seconds + 0.5)
        pace = self.pace if self._free(0.0) > 0.8 else 0.0
        return np.array([pace, 0.0, turn * self.style.turn, self._level(tilt)])

    def _nod(self, now: int) -> np.ndarray:
        swing = 0.45 * sin((now - self.began) / FPS * 3.2) * self.side
        return np.array([self.pace if self._free(0.0) > 0.8 else 0.0, 0.0, 0.0, swing])

    def _round(self, now: int) -> np.ndarray:
        return np.array([0.0, 0.0, self.side * self.style.turn, self._level(self.gaze * 0.5)])

    def _back(self, now: int) -> np.ndarray:
        half = (self.began + self.until) / 2
        if now < half:
            return np.array([0.0, 0.0, self.side * self.style.turn, 0.0])
        return np.array([0.0, 0.0, self._aim(self._off(self.home)), self._level(0.0)])

    def _stand(self, now: int) -> np.ndarray:
        self.last *= 0.5
        return np.zeros(4)

    def _bump(self, now: int) -> np.ndarray:
        return np.array([1.0, 0.3 * self.side, 0.0, self._level(0.0)])

    def _strafe(self, now: int) -> np.ndarray:
        return np.array([self.pace * 0.5, self.side, 0.0, self._level(0.0)])

    def _retreat(self, now: int) -> np.ndarray:
        return np.array([-self.style.pace, 0.0, 0.2 * self.side, self._level(self.gaze)])

    def _mash(self, now: int) -> np.ndarray:
        if self.rng.random() < 0.3:
            self.held = self.rng.uniform(-1, 1, 4) * self.rng.integers(0, 2, 4)
        return self.held

    def _circle(self, now: int) -> np.ndarray:
        step = 0.4 * self.side
        return np.array([0.1, step, -step * STRIDE / radians(TURN) / 1.6, self._level(0.0)])

    def _off(self, heading: float) -> float:
        """Radians from where one looks to a heading, right positive."""
        return (heading - self.env.walker.yaw + np.pi) % (2 * np.pi) - np.pi

    def _aim(self, off: float) -> float:
        """The turn that is there in two latents."""
        return float(np.clip(off / (2 * LATENT * radians(TURN)), -self.style.turn, self.style.turn))

    def _level(self, pitch: float) -> float:
        """The tilt towards a pitch."""
        off = pitch - self.env.walker.pitch
        return float(np.clip(off / (LATENT * radians(TURN)), -0.5, 0.5))

    def _free(self, turn: float) -> float:
        """Metres to the next wall in a direction, 8 at most."""
        walker = self.env.walker
        return self.env.world.plan.free(walker.x, walker.y, walker.yaw + turn)

    def _straight(self, x: float, y: float) -> bool:
        """Whether one can walk straight to a point, touching nothing."""
        walker = self.env.walker
        dx, dy = x - walker.x, y - walker.y
        way = np.arange(0.0, 1.0, 0.2 / max(hypot(dx, dy), 0.2))[:, None]
        at = np.array([walker.x, walker.y]) + way * (dx, dy)
        side = np.array([-dy, dx]) / max(hypot(dx, dy), 1e-9) * RADIUS
        sides = np.concatenate([at, at + side, at - side]).astype(int)
        if (self.env.world.plan.ceiling[sides[:, 1], sides[:, 0]] == 0).any():
            return False
        posts = self.env.world.obstacles
        gaps = np.hypot(*(at[:, None] - posts[None, :, :2]).transpose(2, 0, 1))
        return bool((gaps > posts[:, 2] + RADIUS).all())

    def _way_ahead(self, plan: Plan) -> deque[tuple[float, float]]:
        """Of some ways the one that begins most nearly where one looks: people seldom turn on their heels."""

        def turn(way: deque[tuple[float, float]]) -> float:
            x, y = way[min(2, len(way) - 1)]
            return abs(self._off(atan2(y - self.env.walker.y, x - self.env.walker.x)))

        ways = [way for way in (self._plan_way(plan) for _ in range(4)) if way]
        return min(ways, key=turn, default=deque())

    def _plan_way(self, plan: Plan) -> deque[tuple[float, float]]:
        """Cell centres on the shortest way to a random far cell."""
        walker, free = self.env.walker, self._passable(plan)
        start = int(walker.x), int(walker.y)
        before, queue = {start: start}, deque([start])
        while queue:
            x, y = queue.popleft()
            for near in ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)):
                if free[near[1], near[0]] and near not in before:
                    before[near] = x, y
                    queue.append(near)
        cells = list(before)  # the nearest first
        goal = cells[int(self.rng.integers(len(cells) // 3, len(cells)))]
        way = []
        while goal != start:
            way.append((goal[0] + 0.5, goal[1] + 0.5))
            goal = before[goal]
        return deque(reversed(way))

    def _passable(self, plan: Plan) -> np.ndarray:
        """[SIZE, SIZE] whether one can stand in the middle of a cell."""
        free = plan.ceiling > 0
        y, x = np.mgrid[0:SIZE, 0:SIZE] + 0.5
        for ox, oy, radius in self.env.world.obstacles:
            free = free & (np.hypot(x - ox, y - oy) > radius + RADIUS)
        return free
