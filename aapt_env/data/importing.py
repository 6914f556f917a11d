"""`aapt import`: videos, with or without their inputs, become an episode dataset that trains like a recorded one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from aapt_env import keymap
from aapt_env.binding import bindings_of
from aapt_env.data import files, footage, foreign
from aapt_env.data.episodes import HELD, Episodes
from aapt_env.data.footage import GAP, Trouble
from aapt_env.data.partial import all_or_nothing
from aapt_env.data.takes import Judge, Take, find
from aapt_env.data.writer import EpisodeWriter
from aapt_env.flags import check_size
from aapt_env.spec import ControlSpec, WorldSpec

LONGEST = 60.0  # seconds of an episode
PARTS = 10  # episodes of a lone recording at least, or fewer of HELD latents
LEAST = 2  # latents of an episode that training can use
ENOUGH = 100  # latents; the longest dreams in training are of 70


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How frames are taken."""

    fps: int
    size: tuple[int, int]  # (height, width) in pixels
    k: int
    max_seconds: float  # of one episode


def import_(
    source: Path,
    actions: Path | None = None,
    name: str | None = None,
    out: Path | None = None,
    fps: int | None = None,
    height: int = 64,
    width: int = 64,
    k: int = 4,
    max_seconds: float | None = None,
    keys: str | None = None,
    camera: str | None = None,
    keep_good: bool = False,
) -> Episodes:
    """Make an episode dataset of videos that others made; see `aapt import --help`.

    Args:
        source: a video; a folder of videos, each with a table of the same name beside it or none with any; the folder
            of a LeRobot v3 dataset; or that of a Minari dataset.
        actions: the table of a single video.
        name: the world's name; the source's by default.
        out: the dataset's folder; data/NAME by default. It must not hold one.
        fps: frames per second of the dataset; None for the source's.
        height: pixels; frames are brought to the size by the rule of `pixels`.
        width: pixels.
        k: frames per latent.
        max_seconds: longer recordings become several episodes. None for 60, or where there is one recording only, less
            if need be, so that training has episodes to hold out.
        keys: a keymap file, or "ask": the keys with which the world will be played.
        camera: which video of a LeRobot dataset; its first by default.
        keep_good: leave out what is wrong instead of stopping at it.

    Returns:
        The dataset, opened.

    Raises:
        ValueError: whatever is wrong with the source: names the file and the frame. Nothing is left behind.
        DatasetWriteError: the dataset's folder cannot be written.
    """
    source, judge = Path(source), Judge(keep_good)
    name = name or source.stem
    out = _place(name, out)
    _check(fps, height, width, max_seconds)
    with all_or_nothing(out) as partial:
        found, control, rate = find(source, actions, fps, k, camera, judge)
        takes, control = list(found), keymap.chosen(keys, _with_keys(control))
        rate = fps or rate
        longest = _longest(takes, rate, k) if max_seconds is None else max_seconds
        rule = Rule(fps=rate, size=(height, width), k=k, max_seconds=longest)
        spec = WorldSpec(
            game=name, height=height, width=width, control=control, frame_fps=rule.fps, k=k
        )
        with EpisodeWriter(partial, spec, gather_every=0) as writer:
            for take in tqdm(takes, desc=f"import {name}", unit="recording", disable=None):
                _write(take, rule, writer, judge)
        if not len(Episodes.open(partial)):
            raise ValueError(
                f"{source}: nothing of it makes an episode: at least {k + 1} good frames in a row are needed"
            )
    return Episodes.open(out)


def _place(name: str, out: Path | None) -> Path:
    """The dataset's folder. Raises ValueError: the world's name is taken, or the folder is."""
    from aapt_env.games import known_games
    from aapt_env.paths import data_dir

    if name in known_games():
        raise ValueError(
            f"{name!r} is one of the games already; give the world a name of its own with --name"
        )
    out = Path(out or data_dir(name))
    if (out / files.DATASET).exists():
        raise ValueError(
            f"{out} holds a dataset already; give another --out or --name, or remove it"
        )
    return out


