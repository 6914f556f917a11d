"""What was measured, in words and as JSON."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aapt_env.bench.clock import Times
from aapt_env.bench.floor import Rates, Work
from aapt_env.bench.machine import Machine
from aapt_env.bench.need import Need, size
from aapt_env.bench.rollout import GROWTH, SLOWING, Rollout

MB = 1e6
SPREAD = 0.15  # between the quartiles over the median: what a quiet machine stays below
OUTLIER = 2.5  # p99 over median, likewise


@dataclass(frozen=True)
class Subject:
    """What was measured, and by which command."""

    command: str
    world: str  # game, frame size, frames per latent
    checkpoint: str  # sha256 of its config.json, or that there is none
    batch: int
    dtype: str  # of the networks
    k: int  # frames per latent
    frame_fps: int  # of real time
    assumes: tuple[str, ...] = ()  # how a named shape was read
    counted: bool = False  # nothing is measured


@dataclass(frozen=True)
class Part:
    """Time of one part of a step beside its floor."""

    name: str
    median: float  # milliseconds
    p99: float  # milliseconds
    flops: int
    bytes: int
    floor: float  # milliseconds
    over_floor: float  # median over floor
    share: float  # of the matmul rate that is reached


def part(name: str, times: np.ndarray, work: Work, rates: Rates, dtype: str) -> Part:
    """One row of the table."""
    median, floor = float(np.median(times)), rates.floor(work, dtype)
    return Part(
        name=name,
        median=median,
        p99=float(np.percentile(times, 99)),
        flops=work.flops,
        bytes=work.bytes,
        floor=floor,
        over_floor=median / floor,
        share=1000 * work.flops / median / rates.matmul[dtype],
    )


@dataclass(frozen=True)
class Speed:
    """All figures of one run."""

    steps: int
    parts: tuple[Part, Part, Part]  # step, generator, decoder
    rates: Rates
    peak_resident: int | None  # bytes, before the machine itself was measured
    peak_cuda: int | None  # bytes
    spread: float = 0.0  # of the steps: between their quartiles, over their median
    ran: str = ""  # how the steps were run in the end
    ready: float = 0.0  # seconds of compiling and recording, in steps that do not count
    pages: float | None = None  # of memory, new from the system, per step

    @property
    def steady(self) -> bool:
        """Whether the steps are alike enough to be trusted."""
        step = self.parts[0]
        return self.spread <= SPREAD and step.p99 <= OUTLIER * step.median

    @classmethod
    def of(
        cls,
        times: Times,
        work: tuple[Work, Work],
        rates: Rates,
        dtype: str,
        peaks: tuple,
        ran: str = "",
    ) -> Speed:
        """Put times, work and machine beside each other."""
        generator, decoder = work
        parts = (
            part("step", times.step, generator + decoder, rates, dtype),
            part("generator", times.generator, generator, rates, dtype),
            part("decoder", times.decoder, decoder, rates, dtype),
        )
        quarter, half, most = np.percentile(times.step, (25, 50, 75))
        spread = float((most - quarter) / half)
        return cls(len(times.step), parts, rates, *peaks, spread, ran, times.ready, times.pages)


def header(subject: Subject, machine: Machine) -> str:
    """Who, what, where: the first lines of every report."""
    lines = [
        f"command     {subject.command}",
        f"world       {subject.world}, batch {subject.batch}, {subject.dtype}",
        f"checkpoint  {subject.checkpoint}",
        f"machine     {machine.device}; {machine.cpu}, {machine.cores} cores; torch {machine.torch}, "
        f"{machine.threads} threads",
    ]
    names = ["assumes", *[""] * len(subject.assumes)]
    lines += [f"{name:<11} {line}" for name, line in zip(names, subject.assumes, strict=False)]
    if "random" in subject.checkpoint:
        lines.append("            random weights: these figures are of speed only")
    if machine.load > machine.cores / 2 and not subject.counted:
        lines.append(
            f"            busy: {machine.load} programs wanted these cores just before, so times are too long"
        )
    return "\n".join(lines)


def table(speed: Speed, subject: Subject) -> str:
    """The parts of a step, one row each, then machine, memory and real time."""
    rows = ["part          median       p99   GFLOP      MB   floor ms  x floor  of matmul rate"]
    rows += [
        f"{p.name:<10} {p.median:>6.2f} ms {p.p99:>6.2f} ms {p.flops / 1e9:>7.3f} {p.bytes / MB:>7.1f} "
        f"{p.floor:>10.3f} {p.over_floor:>8.1f} {100 * p.share:>14.1f}%"
        for p in speed.parts
    ]
    ran = f"ran as      {speed.ran}; made ready in {speed.ready:.1f} s before these steps"
    lines = [*rows, "", ran, limits(speed.rates), memory(speed), real_time(speed, subject)]
    return "\n".join([*lines, *([] if speed.steady else [unsteady(speed)])])


def unsteady(speed: Speed) -> str:
    """What is wrong with a run that something else disturbed."""
    step = speed.parts[0]
    return (
        f"spread too wide to trust: half of the steps lie within {100 * speed.spread:.0f} % of the median, p99 is "
        f"{step.p99 / step.median:.1f} times it (a quiet machine: below {100 * SPREAD:.0f} % and {OUTLIER}); "
        "something else was at work, measure again"
    )


def counted(work: tuple[Work, Work], need: Need) -> str:
    """Counts of one step, and the memory it takes; nothing is measured."""
    generator, decoder = work
    parts = {"step": generator + decoder, "generator": generator, "decoder": decoder}
    rows = ["part             GFLOP         MB"]
    rows += [f"{n:<10} {w.flops / 1e9:>11,.3f} {w.bytes / MB:>10,.1f}" for n, w in parts.items()]
    return "\n".join(
        [
            *rows,
            "",
            f"memory      about {size(need.total)}: {size(need.weights)} weights, {size(need.memory)} cache and state, "
            f"{size(need.step)} for a step",
            "counted only: nothing was measured",
        ]
    )


def limits(rates: Rates) -> str:
    """What the machine can do."""
    best = ", ".join(
        f"{name} {rate / 1e9:,.0f} GFLOP/s ({'x'.join(map(str, rates.shape[name]))})"
        for name, rate in rates.matmul.items()
    )
    return f"matmul      {best}\ncopy        {rates.bandwidth / 1e9:.1f} GB/s"


def memory(speed: Speed) -> str:
    """Peaks."""
    peaks = {"process": speed.peak_resident, "GPU": speed.peak_cuda}
    known = [f"{name} {peak / MB:,.0f} MB" for name, peak in peaks.items() if peak is not None]
    if speed.pages is not None:
        known.append(f"{speed.pages:.1f} pages of new memory per step")
    return f"peak        {', '.join(known) or 'unknown on this system'}"


def real_time(speed: Speed, subject: Subject) -> str:
    """How one row compares with the game's own pace."""
    step, k, fps = speed.parts[0], subject.k, subject.frame_fps
    rate, period = 1000 * k / step.median, 1000 * k / fps
    holds = "fits" if step.p99 <= period else "does not fit"
    rows = f"; all {subject.batch} rows: {rate * subject.batch:.1f}" if subject.batch > 1 else ""
    return (
        f"per frame   {step.median / k:.2f} ms\n"
        f"plays at {rate:.1f} frames/s: {rate / fps:.2f} times real time ({fps}){rows}\n"
        f"p99 of {speed.steps} steps, {step.p99:.1f} ms, {holds} the {period:.0f} ms of one latent"
    )


def long_dream(rollout: Rollout) -> str:
    """Memory along the way, and whether it and the step stay flat."""
    lines = ["   steps   process MB   GPU MB   step ms"]
    for mark, median in zip(rollout.marks, [None, *rollout.medians], strict=True):
        held = "?" if mark.resident is None else f"{mark.resident / MB:.1f}"
        took = "" if median is None else f"{median:.2f}"
        lines.append(f"{mark.steps:>8} {held:>12} {mark.allocated / MB:>8.1f} {took:>9}")
    growth = "unknown" if rollout.growth is None else f"{rollout.growth / MB:+.1f} MB"
    return "\n".join(
        [
            *lines,
            f"memory {verdict(rollout.memory_flat)}: {growth} from the end of the first tenth to the end "
            f"(flat: below {GROWTH / MB:.1f} MB)",
            f"time {verdict(rollout.time_flat)}: median step of the last tenth {rollout.slowing:.2f} times the "
            f"first's (flat: below {SLOWING})",
        ]
    )


def verdict(flat: bool | None) -> str:
    """One word or two."""
    return {True: "flat", False: "NOT flat", None: "not known"}[flat]
