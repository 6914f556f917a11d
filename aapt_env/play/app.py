"""`python -m aapt_env.play --game driving`: flags, then a window, or a video where there is no display."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import gymnasium as gym
import tyro
from tyro.conf import arg

from aapt_env import flags
from aapt_env.fast import Fast
from aapt_env.flags import sentence, unless
from aapt_env.play import opening, window
from aapt_env.play.recorder import Recorder, recording_place
from aapt_env.play.runner import Runner
from aapt_env.play.session import Session, Setup

SECONDS = 10  # a headless run, unless --frames says otherwise
SEEDS = 2**62  # a dataset has 64 bits for a seed, and every episode takes the next one


@dataclass(frozen=True, kw_only=True)
class Play:
    """Play a world with keyboard or gamepad; F1 shows the keys.

    With no display the policy drives for 10 seconds, and a video and a contact sheet are written to recordings/.

    Example: python -m aapt_env.play --game driving --scene time=night
    """

    game: Annotated[str, arg(metavar="GAME")] = "driving"
    """driving, gym:ID, or any other world that was trained; with --real the game itself."""
    real: bool = False
    """Play the game itself, not its dream. --game-itself is the same."""
    checkpoint: Annotated[
        str | None, unless("the world of that name, from checkpoints/ or runs/", "DIR")
    ] = None
    """Folder of a checkpoint or a run, or a repository on a Hub: org/name."""
    device: Annotated[str, arg(metavar="NAME")] = "auto"
    """auto, cpu, cuda or cuda:1."""
    fast: Literal["auto", "plain", "compile", "graphs"] = "auto"
    """How a step is run; auto: CUDA graphs on a GPU, weights laid out once on a CPU. compile is torch.compile."""
    kernels: bool = False
    """Run fused Triton kernels, on a GPU."""
    weights: Literal["full", "fp8"] = "full"
    """Of the generator's blocks; fp8 costs some quality."""
    cache: Literal["full", "fp8"] = "full"
    """Of keys and values; fp8 takes half the memory of bf16 and costs some quality."""
    seed: Annotated[int | None, unless("a new one each time; 0 without a window", "N")] = None
    """The first episode's. The same seed and keys give the same frames."""
    scene: Annotated[flags.Words, unless("any", "NAME=VALUE ...")] = ()
    """Fix attributes of the scene: --scene time=night weather=rain."""
    start: Annotated[str | None, unless("one of the checkpoint's, by --seed", "START")] = None
    """Where the dream begins: the number of a start in the checkpoint, or an image file (its middle is taken)."""
    pose: Annotated[str | None, unless("keys and mouse", "FILE")] = None
    """Of worlds whose control is a pose: a file of poses to replay (JSON, CSV, NPZ, BVH), or webcam."""
    frames: Annotated[int | None, unless("no limit in a window, 10 seconds without one", "N")] = (
        None
    )
    """Stop after so many RGB frames."""
    record: bool = False
    """Record a dataset from the first frame (Tab does it later)."""
    out: Annotated[Path, arg(metavar="DIR")] = Path("recordings")
    """Folder for recordings, videos and contact sheets."""
    fps: Annotated[float | None, unless("the world's own", "N")] = None
    """Frames per second, 1 to 240."""
    scale: Annotated[float | None, unless("what suits the screen", "N")] = None
    """Screen pixels per frame pixel, 1 to 64."""
    size: Annotated[int, arg(metavar="PIXELS")] = 256
    """Pixels of the game itself (--real), a multiple of 8 up to 4096."""
    keys: Annotated[str | None, unless("the world's own", "FILE")] = None
    """A keymap file (docs/your-own-game.md), or ask, to be asked for each key."""
    headless: bool = False
    """Write a video even where there is a display."""

    def wanted(self, otherwise: int) -> opening.Wanted:
        """What has to be opened; `otherwise` is the seed where none is asked for."""
        return opening.Wanted(
            game=self.game,
            real=self.real,
            checkpoint=self.checkpoint,
            device=self.device,
            fast=Fast(way=self.fast, kernels=self.kernels, weights=self.weights, cache=self.cache),
            scene=flags.parse_scene(self.scene),
            start=self.start,
            size=self.size,
            keys=self.keys,
            pose=self.pose,
            seed=otherwise if self.seed is None else self.seed,
        )

    def run(self) -> None:
        """Play.

        Raises:
            ValueError: something cannot be opened or written; says what and what to do.
        """
        self._check()
        filmed = self.headless or not window.screen_there()
        wanted = self.wanted(0 if filmed else random.randrange(10_000))
        opening.check(wanted)
        if filmed:
            self._film(wanted)
        else:
            self._show(wanted)

    def _check(self) -> None:
        """Numbers that make no sense."""
        if self.frames is not None and self.frames < 1:
            raise ValueError(f"--frames {self.frames}: expected a whole number >= 1")
        for name, most in (("fps", 240), ("scale", 64)):
            value = getattr(self, name)
            if value is not None and not 1 <= value <= most:
                raise ValueError(f"--{name} {value}: expected 1 to {most}")
        if self.seed is not None and not 0 <= self.seed < SEEDS:
            raise ValueError(f"--seed {self.seed}: expected a whole number from 0 to {SEEDS - 1}")
        if not 8 <= self.size <= flags.LARGEST or self.size % 8:
            raise ValueError(
                f"--size {self.size}: expected a multiple of 8, and at most {flags.LARGEST}"
            )

    def _film(self, wanted: opening.Wanted) -> None:
        from aapt_env.play import headless  # here, because a window needs no video library

        recording_place(self.out, wanted.name)  # before a world is loaded for nothing
        session = Session(opening.open_setup(wanted), wanted.seed)
        spec = session.spec
        rate = self.fps or spec.frame_fps
        frames = self.frames or round(SECONDS * rate)
        recorder = self._recorder(session.setup) if self.record else None
        try:
            outcome = headless.play(session, self.out, frames=frames, fps=rate, recorder=recorder)
        except KeyboardInterrupt:
            print(f"what was made so far is in {self.out}")
            raise
        finally:
            session.close()
        why = "As asked, no window" if self.headless else "There is no display"
        print(headless.report(outcome, why, frames / rate))

    def _recorder(self, setup: Setup) -> Recorder:
        return Recorder(self.out, setup.spec, dream=setup.dream)

    def _show(self, wanted: opening.Wanted) -> None:
        if self.record:
            recording_place(self.out, wanted.name)
        runner = Runner(
            lambda: Session(opening.open_setup(wanted), wanted.seed),
            self._recorder,
        )
        kind = "game" if wanted.itself else "dream"
        shown = window.Window(
            runner,
            title=f"{wanted.name} {kind} - aapt",
            fps=self.fps or 0.0,
            scale=self.scale or 0.0,
            limit=self.frames or 0,
            record=self.record,
        )
        try:
            shown.run()
        finally:
            for place in runner.recorder.saved if runner.recorder is not None else ():
                print(f"recorded {place}")
        if runner.recorder is not None and runner.recorder.error is not None:
            raise runner.recorder.error


def main(argv: Sequence[str] | None = None) -> int:
    """0 when done, 1 when the world stopped by itself, 2 for a request that cannot be met, 130 when interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    words = ["--real" if word == "--game-itself" else word for word in words]
    try:
        tyro.cli(
            Play,
            prog="python -m aapt_env.play",
            args=words,
            config=(tyro.conf.FlagCreatePairsOff,),
        ).run()
        return 0
    except KeyboardInterrupt as asked:
        print(f"aapt play: stopped by {asked.args[0] if asked.args else 'Ctrl-C'}", file=sys.stderr)
        return 130
    except Exception as error:
        if os.environ.get("AAPT_DEBUG"):
            raise
        asked = isinstance(error, (ValueError, OSError, gym.error.Error))
        kind = "" if asked else f"{type(error).__name__}: "
        print(f"aapt play: {kind}{sentence(error)}", file=sys.stderr)
        return 2 if asked else 1
