"""`aapt train`: data, stages in turn, and a playable checkpoint at every stop."""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from aapt_env.flags import sentence
from aapt_env.paths import data_dir, find_checkpoint, run_dir
from aapt_env.train import publish
from aapt_env.train.recipes import Recipe
from aapt_env.train.training import Training

FULL = errno.ENOSPC, errno.EDQUOT


def train(
    game: str,
    recipe: str | Recipe = "cpu",
    stage: str | None = None,
    budget: float | None = None,
    time_limit: float | None = None,
    resume: bool = False,
    data: Path | None = None,
    out: Path | None = None,
    device: str = "auto",
    seed: int = 0,
    compile: bool = False,
    watch: Callable | None = None,
    dry_run: bool = False,
    begin_with: str | Path | None = None,
    plain: bool = False,
) -> None:
    """Train a world of `game` through the recipe's stages; see `aapt train --help`.

    Args:
        game: as everywhere: driving, gym:ID or dream:NAME.
        recipe: a name, `auto` (measures the machine first), `module:function`, or a Recipe of one's own.
        stage: only this stage.
        budget: seconds for all stages; None for the recipe's.
        time_limit: seconds after which this call stops, resumable and playable.
        resume: go on in `out`.
        data: the dataset's folder, recorded first when there is none.
        out: the run's folder.
        device: auto, cpu or cuda.
        seed: of weights, noise and the order of clips.
        compile: whether the passes that learn, of generator and critic, go through torch.compile.
        watch: f(spec, device) -> what tells how well dreams obey; `evaluate.meter.watcher` at the command line.
        dry_run: with recipe `auto`, print the plan and stop.
        begin_with: a world, by name or folder, with whose networks a new run begins: the VAE, and the generator where
            it is as large. A run that begins with `stage` diffusion or adversarial takes that VAE as it is; the latter
            goes on against the critic that lies beside it, or a new one. One that begins with `stage` polish makes the
            same world with a decoder that learned on.
        plain: on a GPU, one operation at a time instead of CUDA graphs.

    Raises:
        ValueError: contradicting arguments, a dataset of another size, a damaged state.
    """
    begun = time.monotonic()
    deadline = begun + time_limit if time_limit else float("inf")
    data, out = Path(data or data_dir(game)), Path(out or run_dir(game))
    if dry_run and recipe != "auto":
        raise ValueError(
            f"--dry-run shows the plan of --recipe auto; recipe {recipe!r} measures nothing"
        )
    if recipe == "auto":
        from aapt_env.train import auto  # here, since it builds the stages that this module runs

        recipe = auto.choose(game, data, out, budget, device, dry_run)
        if dry_run:
            return
        budget = recipe.budget
    origin = find_checkpoint(begin_with) if begin_with is not None else None
    training = Training(game, recipe, budget, out, device, seed, compile, watch, origin, plain)
    folder = training.folder
    names = folder.plan(stage, resume)
    if not training.open_data(data, deadline):
        print("stopped by the time limit while recording; the same with --resume goes on")
        return
    folder.begin(stage, resume)
    with _room(out):
        stopped = run_stages(training, names, deadline)
    if stopped:
        print(f"stopped by the time limit {stopped}; --resume goes on")
    else:
        plays = (training.checkpoint / "config.json").is_file()
        where = f"; the world is in {training.checkpoint}" if plays else "; nothing that plays yet"
        print(f"trained {', '.join(names)}{where}")


@contextlib.contextmanager
def _room(out: Path) -> Iterator[None]:
    """A full disk is told in one sentence, with what to do. Raises OSError."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL and "os error 28" not in str(error):
            raise
        raise OSError(
            f"the disk of {out} is full ({sentence(error)}); expected room for states of some 100 MB each: "
            "make room, then the same with --resume goes on from the last state, which is whole"
        ) from error


def run_stages(training: Training, names: list[str], deadline: float) -> str:
    """Run stages in turn and publish what each learned; returns where time ran out, or ""."""
    for name in names:
        before = training.folder.complete(name)
        done = training.run_stage(name, deadline)
        publish.write(training, name, before)
        if not done:
            return f"in stage {name}"
        if not before and name != names[-1] and time.monotonic() > deadline:
            return f"after stage {name}"
    return ""
