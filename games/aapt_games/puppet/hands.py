"""How a player moves the figure: keys start motions, the mouse pulls a hand or a foot, a sequence is followed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aapt_games.puppet import files, limits
from aapt_games.puppet.motions import CLIPS
from aapt_games.puppet.puppeteer import HANDLES, Puppeteer
from aapt_games.puppet.skeleton import JOINTS, LENGTHS, facing, lengths_of
from aapt_games.puppet.webcam import Webcam

MOTIONS = (
    "wave",
    "twirl",
    "fall",
    "cartwheel",
    "kick",
    "clap",
    "bow",
    "sway",
    "disco",
)  # keys 1 to 9
GRIP = 0.16  # units within which the mouse finds a hand or a foot
GONE = "The webcam stopped; keys and mouse move the figure now"
TOLD = "This body cannot take that pose: it takes the nearest that it can"


class Hands:
    """Turns held keys into poses, one per latent.

    `names` and `keymap` say what the keys are called, as a game's do; a call takes one number per name, 0 or 1.
    """

    names = ("left", "right", "jump", "crouch", "run", *MOTIONS)
    keymap = (
        (("left",), 0, 1.0), (("a",), 0, 1.0), (("right",), 1, 1.0), (("d",), 1, 1.0), (("up",), 2, 1.0),
        (("w",), 2, 1.0), (("down",), 3, 1.0), (("s",), 3, 1.0), (("left shift",), 4, 1.0),
        *(((str(i + 1),), 5 + i, 1.0) for i in range(len(MOTIONS))),
    )  # fmt: skip

    def __init__(self) -> None:
        self.note = ""  # what the player has to be told
        self.sequence: Sequence[np.ndarray] = ()
        self.webcam: Webcam | None = None
        self.grip: int | None = None  # the joint that the mouse holds
        self.begin(None)

    def begin(self, row: Sequence[float] | np.ndarray | None) -> None:
        """Take over a figure where a control [54] left it; from the middle without one."""
        pose = limits.REST if row is None else np.asarray(row, float).reshape(JOINTS, 3)
        fits = row is not None and np.ptp(pose[:, 1]) > 0.2
        self.lengths = lengths_of(pose).clip(0.6 * LENGTHS, 1.4 * LENGTHS) if fits else LENGTHS
        self.puppeteer = Puppeteer(self.lengths, float(pose[0, 0]))
        forward = facing(pose)[2]
        self.puppeteer.angles[22] = np.degrees(np.arctan2(forward[0], forward[2]))
        self.before = np.zeros(len(self.names))
        self.pose, self.number = pose, 0
        self.drop()

    def replay(self, source: str, rate: float) -> None:
        """Follow a file of poses, or a webcam, at `rate` poses per second.

        Raises:
            ValueError: it cannot be read, or holds no poses of this skeleton; says what was expected.
        """
        if source == "webcam":
            self.webcam = Webcam(self.lengths)
        else:
            self.follow(files.read(Path(source), rate))

    def follow(self, poses: Sequence[np.ndarray]) -> None:
        """Play a sequence of poses [JOINTS, 3], one per latent, over and over; keys are not read meanwhile."""
        self.sequence = poses

    def __call__(self, held: np.ndarray) -> np.ndarray:
        """The pose for the coming latent, float32 [54]."""
        wanted = self._told()
        if wanted is not None:
            self.pose, clamped = limits.hold(wanted, self.lengths)
            self.note = TOLD if clamped else self.note
            return self._row()
        fresh = np.asarray(held) > self.before
        self.before = np.asarray(held).copy()
        left, right, jump, crouch, run = (float(v) for v in held[:5])
        for name, down in zip((*[""] * 5, *MOTIONS), fresh, strict=True):
            if name and down:
                self.puppeteer.play(name)
        if jump and not self.puppeteer.busy:
            self.puppeteer.play(CLIPS["jump"])
        self.pose = self.puppeteer.advance(right - left, run, crouch)
        return self._row()

    def _told(self) -> np.ndarray | None:
        """The next pose of the sequence or the webcam; None where keys move the figure."""
        if len(self.sequence):
            self.number += 1
            return self.sequence[(self.number - 1) % len(self.sequence)]
        if self.webcam is None:
            return None
        try:
            seen = self.webcam.read()
        except Exception as error:  # whatever a camera does must not end the play
            self.webcam.close()
            self.webcam, self.note = None, f"{GONE} ({' '.join(str(error).split())})"
            return None
        return self.pose if seen is None else seen

    def grab(self, x: float, y: float) -> bool:
        """Take hold of the hand or foot at a place of the frame; False where there is none."""
        far = {j: float(np.hypot(*(self.pose[j, :2] - (x, y)))) for j in HANDLES}
        joint = min(far, key=lambda j: far[j])
        self.grip = joint if far[joint] < GRIP else None
        self.drag(x, y)
        return self.grip is not None

    def drag(self, x: float, y: float) -> None:
        """Pull what is held to a place of the frame."""
        if self.grip is not None:
            self.puppeteer.pull(self.grip, np.array((x, y)))

    def drop(self) -> None:
        """Let go."""
        if self.grip is not None:
            self.puppeteer.pull(self.grip, None)
        self.grip = None

    def _row(self) -> np.ndarray:
        return self.pose.astype(np.float32).reshape(-1).clip(-1, 1)
