"""Who plays Doom while it is recorded: explores, opens doors, fights what it sees, and is clumsy now and then."""

from __future__ import annotations

from math import cos, radians, sin
from typing import Any

import numpy as np

from aapt_games.doom.env import DoomEnv

SECTORS = 9  # of the view
VIEW = 90.0  # degrees
CELL = 96.0  # units of the map: where it was
NEAR = 14.0  # of the depth buffer, 0 to 255: a wall ahead
REACH = 160.0  # units it looks ahead for new ground
AIM = 0.04  # of the screen's width: near enough to shoot
FAR = 5 / 240  # of the screen's height: too small to be seen
LONGEST_WHIM = 8  # latents
REST = 0.015  # of latents in which nothing is held: the hands are off the keys for a while
LONGEST_REST = 60  # latents


class Explorer:
    """Goes where the view is deep and the ground new; turns to what lives, and shoots.

    Args:
        seed: same seed and game, same keys.
    """

    def __init__(self, seed: int):
        self._rng = np.random.default_rng(seed)

    def reset(self, game: DoomEnv) -> None:
        """Take a seat."""
        self.game = game
        self._visited: dict[tuple[int, int], int] = {}
        self._trail: list[tuple[float, float]] = []
        self._whim: tuple[set[str], int] = (set(), 0)

    def __call__(self, observation: Any, info: dict) -> np.ndarray:
        """The keys for the next latent."""
        has = self.game.has
        cell = (int(has["x"] // CELL), int(has["y"] // CELL))
        self._visited[cell] = self._visited.get(cell, 0) + 1
        self._trail = [*self._trail[-7:], (has["x"], has["y"])]
        held, left = self._whim
        if left == 0 and self._rng.random() < REST:
            self._whim = held, left = set(), int(self._rng.integers(4, LONGEST_REST))
        if left == 0:
            held = self._fight() or self._walk(has)
        self._whim = (held, max(0, self._whim[1] - 1))
        return np.array([name in held for name in self.game.control_names], np.int8)

    def _fight(self) -> set[str]:
        """Turn to the nearest enemy in sight and shoot; nothing where there is none."""
        rows = self.game.depth.shape[0]
        enemies = [
            t for t in self.game.things if t.object_category == "Monster" and t.height > FAR * rows
        ]
        if not enemies or self.game.has["ammo"] < 1:
            return set()
        target = max(enemies, key=lambda thing: thing.height)
        off = (target.x + target.width / 2) / self.game.depth.shape[1] - 0.5
        dodge = (
            {str(self._rng.choice(["step_left", "step_right"]))}
            if self._rng.random() < 0.3
            else set()
        )
        if abs(off) > max(AIM, target.width / self.game.depth.shape[1] / 2):
            return {"turn_right" if off > 0 else "turn_left"} | dodge
        return {"fire"} | dodge | ({"forward"} if self._rng.random() < 0.5 else set())

    def _walk(self, has: dict[str, float]) -> set[str]:
        """Towards deep and new ground; a door or a whim where it is stuck."""
        if self._rng.random() < 0.06:
            return self._take_whim()
        first, last = self._trail[0], self._trail[-1]
        if len(self._trail) == 8 and np.hypot(last[0] - first[0], last[1] - first[1]) < 12:
            self._trail = []
            if "use" in self.game.control_names and self._rng.random() < 0.5:
                return {"use"}
            return self._take_whim(str(self._rng.choice(["turn_left", "turn_right"])))
        scores, middle = self._scores(has), SECTORS // 2
        if self._ahead() <= NEAR:  # a wall: on round, not to and fro
            left, right = scores[:middle].max(), scores[middle + 1 :].max()
            return self._take_whim("turn_left" if left > right else "turn_right")
        best = int(scores.argmax()) - middle
        held = set() if best == 0 else {"turn_right" if best > 0 else "turn_left"}
        return held | ({"forward"} if abs(best) < 4 else set())

    def _take_whim(self, *keys: str) -> set[str]:
        """Hold some keys for a while, to no end but to be seen."""
        drawn = keys or tuple(self._rng.choice(self.game.control_names, size=2, replace=False))
        self._whim = (set(map(str, drawn)), int(self._rng.integers(2, LONGEST_WHIM)))
        return self._whim[0]

    def _scores(self, has: dict[str, float]) -> np.ndarray:
        """[SECTORS] how good it is to go there, from left to right."""
        band = self._band()
        depths = np.array(
            [part.min(axis=0).mean() for part in np.array_split(band, SECTORS, axis=1)]
        )
        angles = radians(has["angle"]) - np.radians(np.linspace(-VIEW / 2, VIEW / 2, SECTORS))
        seen = [
            self._visited.get(
                (
                    int((has["x"] + REACH * cos(a)) // CELL),
                    int((has["y"] + REACH * sin(a)) // CELL),
                ),
                0,
            )
            for a in angles
        ]
        straight = 6.0 * (np.arange(SECTORS) == SECTORS // 2)
        return np.minimum(depths, 60) - 4.0 * np.minimum(seen, 10) + straight

    def _band(self) -> np.ndarray:
        """Depth about the horizon; the status bar hides the lowest sixth."""
        rows = self.game.depth.shape[0]
        return self.game.depth[int(0.36 * rows) : int(0.46 * rows)].astype(np.float64)

    def _ahead(self) -> float:
        """Depth straight ahead."""
        columns = self.game.depth.shape[1]
        return float(self._band()[:, int(0.4 * columns) : int(0.6 * columns)].min(axis=0).mean())
