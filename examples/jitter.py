"""Hands like an agent's that is still learning: `aapt record driving --policy jitter:agent`, in this folder.

From elsewhere, with PYTHONPATH=examples.
"""

import numpy as np

KEYS = 4  # left, right, throttle, brake


class Jitter:
    """Each key is pressed with a chance of its own, drawn anew at every latent; other chances every 2 to 10 seconds."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.chance, self.left = self.draw(), 0

    def draw(self):
        """How likely each key is, mostly near 0 or 1."""
        return self.rng.beta(0.7, 0.7, KEYS)

    def __call__(self, observation, info):
        """The keys of the next latent, int8 [4]."""
        if self.left == 0:
            self.left, self.chance = int(self.rng.integers(12, 60)), self.draw()
        self.left -= 1
        return (self.rng.random(KEYS) < self.chance).astype(np.int8)


def agent(seed):
    """The policy of an episode."""
    return Jitter(seed)