def advice(data: Episodes) -> str:
    """What to do with a dataset that was imported, in one sentence."""
    k, name = data.spec.k, data.spec.game
    latents = sorted((episode.length - 1) // k for episode in data.index)
    if len(latents) < 2 or latents[-2] < LEAST:
        return (
            f"it cannot be trained on: expected two episodes of {LEAST * k + 1} frames or more, one of them to be held "
            "out; import more, or with a smaller --max-seconds"
        )
    train = f"train it with 'aapt train {name} --data {data.path}', then play it with 'aapt play {name}'"
    if sum(latents) < ENOUGH:
        return f"it is little to train on, expected {ENOUGH * k / data.fps:.0f} s or more: import more, then {train}"
    return train


def _longest(takes: list[Take], fps: int, k: int) -> float:
    """Seconds of the longest episode: as is usual, or of a lone recording less, where too few would be made of it."""
    if len(takes) != 1:
        return LONGEST
    latents = int(_seconds(takes[0]) * fps / k)
    parts = min(max(latents // HELD, 2), PARTS)
    return min(LONGEST, -(-latents // parts) * k / fps)


def _seconds(take: Take) -> float:
    """How much of a recording is shown while its inputs are known; a pause without a frame does not count."""
    begin, end, times = take.begin, take.end, take.video.times
    if take.inputs is not None:
        begin, end = max(begin, take.inputs.times[0]), min(end, take.inputs.end)
    times = times[(times >= begin - 1e-9) & (times < end)]
    return float(np.minimum(np.diff(times), GAP).sum())


def _write(take: Take, rule: Rule, writer: EpisodeWriter, judge: Trouble) -> None:
    """Write the episodes of one recording."""
    begin, end, slack = take.begin, min(take.end, take.video.end), rule.k / rule.fps
    spans = [(begin, end)]
    if take.inputs is not None:
        spans = take.inputs.spans(take.video, spans[0], slack, judge)
    for a, b in spans:
        shown = foreign.frames(take.video, a, b, judge)
        for moments, pictures, last in _runs(footage.even(shown, rule.fps, rule.size, a), rule):
            ends = last and b == spans[-1][1]
            _episode(take, rule, writer, moments, pictures, ends, judge)


def _runs(
    even: Iterator[tuple[float, np.ndarray]], rule: Rule
) -> Iterator[tuple[np.ndarray, np.ndarray, bool]]:
    """`_cut`, each run with whether it is the last: (moments, frames, the last?)."""
    before = None
    for run in _cut(even, rule):
        if before is not None:
            yield *before, False
        before = run
    if before is not None:
        yield *before, True


def _cut(
    even: Iterator[tuple[float, np.ndarray]], rule: Rule
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Even frames in runs of a latent or more, cut at gaps and at the greatest length: (moments, frames)."""
    longest = 1 + max(1, int(rule.max_seconds * rule.fps + 1e-6) // rule.k) * rule.k
    moments: list[float] = []
    frames: list[np.ndarray] = []
    for moment, frame in even:
        gap = bool(moments) and moment - moments[-1] > 1.5 / rule.fps
        if gap or len(frames) == longest:
            if len(frames) > rule.k:
                yield np.array(moments), np.stack(frames)
            moments, frames = ([], []) if gap else (moments[-1:], frames[-1:])
        moments.append(moment)
        frames.append(frame)
    if len(frames) > rule.k:
        yield np.array(moments), np.stack(frames)


def _episode(
    take: Take,
    rule: Rule,
    writer: EpisodeWriter,
    moments: np.ndarray,
    frames: np.ndarray,
    last: bool,
    judge: Trouble,
) -> None:
    """Write one episode: whole latents of a run; none where it was paid what is no number."""
    steps = (len(frames) - 1) // rule.k * rule.k
    control, at = writer.spec.control, moments[:steps]
    rows = np.zeros((steps, control.width), np.float32)
    if take.inputs is not None:
        rows = take.inputs.at(at, 1 / rule.fps, control)
    rewards = np.zeros(steps, np.float32)
    if take.rewards is not None:
        times, paid = take.rewards
        place = np.floor((times - at[0]) * rule.fps + 1e-6).astype(int)
        inside = (place >= 0) & (place < steps)
        np.add.at(rewards, place[inside], paid[inside].astype(np.float32))
    for step in np.flatnonzero(~np.isfinite(rewards))[:1]:
        where = f"{take.video.path}, {take.name}, {at[step]:.2f} s"
        return judge(f"{where}: the reward is {rewards[step]}; expected a finite number")
    number = len(writer)
    over = take.terminated and last
    writer.add(
        frames[: 1 + steps], rows, rewards, terminated=over, truncated=not over,
        seed=number, policy="imported", source=take.name, seconds=round(float(at[0]), 3),
    )  # fmt: skip


def _with_keys(control: ControlSpec) -> ControlSpec:
    """A control with the keys that are guessed for it."""
    space = control.action_space()
    bindings = bindings_of(keymap.guess(space, control.names))
    return dataclasses.replace(
        control, keymap=bindings if control.size > 1 or control.space == "Box" else ()
    )


def _check(fps: int | None, height: int, width: int, max_seconds: float | None) -> None:
    """Raises ValueError for numbers that make no sense."""
    if fps is not None and not 1 <= fps <= 240:
        raise ValueError(f"--fps {fps}: expected 1 to 240")
    check_size(height, width)
    if max_seconds is not None and not 0 < max_seconds < float("inf"):
        raise ValueError(f"--max-seconds {max_seconds}: expected a time above 0, in seconds")
