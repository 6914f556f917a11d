"""The one loop: resume, precision, logging, pictures, budget, saving, stopping on a non-finite loss, all here once."""

from __future__ import annotations

import contextlib
import gc
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import torch
from torch import Tensor, nn
from tqdm import tqdm

from aapt_env.device import current, fixed_shapes
from aapt_env.train import state
from aapt_env.train.asked import Asked
from aapt_env.train.dice import Dice
from aapt_env.train.recorder import Recorder
from aapt_env.train.stage import Stage, Turn


@dataclass(frozen=True, kw_only=True)
class Run:
    """How the loop runs a stage."""

    folder: Path  # state.safetensors, metrics.jsonl, sheets/, TensorBoard events
    seed: int = 0
    steps: int | None = None  # fixed number of steps; None: measured from `seconds`
    seconds: float | None = None  # what the stage may take; becomes a number of steps
    deadline: float = float("inf")  # time.monotonic() at which to stop with a resumable state
    device: torch.device = torch.device("cpu")
    bf16: bool = False
    warmup: int = 20  # steps of rising learning rate
    decay: float = 0.4  # last share of the steps, over which the rate falls to a twentieth
    log_every: int = 20
    save_seconds: float = 120.0
    picture_seconds: float = 240.0
    measure: int = (
        10  # steps whose rate fixes the number of steps; the first two are not among them
    )
    record: bool = True  # on a GPU, turns as CUDA graphs where the stage can be recorded


class NonFinite(ValueError):
    """A loss or gradient stopped being a number."""


def schedule(step: int, steps: int, run: Run) -> float:
    """Learning rate factor: up over `warmup` steps, flat, then linearly down to 0.05."""
    left = (steps - step) / max(1.0, run.decay * steps)
    return min(1.0, (step + 1) / max(1, run.warmup)) * min(1.0, max(0.05, left))


def train(stage: Stage, run: Run) -> bool:
    """Run `stage` to its last step or to the deadline. Returns whether it is complete.

    Raises:
        NonFinite: a loss or gradient norm is not finite; names the step, the stage and the last good state.
        KeyboardInterrupt: Ctrl-C or SIGTERM came; the step under way is finished and its state saved.
    """
    run.folder.mkdir(parents=True, exist_ok=True)
    path = run.folder / "state.safetensors"
    optimizers = {turn.name: turn.optimizer for turn in stage.turns}
    step, steps = 0, run.steps
    if path.is_file():
        meta = state.load(path, stage.modules, optimizers)
        if meta.get("stage", stage.name) != stage.name:
            raise ValueError(
                f"{path} is of stage {meta['stage']}, not of {stage.name}; remove it to start over"
            )
        step, steps = int(meta["step"]), int(meta["steps"]) or run.steps
    if steps is not None and step >= steps:
        return True
    if run.device.type == "cuda":
        gc.collect()  # graphs of the stage before hold memory until then
        torch.cuda.empty_cache()
    with contextlib.closing(Log(run.folder, step)) as log, current(run.device), Asked() as asked:
        return _run(stage, run, log, path, step, steps, asked)


def _run(
    stage: Stage, run: Run, log: Log, path: Path, step: int, steps: int | None, asked: Asked
) -> bool:
    """The steps from `step` on; the rest of `train`."""
    optimizers = {turn.name: turn.optimizer for turn in stage.turns}
    base = {turn.name: [g["lr"] for g in turn.optimizer.param_groups] for turn in stage.turns}
    recorder = Recorder.of(run.device) if run.record else None
    saved = pictured = time.monotonic()
    pace = Pace(run)
    examined: dict[str, float] = {}
    with tqdm(total=steps, initial=step, desc=stage.name, unit="step", mininterval=2.0) as bar:
        while steps is None or step < steps:
            if steps is None and pace.known:
                steps = bar.total = max(step + 1, pace.steps)
            factor = schedule(step, steps or 10**9, run)
            with fixed_shapes(run.device), pace.step(recorder):
                metrics = advance(stage, run, step, base, factor, path, recorder)
            step += 1
            bar.update()
            now, by = time.monotonic(), asked.by
            logs, over = step % run.log_every == 0, now > run.deadline or by is not None
            saves = now - saved > run.save_seconds or step == steps or over
            if recorder is not None and (logs or saves):
                look(recorder, stage, path)
            if now - pictured > run.picture_seconds or step == steps:
                examined = draw(stage, run, step)
                pictured = now
            if logs or step == steps:
                metrics, examined = metrics | examined, {}
                rung = [said for alarm in stage.alarms if (said := alarm.hear(metrics))]
                for said in rung:
                    tqdm.write(f"ALARM {stage.name}, step {step}: {said}", file=sys.stderr)
                log.write(step, metrics, factor, "; ".join(rung))
                bar.set_postfix({k: f"{float(v):.3g}" for k, v in list(metrics.items())[:4]})
            if saves:
                if step == steps:
                    stage.finish()
                meta = {"stage": stage.name, "step": step, "steps": steps or 0}
                state.save(path, stage.modules, optimizers, meta)
                saved = now
            if by is not None:
                raise KeyboardInterrupt(by)
            if over and step != steps:
                return False
    if asked.by is not None:  # while the last state was saved
        raise KeyboardInterrupt(asked.by)
    return True


