"""`aapt eval`: play both worlds, measure, write eval.json, charts and a report, print a table."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import tyro

from aapt_env import checkpoint as checkpoints
from aapt_env.checkpoint import Checkpoint
from aapt_env.device import pick
from aapt_env.evaluate import camera, outcome, pose, report, rollouts, sanity, stay, summary
from aapt_env.evaluate import meter as meters
from aapt_env.evaluate.course import FORK, UNSEEN, Course
from aapt_env.evaluate.meter import Meter
from aapt_env.evaluate.parts import Figures, Parts
from aapt_env.evaluate.summary import Metrics, Window
from aapt_env.fast import Fast
from aapt_env.flags import sentence
from aapt_env.paths import find_checkpoint, run_dir, writable
from aapt_env.spec import WorldSpec

MINUTE = 60.0  # windows of the dreams that go on alone, in seconds
NEEDS_GAME = "twin PSNR and SSIM, the VAE ceiling, motion, sharpness, control accuracy of the game, drift from the game"
NEEDS_OUTCOME = "reward error by horizon, termination precision and recall"
NEEDS_METER = "control accuracy, forks read back, drift in features, broken frames"


@dataclass(frozen=True, kw_only=True)
class Eval:
    """Hold a dream against its game: the same starts, the same controls.

    Twin PSNR and SSIM beside the VAE's own, controls read back, drift, broken frames, motion, forks and diversity, each
    by horizon. Writes eval.json, report.html and PNGs. An interrupted evaluation goes on where it stopped.

    Example: aapt eval driving --count 32 --seconds 60
    """

    game: str = "driving"
    """Whose world, looked up in checkpoints/ and runs/."""
    checkpoint: str | None = None
    """A checkpoint folder instead."""
    meter: Path | None = None
    """The folder of a meter; by default the game's, as `aapt meter` trains it."""
    out: Path | None = None
    """Where the results go; by default runs/GAME/eval."""
    count: int = 32
    """Starts."""
    seconds: float = 10.0
    """Length of each rollout; 60 shows drift."""
    beyond: float = 0.0
    """Seconds that four of them are dreamt on alone, under the same controls over and over; 300 shows what is left."""
    seed: int = 0
    """Of noise and driver."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the networks run; auto takes CUDA where there is one."""
    weights: Literal["full", "fp8"] = "full"
    """Of the generator's blocks; fp8 shows what rounding them costs."""
    cache: Literal["full", "fp8"] = "full"
    """Of keys and values; likewise."""
    sanity: bool = False
    """Instead, show that the meter can fail: frozen, blurred and disobedient games must score badly."""

    def check(self) -> None:
        """Raises ValueError where there would be nothing to measure."""
        if self.count < 1 or not 0 < self.seconds < np.inf or not 0 <= self.beyond < np.inf:
            raise ValueError(
                f"expected --count >= 1, --seconds > 0 and --beyond >= 0, got {self.count}, {self.seconds:g} and "
                f"{self.beyond:g}"
            )

        if self.seed < 0:
            raise ValueError(f"expected --seed >= 0, got {self.seed}")

    @property
    def folder(self) -> Path:
        """Where the results go."""
        return self.out or run_dir(self.game) / "-".join(
            ["eval", *(f"fp8-{name}" for name in self.rounded)]
        )

    @property
    def rounded(self) -> list[str]:
        """What is in fp8, of weights and cache."""
        return [name for name in ("weights", "cache") if getattr(self, name) != "full"]

    @property
    def command(self) -> str:
        """What was typed, defaults spelled out."""
        words = ["aapt eval", self.game, f"--count {self.count} --seconds {self.seconds:g}"]
        words += [f"--beyond {self.beyond:g}"] if self.beyond else []
        words += [f"--seed {self.seed}"] if self.seed else []
        words += [f"--checkpoint {self.checkpoint}"] if self.checkpoint else []
        words += [f"--meter {self.meter}"] if self.meter else []
        words += [f"--{name} fp8" for name in self.rounded]
        return " ".join(words + (["--sanity"] if self.sanity else []))


