"""A driver for CarRacing-v3, so that the recording shows more than grass.

aapt record gym:CarRacing-v3 --policy examples.car_racing:Driver
"""

import numpy as np


class Driver:
    """Steers along the track, at a speed of its own, and does something else now and then."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)
        self.speed = self.rng.uniform(20, 40)  # of this episode
        self.whim, self.left = np.zeros(3, np.float32), 0

    def reset(self, game):
        """Take a seat: `game` is the environment itself, which knows its speed."""
        self.game = game

    def __call__(self, frame, info):
        """[steer, gas, brake], each in [-1, 1]; below 0 gas and brake are 0."""
        if self.left == 0 and self.rng.random() < 0.02:
            self.left = int(self.rng.integers(3, 12))
            self.whim = self.rng.uniform(-1, 1, 3).astype(np.float32)
        if self.left:
            self.left -= 1
            return self.whim
        speed = float(np.hypot(*self.game.car.hull.linearVelocity))
        steer = np.clip(0.8 * self.ahead() + self.rng.normal(0, 0.1), -1, 1)
        wanted = self.speed * (1 - 0.4 * min(1.0, abs(steer)))  # slower in a bend
        gas = np.clip(0.1 * (wanted - speed), -1, 0.6)
        brake = 0.3 if speed > 1.3 * wanted else -1.0
        return np.array([steer, gas, brake], np.float32)

    def ahead(self):
        """Radians from where the car looks to the track some way ahead, right positive; back to it from the grass."""
        hull = self.game.car.hull
        track = np.array(self.game.track)[:, 2:]  # x, y of its middle
        nearest = int(np.hypot(*(track - hull.position).T).argmin())
        x, y = track[(nearest + 4) % len(track)] - hull.position
        off = np.arctan2(-x, y) - hull.angle  # an angle of 0 looks along y, more turns left
        return -float((off + np.pi) % (2 * np.pi) - np.pi)