class Pace:
    """How long steps take; those in which something is chosen, compiled or recorded for the first time do not count."""

    def __init__(self, run: Run):
        self.run, self.skipped = run, 0
        self.seconds: list[float] = []

    @contextlib.contextmanager
    def step(self, recorder: Recorder | None) -> Iterator[None]:
        """Take note of one."""
        begun, new = time.monotonic(), recorder.new if recorder else 0
        yield
        if self.skipped < 2 or (recorder is not None and recorder.new != new):
            self.skipped += 1
        else:
            self.seconds.append(time.monotonic() - begun)

    @property
    def known(self) -> bool:
        """Whether there are enough; where kinds of batches are many, in the end all steps do."""
        return len(self.seconds) >= self.run.measure

    @property
    def steps(self) -> int:
        """How many fit in the time that the stage may take."""
        return round((self.run.seconds or 60.0) * len(self.seconds) / sum(self.seconds))


def advance(
    stage: Stage,
    run: Run,
    step: int,
    base: dict[str, list[float]],
    factor: float,
    path: Path,
    recorder: Recorder | None = None,
) -> dict[str, Any]:
    """One step: every module's turn, once."""
    generator = recorder.generator if recorder else None
    dice = Dice.of(run.seed, stage.name, step, run.device, generator)
    metrics: dict[str, Any] = {}
    precision = torch.autocast(run.device.type, torch.bfloat16, enabled=run.bf16)
    with precision:
        batch, kind = stage.batch(dice), None
    if recorder is not None and stage.recordable(batch):
        kind, batch = recorder.settle(batch)
    for turn in stage.turns:
        pace = 1.0
        if turn.pace is not None:
            metrics["pace"] = pace = turn.pace()
        for group, rate in zip(turn.optimizer.param_groups, base[turn.name], strict=True):
            group["lr"] = rate * factor * pace
        with only(turn.modules, stage.modules):
            if kind is None or recorder is None:
                for name, value, found in gradients(turn, batch, dice, precision):
                    metrics |= found
                    if not torch.isfinite(value):
                        raise non_finite(name, value, stage, step, path)
            else:
                work = partial(recorded, turn, batch, dice, precision)
                metrics |= recorder.run(kind, turn, work)
                norm = metrics[f"{turn.name}_grad"].clone()  # the next launch writes there
                recorder.doubts.append((f"{turn.name} gradient norm", norm, step))
        turn.optimizer.step()
        turn.optimizer.zero_grad(set_to_none=True)
    stage.after(step)
    if recorder is not None:
        look(recorder, stage, path, len(stage.turns))
    return metrics


def gradients(
    turn: Turn, batch: Any, dice: Dice, precision: torch.autocast
) -> Iterator[tuple[str, Tensor, dict[str, Any]]]:
    """Find a turn's gradients. Yields what has to be finite, its name and metrics: each loss, then the norm of all."""
    losses = turn.losses(batch, dice)
    while True:
        with precision:
            item = next(losses, None)
        if item is None:
            break
        loss, found = item
        yield f"{turn.name} loss", loss.detach(), found
        loss.backward()
    weights = [p for module in turn.modules for p in module.parameters() if p.grad is not None]
    if turn.clip is None:
        norm = nn.utils.get_total_norm([p.grad for p in weights if p.grad is not None])
    else:
        norm = nn.utils.clip_grad_norm_(weights, turn.clip)
    yield f"{turn.name} gradient norm", norm, {f"{turn.name}_grad": norm}