def find_meter(
    options: Eval, loaded: Checkpoint, device: torch.device
) -> tuple[Meter | None, str | None]:
    """The meter of a world; or None, and why in one sentence.

    Raises:
        ValueError: one was asked for by name and is damaged or of another world.
    """
    spec = loaded.spec
    folder = options.meter or meters.find(spec.game, loaded.folder)
    if folder is None:
        return (
            None,
            f"no meter is trained for {spec.game}: 'aapt meter {spec.game}' does; without: {NEEDS_METER}",
        )
    meter = meters.load(folder, device)
    try:
        meter.check(spec)
    except ValueError as error:
        if options.meter is not None:
            raise
        return None, f"{error}; without: {NEEDS_METER}"
    return meter, None


def evaluate(options: Eval) -> Metrics:
    """Run everything; returns what eval.json holds under "metrics"."""
    loaded = checkpoints.read(find_checkpoint(options.checkpoint or options.game))
    device, out = pick(options.device), options.folder
    writable(out, "--out DIR")
    meter, why = find_meter(options, loaded, device)
    left_out = [why] if why else []
    twin, reason = rollouts.find_game(loaded.spec)
    if twin is None:
        left_out.append(f"no game to hold the dream against ({reason}); without: {NEEDS_GAME}")
    if loaded.outcome is None:
        left_out.append(f"no outcome head was trained, rewards are 0.0; without: {NEEDS_OUTCOME}")
    for line in left_out:
        print(f"left out: {line}")
    key = {
        "checkpoint": loaded.hash, "meter": meter.hash if meter else None, "game": twin is not None,
        "count": options.count, "seconds": options.seconds, "seed": options.seed, "device": device.type,
    }  # fmt: skip
    key |= dict.fromkeys(options.rounded, "fp8")
    parts, fast = Parts(out, key), Fast(weights=options.weights, cache=options.cache)
    course = Course(
        loaded, twin, meter, parts, options.count, options.seconds, options.seed, device, fast
    )
    try:
        metrics, long, forks = measure(course)
        further, alone = dream_on(course, long, options.beyond)
    finally:
        if twin is not None:
            twin.close()
    about = {
        "game": options.game, "command": options.command, "seed": options.seed, "device": str(device),
        "checkpoint": loaded.hash, "meter": meter.hash if meter else None,
        "held_out_accuracy": meter.about.accuracy if meter else None,
        "left_out": left_out, "training": loaded.training,
    }  # fmt: skip
    metrics |= further
    report.write(out, about, metrics, long, sides(forks, loaded.spec), alone)
    print(summary.text(metrics))
    print(f"written to {out}; the page is {out / 'report.html'}")
    return metrics


def measure(course: Course) -> tuple[Metrics, Figures, Figures]:
    """All metrics, and the figures that pictures are drawn from."""
    spec, seconds = course.checkpoint.spec, course.seconds
    long, idle = course.long(), course.idle()
    forks, seeded = course.forks(long["rows"]), course.seeded(long["rows"])
    metrics = twin_metrics(long, spec, seconds, course.meter)
    five = spans(spec, summary.fives(seconds))
    if course.twin is not None:
        metrics |= stay.drifts(idle, five, "_idle")
    if course.meter is not None:
        if course.twin is None:
            metrics |= stay.from_bank(long, five, course.meter)
        metrics |= stay.broken(idle, five, course.meter, "_idle")
        names = list(rollouts.variants(spec.control))
        within = spans(spec, [(0, 1), (1, 2), (2, FORK)])
        metrics |= stay.forks(forks, within, spec.control, names, f"after {seconds:g}s")
    head = course.checkpoint.outcome
    if head is not None and course.twin is not None:
        within = spans(spec, summary.windows(min(outcome.SECONDS, seconds)))
        metrics |= outcome.metrics(outcome.collect(course), within, float(head.threshold))
        metrics |= outcome.elsewhere(outcome.collect_elsewhere(course, long["rows"]), within)
    if {"left", "right"} <= set(spec.control.names):
        metrics |= stay.steer(forks, list(rollouts.variants(spec.control)))
    if spec.control.kind == "camera" and "yaw" in spec.control.names:
        metrics |= camera.closure(course.loops())
    if spec.control.kind == "pose" and course.twin is not None and course.meter is not None:
        if hasattr(course.twin.game.unwrapped, "unseen_entry"):
            metrics |= pose.keypoints(course.unseen(), spans(spec, [(0, UNSEEN)]), "_unseen")
    metrics |= stay.diversity(seeded, spans(spec, summary.windows(min(10.0, seconds))))
    return metrics, long, forks


