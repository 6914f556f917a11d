"""The game and the dream, played from the same starts on the same controls."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import torch

from aapt_env.checkpoint import Checkpoint
from aapt_env.data import policies
from aapt_env.fast import AUTO, Fast
from aapt_env.games import make_game, replayable
from aapt_env.spec import ControlSpec, WorldSpec
from aapt_env.starts import Start
from aapt_env.twin import Twin
from aapt_env.world import World

VARIANTS = 6  # controls tried from one start, at most


def find_game(spec: WorldSpec) -> tuple[Twin | None, str]:
    """The game behind a world, and why there is none where there is none."""
    if not replayable(spec.game):
        return None, f"{spec.game} is no game that is installed here"
    try:
        return Twin(make_game(spec.game, spec.height, spec.width), spec), ""
    except (ValueError, gym.error.Error) as error:
        return None, " ".join(str(error).split())


def driver(twin: Twin, seed: int, entry: str | None = None):
    """Who plays the game: `entry`, else its own scripted player, or random controls where it has none."""
    return policies.load(policies.resolve(entry, twin.game), twin.game)(seed)


def play_game(twin: Twin, start: Start, length: int, policy, rows: np.ndarray | None):
    """Stand at a start and play on: the policy's controls, or the given ones.

    Returns:
        frames [1 + T*k, H, W, 3], rows [T, width], alive [1 + T*k].
    """
    stand(twin, start)
    if policy is not None and hasattr(policy, "reset"):
        policy.reset(twin.game.unwrapped)
    return play_on(twin, length, policy, rows)


def stand(twin: Twin, start: Start) -> None:
    """Bring the game to a start."""
    about = {"seed": start.seed, "scene": start.scene, "controls": start.controls}
    twin.stand(about, [])


def play_on(twin: Twin, length: int, policy, rows: np.ndarray | None):
    """Play from where the game stands; returns as `play_game`. After its end it stands on its last frame."""
    frames, chosen, alive = [twin.frames[-1:]], [], [not twin.over]
    k = twin.game.k
    for i in range(length):
        if policy is not None:
            row = twin.control.to_row(policy(twin.frames[-1], twin.info))
        else:
            assert rows is not None, "either a policy or controls"
            row = rows[i]
        twin.step(row)
        chosen.append(row)
        whole = len(twin.frames) == k
        frames.append(twin.frames if whole else np.repeat(twin.frames[-1:], k, axis=0))
        alive += [not twin.over] * k
    return np.concatenate(frames), np.stack(chosen), np.array(alive)


def fork_game(twin: Twin, start: Start, branches: np.ndarray) -> np.ndarray:
    """Play on from a start under each of branches [V, T, width]: [V, 1 + T*k, H, W, 3].

    A game that can clone its state walks to the start once, another one every time.
    """
    game, out = twin.game.unwrapped, []
    clones = hasattr(game, "clone_state") and hasattr(game, "restore_state")
    stand(twin, start)
    state, frames, over = game.clone_state() if clones else None, twin.frames, twin.over
    for i, branch in enumerate(branches):
        if i and clones:
            game.restore_state(state)
            twin.frames, twin.over = frames, over
        elif i:
            stand(twin, start)
        out.append(play_on(twin, len(branch), None, branch)[0])
    return np.stack(out)


def play_games(
    twin: Twin,
    starts: list[Start],
    length: int,
    seed: int,
    rows: np.ndarray | None,
    entry: str | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`play_game` from each start, its `driver` seeded with seed + i unless rows [n, T, width] are given."""
    played = [
        play_game(twin, start, length, driver(twin, seed + i, entry), None)
        if rows is None
        else play_game(twin, start, length, None, rows[i])
        for i, start in enumerate(starts)
    ]
    frames, chosen, alive = (np.stack(part) for part in zip(*played, strict=True))
    return frames, chosen, alive


def random_rows(control: ControlSpec, n: int, length: int, seed: int) -> np.ndarray:
    """Random held controls [n, T, width], for a world whose game is not there."""
    out = []
    for i in range(n):
        player = policies.RandomControl(control, seed + i)
        blank = np.zeros((1, 1, 3), np.uint8)
        out.append([control.to_row(player(blank, {})) for _ in range(length)])
    return np.array(out, np.float32)


