"""A driver for CarRacing-v3, so that the recording shows more than grass.

aapt record gym:CarRacing-v3 --policy examples.car_racing:Driver
"""

import numpy as np


class Driver:
    """Steers towards the grey of the road ahead, at a speed of its own, and does something else now and then."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)
        self.speed = self.rng.uniform(15, 45)  # of this episode
        self.whim, self.left = np.zeros(3, np.float32), 0

    def reset(self, game):
        """Take a seat: `game` is the environment itself, which knows its speed."""
        self.game = game

    def __call__(self, frame, info):
        """[steer, gas, brake], each in [-1, 1]; below 0 gas and brake are 0."""
        if self.left == 0 and self.rng.random() < 0.06:
            self.left = int(self.rng.integers(3, 12))
            self.whim = self.rng.uniform(-1, 1, 3).astype(np.float32)
        if self.left:
            self.left -= 1
            return self.whim
        speed = float(np.hypot(*self.game.car.hull.linearVelocity))
        steer = np.clip(2.5 * self.ahead(frame) + self.rng.normal(0, 0.1), -1, 1)
        gas = np.clip(0.1 * (self.speed - speed) - 0.3 * abs(steer), -1, 0.6)
        brake = 0.3 if speed > 1.3 * self.speed else -1.0
        return np.array([steer, gas, brake], np.float32)

    def ahead(self, frame):
        """How far the road lies to the right, -0.5 to 0.5 of the frame's width."""
        height, width = frame.shape[:2]
        red, green, blue = np.moveaxis(
            frame[int(0.35 * height) : int(0.62 * height)].astype(int), 2, 0
        )
        road = (abs(red - green) < 20) & (abs(green - blue) < 20) & (green > 60) & (green < 150)
        places = np.nonzero(road)[1]
        return places.mean() / width - 0.5 if len(places) > 10 else 0.3