def dream_on(course: Course, long: Figures, seconds: float) -> tuple[Metrics, Figures | None]:
    """What is left of a dream after so many seconds; nothing where there are none."""
    if not seconds:
        return {}, None
    alone = course.beyond(long["rows"], seconds)
    edges = summary.cut_at(list(np.arange(0.0, seconds + MINUTE, MINUTE)), seconds)
    within = spans(course.checkpoint.spec, edges)
    return stay.beyond(alone, long, within, course.meter), alone


def twin_metrics(part: Figures, spec: WorldSpec, seconds: float, meter: Meter | None) -> Metrics:
    """What the long rollouts say; only what needs no game where there is none."""
    metrics: Metrics = {}
    short, five = spans(spec, summary.windows(seconds)), spans(spec, summary.fives(seconds))
    if "game_motion" in part:
        metrics |= summary.pictures(part, short) | summary.motion(part, short)
        if "game_limbs" in part:
            metrics |= pose.identity(part, short)
        metrics |= stay.drifts(part, five)
    if meter is not None:
        metrics |= summary.control(part, short, spec.control)
        if spec.control.kind == "camera":
            metrics |= camera.motions(part, short, spec.control)
        if spec.control.kind == "pose":
            metrics |= pose.keypoints(part, short)
        metrics |= stay.broken(part, five, meter)
    return metrics


def spans(spec: WorldSpec, edges: list[tuple[float, float]]) -> list[Window]:
    """Windows at a world's rhythm."""
    return [Window(begin, end, spec.frame_fps, spec.k) for begin, end in edges]


def sides(forks: Figures, spec: WorldSpec) -> Figures | None:
    """The pictures of left and right; None where the controls have no such names."""
    if not {"left", "right"} <= set(spec.control.names):
        return None
    names = list(rollouts.variants(spec.control))
    both = np.array([names.index("left"), names.index("right")])
    return {name: value[:, both] for name, value in forks.items() if name.endswith("_shown")}


def prove(options: Eval) -> bool:
    """`--sanity`: bad games made from the real one must score badly; returns whether all did.

    Raises:
        ValueError: there is no game to make them from.
    """
    loaded = checkpoints.read(find_checkpoint(options.checkpoint or options.game))
    device, out = pick(options.device), writable(options.folder, "--out DIR")
    meter, why = find_meter(options, loaded, device)
    if why:
        print(f"left out: {why}")
    twin, reason = rollouts.find_game(loaded.spec)
    if twin is None:
        raise ValueError(f"--sanity needs the game: {reason}")
    course = Course(
        loaded, twin, meter, Parts(out, {"sanity": loaded.hash}), options.count, options.seconds, options.seed, device
    )  # fmt: skip
    length = course.latents(options.seconds)
    fakes = sanity.fakes(twin, course.starts, length, options.seed, course.mask)
    twin.close()
    found = {
        name: twin_metrics(part, loaded.spec, options.seconds, meter)
        for name, part in sanity.figures_of(fakes, loaded.spec.k, course.mask, meter).items()
    }
    lines = sanity.verdicts(found)
    print(sanity.text(lines))
    sanity.write(out, options.command, found, lines)
    return all(line.good for line in lines)


def main(argv: list[str] | None = None) -> int:
    """Command line; 0, 1 when the meter did not tell a bad game, or 2 after one sentence."""
    try:
        options = tyro.cli(
            Eval, prog="aapt eval", args=argv, config=(tyro.conf.FlagCreatePairsOff,)
        )
        options.check()
        if options.sanity:
            return 0 if prove(options) else 1
        evaluate(options)
    except (ValueError, OSError) as error:
        print(f"aapt eval: {sentence(error)}", file=sys.stderr)
        return 2
    return 0