def play_dream(
    checkpoint: Checkpoint,
    starts: list[Start],
    rows: np.ndarray,
    seeds: list[int],
    device: torch.device,
    fast: Fast = AUTO,
) -> np.ndarray:
    """Dream every start under rows [n, T, width], all in one batch: [n, 1 + T*k, H, W, 3]."""
    world, first = begin(checkpoint, starts, seeds, device, fast)
    frames = [first] + [world.step(rows[:, t]).cpu().numpy() for t in range(rows.shape[1])]
    return np.concatenate(frames, axis=1)


def begin(
    checkpoint: Checkpoint,
    starts: list[Start],
    seeds: list[int],
    device: torch.device,
    fast: Fast = AUTO,
) -> tuple[World, np.ndarray]:
    """A world standing at its starts, and the frames it shows there [n, 1, H, W, 3]."""
    world = World(checkpoint, len(starts), device, fast=fast)
    places = enumerate(zip(starts, seeds, strict=True))
    return world, np.stack([world.reset(i, start, seed) for i, (start, seed) in places])


def fork_dream(
    checkpoint: Checkpoint,
    starts: list[Start],
    before: np.ndarray,
    branches: np.ndarray,
    seeds: list[int],
    device: torch.device,
    fast: Fast = AUTO,
) -> np.ndarray:
    """Dream on under different controls from one moment.

    Args:
        checkpoint: the world.
        starts: n of them.
        before: controls up to the moment, [n, A, width]; A may be 0.
        branches: controls from there on, [V, T, width].
        seeds: of the noise, n of them; the same in every branch.
        device: where to run.
        fast: how a step is run.

    Returns:
        [V, n, 1 + T*k, H, W, 3]; frame 0 is that of the moment.
    """
    world, last = begin(checkpoint, starts, seeds, device, fast)
    for t in range(before.shape[1]):
        last = world.step(before[:, t]).cpu().numpy()[:, -1:]
    state, out = world.state(), []
    for branch in branches:
        world.load(state)
        frames = [last]
        for row in branch:
            rows = np.repeat(row[None], len(starts), axis=0)
            frames.append(world.step(rows).cpu().numpy())
        out.append(np.concatenate(frames, axis=1))
    return np.stack(out)


@torch.inference_mode()
def through_vae(
    checkpoint: Checkpoint, starts: list[Start], frames: np.ndarray, device: torch.device
) -> np.ndarray:
    """The game's frames encoded and decoded: what a perfect generator would show."""
    vae, k, out = checkpoint.vae.to(device), checkpoint.spec.k, []
    for start, clip in zip(starts, frames, strict=True):
        whole = torch.from_numpy(np.concatenate([start.frames[:-1], clip]))[None].to(device)
        shown, _ = vae.decode(vae.encode(whole))
        shown = shown[0].cpu().numpy()
        before = (len(start.frames) - 1) // k
        out.append(np.concatenate([shown[before, -1:], *shown[before + 1 :]]))
    return np.stack(out)


def resting(control: ControlSpec, starts: list[Start]) -> np.ndarray:
    """The controls of someone who touches nothing from each start on, [n, width]: a pose is held as it is there."""
    neutral = control.to_row(control.neutral())
    holds = control.kind == "pose"
    return np.stack([s.controls[-1] if holds and len(s.controls) else neutral for s in starts])


def variants(control: ControlSpec) -> dict[str, np.ndarray]:
    """Controls to tell apart from one start: {name: row [width]}, nothing among them, at most `VARIANTS`.

    Keys one by one, left and right under throttle where there is one, so that the car moves; every action of a Discrete
    control; both ends of each element of a Box.
    """
    rest = np.zeros(control.width, np.float32)
    names = list(control.names) or [str(i) for i in range(control.size)]
    if control.space == "Discrete":
        return {names[i]: rest + i for i in range(min(control.size, VARIANTS))}
    found = {"nothing": rest}
    for i, name in enumerate(names):
        for sign in (1.0, -1.0) if control.space == "Box" else (1.0,):
            row = rest.copy()
            row[i] = sign
            if control.space == "MultiBinary" and "throttle" in names and name in ("left", "right"):
                row[names.index("throttle")] = 1
            found[f"{name}-" if sign < 0 else name] = row
    return dict(list(found.items())[:VARIANTS])
