"""What there is to import: videos with or without tables beside them, or another library's dataset, as takes."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from aapt_env.data import footage, foreign, inputs
from aapt_env.data.footage import Clock
from aapt_env.data.inputs import Inputs
from aapt_env.spec import ControlSpec

UNCONDITIONAL = ControlSpec(
    space="Discrete", size=1, names=("nothing",)
)  # a world without controls
GOOD = "--keep-good goes on with what is good"


@dataclass(frozen=True, kw_only=True)
class Take:
    """One recording to import: a stretch of a video, the inputs on its clock, and what was paid."""

    name: str
    video: Clock
    inputs: Inputs | None = None
    begin: float = 0.0  # seconds of the video
    end: float = float("inf")
    rewards: tuple[np.ndarray, np.ndarray] | None = None  # (times, rewards)
    terminated: bool = False


@dataclass
class Judge:
    """Told of all that is wrong: the first thing ends the import, or, to keep the good part, each is noted."""

    keep: bool
    notes: int = 0

    def __call__(self, sentence: str) -> None:
        """Raises ValueError unless the good part is kept."""
        if not self.keep:
            raise ValueError(f"{sentence}; {GOOD}")
        self.notes += 1
        tqdm.write(f"left out: {sentence}")


def find(
    source: Path, actions: Path | None, fps: int | None, k: int, camera: str | None, judge: Judge
) -> tuple[Iterable[Take], ControlSpec, int]:
    """What is there to import, the control it has, and its frames per second.

    Args:
        source: a video, a folder of them, or the folder of a LeRobot or Minari dataset.
        actions: the table of a single video.
        fps: frames per second of the dataset; None for the source's.
        k: frames per latent.
        camera: which video of a LeRobot dataset.
        judge: told of what is wrong.

    Raises:
        ValueError: nothing there to import, or what the judge does not let pass.
    """
    if not source.exists():
        raise ValueError(
            f"{source} is not there; expected a video, a folder of videos, or a LeRobot or Minari dataset"
        )
    if source.is_file():
        return _videos([source], {source: Path(actions)} if actions else {}, fps, k, judge)
    if actions is not None:
        raise ValueError(
            f"--actions is for a single video; in {source} a table lies beside each, a.csv beside a.mp4"
        )
    for reader in (foreign.LeRobot, foreign.Minari):
        if reader.fits(source):
            return _foreign(reader(source, camera), judge)
    found = sorted(path for path in source.iterdir() if path.suffix.lower() in footage.KINDS)
    if not found:
        raise ValueError(
            f"{source} has no videos ({', '.join(footage.KINDS)}) in it and is no dataset that is known"
        )
    tables = {path: path.with_suffix(".csv") for path in found}
    tables = {path: table for path, table in tables.items() if table.is_file()}
    for path in found if tables else ():
        if path not in tables:
            judge(
                f"{path} has no table beside it ({path.with_suffix('.csv').name}), {next(iter(tables))} has"
            )
    return _videos([path for path in found if path in tables or not tables], tables, fps, k, judge)


def _videos(
    paths: list[Path], tables: dict[Path, Path], fps: int | None, k: int, judge: Judge
) -> tuple[list[Take], ControlSpec, int]:
    """Videos, each with its table or none with any."""
    clocks = _clocks(paths, judge)
    if not clocks:
        raise ValueError(f"{paths[0].parent}: no video of it can be read")
    if not tables:
        print(
            "no table of inputs: the world will be unconditional; it plays, but no key changes it"
        )
        return [Take(name=c.path.name, video=c) for c in clocks], UNCONDITIONAL, clocks[0].fps
    control, scaled = _scaled(_tables(clocks, tables, k / (fps or clocks[0].fps), judge))
    takes = [
        Take(name=c.path.name, video=c, inputs=scaled[c.path]) for c in clocks if c.path in scaled
    ]
    return takes, control, clocks[0].fps


def _clocks(paths: list[Path], judge: Judge) -> list[Clock]:
    """The videos that can be read and have frames of the first one's size."""
    clocks: list[Clock] = []
    for path in paths:
        clock = footage.read(path, judge)
        if clock is None:
            continue
        if clocks and clock.size != clocks[0].size:
            judge(
                f"{path} has frames of {_by(clock.size)}, {clocks[0].path} of {_by(clocks[0].size)}"
            )
            continue
        clocks.append(clock)
    return clocks


def _tables(
    clocks: list[Clock], tables: dict[Path, Path], slack: float, judge: Judge
) -> dict[Path, Inputs]:
    """The tables that can be read and have the inputs that most have; of single rows the judge is told later."""
    found: dict[Path, Inputs] = {}
    wrong: list[str] = []
    for clock in clocks:
        try:
            found[clock.path] = inputs.read(tables[clock.path], clock, slack)
        except ValueError as error:
            wrong.append(str(error))
    if not found:
        raise ValueError(wrong[0])
    usual = Counter(table.names for table in found.values()).most_common(1)[0][0]
    like = next(table.path for table in found.values() if table.names == usual)
    for path in [path for path, table in found.items() if table.names != usual]:
        other = found.pop(path)
        wrong.append(f"{other.path} has inputs {list(other.names)}, {like} has {list(usual)}")
    for sentence in wrong:
        judge(sentence)
    for clock in clocks if not judge.keep else ():
        found[clock.path].spans(clock, (0.0, clock.end), slack, judge)
    return found


def _scaled(found: dict[Path, Inputs]) -> tuple[ControlSpec, dict[Path, Inputs]]:
    """The control that all tables have, and the tables in its range."""
    control, scale = inputs.control_of(list(found.values()))
    if (scale != 1).any():
        print(
            "inputs divided by their largest value: "
            + ", ".join(f"{n} by {s:g}" for n, s in zip(control.names, scale, strict=True))
        )
    return control, {
        path: dataclasses.replace(table, rows=table.rows / scale) for path, table in found.items()
    }


def _foreign(
    dataset: foreign.LeRobot | foreign.Minari, judge: Judge
) -> tuple[Iterator[Take], ControlSpec, int]:
    """The episodes of another library's dataset, as takes."""

    def takes() -> Iterator[Take]:
        for part in dataset.parts(judge):
            yield Take(**part)

    return takes(), dataset.control, dataset.fps


def _by(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]} pixels"
