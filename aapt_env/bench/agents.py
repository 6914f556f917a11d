"""What an agent gets: steps per second by batch, beside the game itself and a peer's shape; and what a copy costs."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import gymnasium as gym
import numpy as np
import torch
from tqdm import tqdm

from aapt_env.bench.machine import resident
from aapt_env.bench.unet import PASSES, Peer
from aapt_env.flags import sentence
from aapt_env.games import HoldControl, make_game
from aapt_env.spec import WorldSpec
from aapt_env.vector import AAPTVectorEnv

ROWS = 1, 4, 16, 64
PEER_ROWS = 1, 16
FORKS = 64
REPEATS = 20  # of clone, restore and fork
MB = 1e6


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast something steps."""

    name: str
    rows: int
    steps: float  # per second, of all rows together
    frames: float  # the same
    passes: float | None = None  # of a network, per frame
    resident: int | None = None  # bytes of the process, then


@dataclass(frozen=True, kw_only=True)
class Copies:
    """What exact states cost; milliseconds and bytes of one row."""

    bytes: int
    clone: float
    restore: float
    fork: float  # to FORKS rows


@dataclass(frozen=True, kw_only=True)
class Agents:
    """All of it."""

    paces: list[Pace]
    copies: Copies
    missing: str = ""  # why the game is left out


def measure(game: str, checkpoint: str | None, device: str, steps: int) -> Agents:
    """Step the vector env at several batches, the game on the same cores, and a network of DIAMOND's shape.

    Args:
        game: whose world.
        checkpoint: a folder instead of the game's own.
        device: as in `gym.make`.
        steps: of each, divided by its rows where they are many, and at least 20.
    """
    bar = tqdm(total=len(ROWS) + len(PEER_ROWS) + 3, desc="agents", unit="run", leave=False)
    paces, copies = [], None
    for rows in ROWS:
        envs = AAPTVectorEnv(rows, game, checkpoint, device)
        paces.append(dreamt(envs, few(steps, rows)))
        if rows == 1:
            copies = cost(envs)
        spec, where = envs.spec_world, envs.device
        bf16 = envs.world.dtype is torch.bfloat16
        bar.update()
    for rows in PEER_ROWS:
        paces.append(peer(rows, spec, where, bf16, few(steps, 8 * rows)))
        bar.update()
    missing = absent(spec)
    for workers in sorted({1, os.cpu_count() or 1}) if not missing else ():
        paces.append(played(workers, spec, few(steps, 1)))
        bar.update()
    bar.close()
    assert copies is not None
    return Agents(paces=paces, copies=copies, missing=missing)


def absent(spec: WorldSpec) -> str:
    """Why the game itself cannot be stepped; "" where it can."""
    try:
        make_game(spec.game, spec.height, spec.width).close()
    except (ValueError, ImportError, gym.error.Error) as error:
        return sentence(error)
    return ""


def few(steps: int, rows: int) -> int:
    """So many steps take a bearable time with that many rows."""
    return max(20, steps * 4 // (3 + rows))


def timed(step: Callable[[], object], steps: int) -> float:
    """Seconds of `steps` calls, after a tenth as many that don't count."""
    for _ in range(max(3, steps // 10)):
        step()
    begun = time.perf_counter()
    for _ in range(steps):
        step()
    return time.perf_counter() - begun


def dreamt(envs: AAPTVectorEnv, steps: int) -> Pace:
    """The dream under random controls, episodes of a minute, frames in the CPU's memory."""
    envs.reset(seed=0)
    envs.action_space.seed(0)
    actions = [np.asarray(envs.action_space.sample()) for _ in range(32)]
    turn = iter(range(10**9))
    seconds = timed(lambda: envs.step(actions[next(turn) % 32])[0].cpu(), steps)
    rate, k = envs.num_envs * steps / seconds, envs.spec_world.k
    return Pace(
        name="dream",
        rows=envs.num_envs,
        steps=rate,
        frames=k * rate,
        passes=1 / k,
        resident=resident(),
    )


def peer(rows: int, spec: WorldSpec, device: torch.device, bf16: bool, steps: int) -> Pace:
    """DIAMOND's Atari shape, random weights; a step is a frame."""
    net = Peer(rows, spec.height, spec.width, device, bf16)
    rate = rows * steps / timed(net.step, steps)
    return Pace(name="DIAMOND's shape", rows=rows, steps=rate, frames=rate, passes=PASSES)


def held(game: str, height: int, width: int, k: int) -> gym.Env:
    """The game at the dream's rhythm."""
    return gym.wrappers.TimeLimit(HoldControl(make_game(game, height, width), k), 360)


def played(workers: int, spec: WorldSpec, steps: int) -> Pace:
    """The game itself, in this process or in one per core."""
    make = functools.partial(held, spec.game, spec.height, spec.width, spec.k)
    envs = (
        gym.vector.SyncVectorEnv([make])
        if workers == 1
        else gym.vector.AsyncVectorEnv([make] * workers, context="spawn")
    )
    envs.reset(seed=0)
    envs.action_space.seed(0)
    try:
        rate = workers * steps / timed(lambda: envs.step(envs.action_space.sample()), steps)
    finally:
        envs.close(terminate=True)  # what was not waited for may never come
    name = "game, 1 process" if workers == 1 else f"game, {workers} processes"
    return Pace(name=name, rows=workers, steps=rate, frames=spec.k * rate)


def cost(envs: AAPTVectorEnv) -> Copies:
    """Clone, restore and fork one row that has dreamt a while."""
    state = envs.clone_state()
    return Copies(
        bytes=sum(value.nbytes for value in state.tensors.values()),
        clone=median(envs.clone_state),
        restore=median(lambda: envs.restore_state(state)),
        fork=median(lambda: envs.fork(FORKS, noise="split")),
    )


def median(call: Callable[[], object]) -> float:
    """Milliseconds of a call, the median of several."""
    took = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        call()
        took.append(1000 * (time.perf_counter() - begun))
    return float(np.median(took))


def text(found: Agents) -> str:
    """A table."""
    lines = [f"{'':<20} rows    steps/s   frames/s  passes/frame  process"]
    for pace in found.paces:
        passes = "" if pace.passes is None else f"{pace.passes:g}"
        held = "" if pace.resident is None else f"{pace.resident / MB:,.0f} MB"
        lines.append(
            f"{pace.name:<20} {pace.rows:>4} {pace.steps:>10,.1f} {pace.frames:>10,.1f} {passes:>13}  {held:>7}"
        )
    copies = found.copies
    return "\n".join(
        [
            *lines,
            *([f"the game is left out: {found.missing}"] if found.missing else []),
            "",
            f"state of a row      {copies.bytes / MB:.2f} MB",
            f"clone               {copies.clone:.2f} ms",
            f"restore             {copies.restore:.2f} ms",
            f"fork to {FORKS} rows     {copies.fork:.2f} ms",
        ]
    )
