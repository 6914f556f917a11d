"""The scripted policy: a performer who walks, runs, dances, falls, and takes poses no clip contains."""

from __future__ import annotations

from typing import Any

import numpy as np

from aapt_games.chance import by_share, one_of
from aapt_games.puppet.angles import draw
from aapt_games.puppet.motions import CLIPS, DANCES, RUN, UNSEEN, UPPER, WALK, Clip, Gait, mixed
from aapt_games.puppet.puppeteer import EDGE, HANDLES, Puppeteer

ACTS = {  # name: share of the time it is begun
    "walk": 3.0, "run": 1.2, "idle": 4.0, "clip": 4.0, "dance": 1.6, "poses": 4.0, "gestures": 1.6,
    "reach": 2.0, "crouch": 0.8, "freeze": 1.2,
}  # fmt: skip
STANDING = (1.0, 10.0)  # seconds: who plays often does nothing for a while
HOLDING = (0.5, 6.0)  # seconds of a pose that is held
ONCE = ("wave", "jump", "crouch", "fall", "cartwheel", "clap", "bow", "twirl", "flex")


class Driver:
    """Decides the next pose, once per latent.

    Args:
        seed: decides everything.
    """

    acts, once = ACTS, ONCE

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)
        self.puppeteer: Puppeteer | None = None

    def reset(self, env: Any) -> None:
        """Take the strings of `env`, the unwrapped game, after its reset."""
        rng = self.rng
        self.env, self.last = env, env.frame
        self.puppeteer = Puppeteer(
            env.body.lengths, float(env.pose[0, 0]), float(rng.uniform(0, 6))
        )
        self.puppeteer.gait = self._gait()
        self.tempo = float(rng.uniform(0.8, 1.25))
        self.act, self.until = "idle", 0.4
        self.walk = self.run = self.low = 0.0
        self.clock = 0.0

    def _gait(self) -> Gait:
        rng = self.rng
        gait = mixed(WALK, RUN, float(rng.choice((0.0, 0.15, 0.3))))
        change = rng.uniform(0.75, 1.25, 4)
        return Gait(
            stride=gait.stride * change[0], knee=gait.knee * change[1], arms=gait.arms * change[2],
            elbow=gait.elbow, lean=float(rng.uniform(-3, 9)), bounce=gait.bounce, rate=gait.rate * change[3],
        )  # fmt: skip

    def __call__(self, obs: np.ndarray, info: dict[str, Any]) -> np.ndarray:
        """The pose for the coming latent, [54] float32."""
        puppeteer = self.puppeteer
        assert puppeteer is not None, "reset(env) comes first"
        held = min(max(self.env.frame - self.last, 1), 8) if self.env.frame > self.last else 4
        self.last = self.env.frame
        self.clock += held / 24
        if self.clock >= self.until and not (puppeteer.busy and self.act != "dance"):
            self._begin()
        if self.act in ("walk", "run", "low walk") and abs(puppeteer.at[0]) > EDGE - 0.08:
            self.walk = -float(np.sign(puppeteer.at[0])) * abs(self.walk)
        if self.act == "reach" and self.rng.random() < 0.25:
            self._pull()
        pose = puppeteer.advance(self.walk, self.run, self.low, round(held * self.tempo) or 1)
        return pose.astype(np.float32).reshape(-1).clip(-1, 1)

    def _begin(self) -> None:
        """Choose what comes next."""
        rng, puppeteer = self.rng, self.puppeteer
        assert puppeteer is not None
        for joint in HANDLES:
            puppeteer.pull(joint, None)
        self.act = by_share(rng, self.acts)
        self.walk = self.run = self.low = 0.0
        lasts = STANDING if self.act == "idle" else (0.8, 2.5)
        self.until = self.clock + float(rng.uniform(*lasts))
        way = -1.0 if rng.random() < 0.5 + 0.6 * puppeteer.at[0] else 1.0
        if self.act in ("walk", "run"):
            self.walk, self.run = way * float(rng.uniform(0.6, 1)), float(self.act == "run")
        elif self.act == "crouch":
            self.low, self.walk = float(rng.uniform(0.4, 1)), way * float(rng.random() < 0.4)
        elif self.act == "clip":
            puppeteer.play(CLIPS[one_of(rng, self.once)], mirror=rng.random() < 0.5)
            self.walk = way * float(rng.random() < 0.2)
        elif self.act == "dance":
            seconds = float(rng.uniform(1.5, 5))
            puppeteer.play(CLIPS[one_of(rng, DANCES)], seconds, rng.random() < 0.5)
            self.until = self.clock + seconds
        elif self.act in ("poses", "gestures", "freeze"):
            puppeteer.play(self._poses(self.act))
            self.walk = way * float(self.act == "gestures" and rng.random() < 0.6)
        elif self.act == "reach":
            self._pull()

    def _poses(self, act: str) -> Clip:
        """A clip of random poses; "freeze" holds one."""
        rng = self.rng
        puppeteer = self.puppeteer
        assert puppeteer is not None
        count = 1 if act == "freeze" else int(rng.integers(2, 6))
        keys, times = [puppeteer.angles.copy()], [0.0]
        for _ in range(count):
            key = draw(rng, float(rng.uniform(0.4, 1.0)))
            if act == "gestures":
                key[22:25] = 0
            keys.append(key)
            times.append(times[-1] + float(rng.uniform(0.25, 1.0)))
            if act == "freeze" or rng.random() < 0.3:
                keys.append(key)
                still = HOLDING if act == "freeze" else (0.3, 1.6)
                times.append(times[-1] + float(rng.uniform(*still)))
        mask = UPPER if act == "gestures" else np.ones_like(UPPER)
        return Clip(times=times, keys=keys, mask=mask)

    def _pull(self) -> None:
        """Pull a hand or a foot somewhere, as a player's mouse does."""
        rng, puppeteer = self.rng, self.puppeteer
        assert puppeteer is not None
        joint = list(HANDLES)[int(rng.choice(4, p=(0.35, 0.35, 0.15, 0.15)))]
        root = puppeteer.pose[HANDLES[joint][0]][:2]
        spread = (0.45, 0.45) if joint < 10 else (0.35, 0.2)
        way = rng.normal(0, spread) + (0, -0.35 if joint > 10 else 0.05)
        puppeteer.pull(joint, None if rng.random() < 0.25 else root + way)


class Unseen(Driver):
    """The same performer with motions that `Driver` never plays, one after the other; for the meter."""

    acts, once = {"clip": 1.0}, UNSEEN