def recorded(turn: Turn, batch: Any, dice: Dice, precision: torch.autocast) -> dict[str, Any]:
    """The same without a look at anything, which would wait for the GPU; all metrics."""
    metrics: dict[str, Any] = {}
    for _, _, found in gradients(turn, batch, dice, precision):
        metrics |= found
    return metrics


def look(recorder: Recorder, stage: Stage, path: Path, keep: int = 0) -> None:
    """Look at norms that nobody has looked at, but for the latest `keep`, for which one would have to wait.

    Raises:
        NonFinite: one is not finite. Nothing has been saved since.
    """
    while len(recorder.doubts) > keep:
        name, norm, step = recorder.doubts.pop(0)
        if not torch.isfinite(norm):
            raise non_finite(name, norm, stage, step, path)


def non_finite(name: str, value: Tensor, stage: Stage, step: int, path: Path) -> NonFinite:
    """The sentence that says what happened and where to go back to."""
    good = (
        f"The last good state is {path}: --resume goes on from it, with"
        if path.is_file()
        else "No state is saved yet: try"
    )
    return NonFinite(
        f"stage {stage.name}, step {step}: {name} is {value.item()}; stopped. "
        f"{good} a lower learning rate in the recipe if this returns"
    )


@contextlib.contextmanager
def only(learning: tuple[nn.Module, ...], modules: dict[str, nn.Module]) -> Iterator[None]:
    """Freeze all modules but those learning, then leave all as they were."""
    ids = {id(p) for module in learning for p in module.parameters()}
    frozen = [
        p for m in modules.values() for p in m.parameters() if p.requires_grad and id(p) not in ids
    ]
    for p in frozen:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in frozen:
            p.requires_grad_(True)


def draw(stage: Stage, run: Run, step: int) -> dict[str, float]:
    """Write the stage's contact sheet, and return what its exam found."""
    with torch.no_grad(), torch.autocast(run.device.type, torch.bfloat16, enabled=run.bf16):
        sheet, found = stage.picture(), stage.exam()
    if sheet is not None:
        (run.folder / "sheets").mkdir(exist_ok=True)
        cv2.imwrite(str(run.folder / "sheets" / f"{step:06d}.png"), sheet[..., ::-1])
    return found


def seconds_of(folder: Path) -> float:
    """What a stage has taken so far, all its sittings together."""
    total = last = 0.0
    path = folder / "metrics.jsonl"
    for line in path.read_text().splitlines() if path.is_file() else ():
        now = json.loads(line)["seconds"]
        total, last = total + (now - last if now >= last else now), now
    return total


class Log:
    """metrics.jsonl, one object per line, and TensorBoard where it is installed."""

    def __init__(self, folder: Path, step: int):
        self.path = folder / "metrics.jsonl"
        kept = []
        if self.path.is_file():  # after a kill: forget lines past the step that was saved
            for line in self.path.read_text().splitlines():
                with contextlib.suppress(ValueError, KeyError, TypeError):  # half a line
                    if json.loads(line)["step"] <= step:
                        kept.append(line)
        self.path.write_text("".join(line + "\n" for line in kept))
        self.start = time.monotonic()
        try:
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(folder), purge_step=step)
        except ImportError:
            self.board = None

    def write(self, step: int, metrics: dict[str, Any], factor: float, alarm: str = "") -> None:
        """Append one line; what an alarm said goes to the file only."""
        line = {
            "step": step,
            "seconds": round(time.monotonic() - self.start, 1),
            "lr_factor": round(factor, 4),
        }
        line |= {key: round(float(value), 6) for key, value in metrics.items()}
        with self.path.open("a") as file:
            file.write(json.dumps(line | ({"alarm": alarm} if alarm else {})) + "\n")
        if self.board is not None:
            for key, value in line.items():
                self.board.add_scalar(key, value, step)

    def close(self) -> None:
        """Write out what TensorBoard still holds."""
        if self.board is not None:
            self.board.close()
