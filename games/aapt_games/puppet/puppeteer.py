"""Who moves the figure: walks where asked, plays clips over it, plants the feet, lets hands reach."""

from __future__ import annotations

import numpy as np

from aapt_games.puppet import motions
from aapt_games.puppet.angles import EASE, bones, clip, size_of, stand
from aapt_games.puppet.limits import into_frame, reach
from aapt_games.puppet.motions import CLIPS, Clip, Gait, cycle, idle, mixed, other_way
from aapt_games.puppet.skeleton import ARMS, LEGS, LENGTHS, SOLES, to_frame

FPS = 24
EDGE = 0.66  # of the stage, from the middle
WALKING = 60.0  # degrees to the side when walking
HANDLES = {
    6: ARMS[0],
    9: ARMS[1],
    12: LEGS[0][:3],
    16: LEGS[1][:3],
}  # what can be pulled: joint -> chain
BLEND = 0.22  # seconds in which a clip begins and ends


class Puppeteer:
    """Makes one pose after the other.

    Args:
        lengths: [JOINTS] of the body's limbs.
        x: where it stands, -EDGE to EDGE.
        mood: any number; decides where it looks when idle.
    """

    def __init__(self, lengths: np.ndarray = LENGTHS, x: float = 0.0, mood: float = 0.0):
        self.lengths, self.mood, self.size = np.asarray(lengths, float), mood, size_of(lengths)
        self.at = np.array((float(np.clip(x, -EDGE, EDGE)), 0.0))  # x and z of the hips
        self.pace = np.zeros(2)  # of the hips, per frame
        self.angles, self.clock, self.phase = EASE.copy(), 0.0, 0.0
        self.gait, self.speed, self.low, self.yaw, self.side = motions.WALK, 0.0, 0.0, 0.0, 1.0
        self.clip: Clip | None = None
        self.name = ""  # of the clip
        self.time, self.until = 0.0, 0.0
        self.pulls: dict[int, tuple[np.ndarray, float]] = {}  # joint -> place, share
        self.pulled: dict[int, np.ndarray] = {}
        self.root = self._root()
        self.pose = self._seen()

    def play(self, one: Clip | str, seconds: float | None = None, mirror: bool = False) -> None:
        """Begin a clip; a name that already plays as a loop ends instead."""
        name = one if isinstance(one, str) else ""
        if name and name == self.name and self.clip is not None and self.clip.loop:
            self.until = min(self.until, self.time + BLEND)
            return
        self.clip = CLIPS[one] if isinstance(one, str) else one
        self.name = name
        if mirror:
            self.clip = other_way(self.clip)
        self.time = 0.0
        self.until = seconds or (6.0 if self.clip.loop else self.clip.seconds)

    @property
    def busy(self) -> bool:
        """Whether a clip plays."""
        return self.clip is not None

    def pull(self, joint: int, place: np.ndarray | None) -> None:
        """Hold a hand or an ankle at a place [2] of the frame, or let it go."""
        if place is None:
            self.pulled.pop(joint, None)
        else:
            self.pulled[joint] = np.asarray(place, float)

    def advance(
        self, walk: float = 0.0, run: float = 0.0, low: float = 0.0, frames: int = 4
    ) -> np.ndarray:
        """The pose after some frames.

        Args:
            walk: -1 (left) to 1 (right).
            run: 0 walks, 1 runs.
            low: 0 stands, 1 crouches.
            frames: of 1/24 s.

        Returns:
            [JOINTS, 3] keypoints in the frame.
        """
        for _ in range(frames):
            self._frame(walk, run, low)
        self.pose = self._seen()
        self._hold()
        return self.pose

    def _frame(self, walk: float, run: float, low: float) -> None:
        if (self.at[0] > EDGE and walk > 0) or (self.at[0] < -EDGE and walk < 0):
            walk = 0.0
        self.clock += 1 / FPS
        self.speed += (abs(walk) - self.speed) * 0.2
        self.low += (low - self.low) * 0.2
        if abs(walk) > 0.1:
            self.side = 1.0 if walk > 0 else -1.0
        gait: Gait = mixed(self.gait, motions.RUN, run)
        self.phase += gait.rate / FPS * min(1.0, 0.4 + 0.6 * self.speed)
        goal = idle(self.clock, self.mood)
        goal += (cycle(gait, self.phase) - goal) * min(1.0, 1.25 * self.speed)
        goal += (CLIPS["crouch"].keys[1] - goal) * 0.8 * self.low
        turn = WALKING * self.side * min(1.0, 2 * self.speed) if abs(walk) > 0.1 else 0.0
        goal[22] = turn
        goal = self._over(goal)
        self.angles[:22] += (goal[:22] - self.angles[:22]) * 0.55
        self.angles[22:] += (goal[22:] - self.angles[22:]) * (0.3, 0.55, 0.55, 0.7)
        self._move()

    def _over(self, goal: np.ndarray) -> np.ndarray:
        """What the clip makes of it."""
        if self.clip is None:
            return goal
        self.time += 1 / FPS
        if self.time >= self.until:
            self.clip, self.name = None, ""
            self.angles[22:25] -= 360 * np.round(self.angles[22:25] / 360)
            return goal
        share = min(self.time, self.until - self.time, BLEND) / BLEND
        wanted = self.clip.at(self.time)
        wanted[22] += self.clip.side * self.side
        mask = self.clip.mask * share
        mask[22:25] = np.maximum(mask[22:25], self.clip.mask[22:25])  # turns end where they end
        return goal + (wanted - goal) * mask

    def _root(self) -> np.ndarray:
        """Joints in the world when the hips are over x = z = 0."""
        vector = clip(self.angles)
        return stand(bones(vector, self.lengths), float(vector[25]), self.size)

    def _move(self) -> None:
        """The joint that stands on the ground stays where it is; in flight the hips keep their pace."""
        before, self.root = self.root, self._root()
        if self.angles[25] < 0.012:
            foot = int((before[:, 1] - SOLES * self.size).argmin())
            self.pace += 0.7 * ((before - self.root)[foot, [0, 2]] - self.pace)
        self.at += np.clip(self.pace, -0.12, 0.12)
        self.at[1] *= 0.9
        self.at[0] = np.clip(self.at[0], -EDGE - 0.1, EDGE + 0.1)

    def _seen(self) -> np.ndarray:
        world = self.root.copy()
        world[:, 0] += self.at[0]
        world[:, 2] += self.at[1]
        return into_frame(to_frame(world), self.size)

    def _hold(self) -> None:
        """Hands and feet that are pulled, or were just let go."""
        for joint in set(self.pulls) | set(self.pulled):
            place, share = self.pulls.get(joint, (self.pose[joint][:2], 0.0))
            if joint in self.pulled:
                place, share = self.pulled[joint], min(1.0, share + 0.5)
            else:
                share -= 0.34
            self.pulls[joint] = place, share
            if share <= 0:
                del self.pulls[joint]
                continue
            self.pose = reach(self.pose, HANDLES[joint], place, share)
        if self.pulls:
            self.pose = into_frame(self.pose, self.size)
