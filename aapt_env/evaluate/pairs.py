"""The game and the dream on the same controls, from the same starts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm

from aapt_env.checkpoint import Checkpoint
from aapt_env.data import policies
from aapt_env.games import make_game
from aapt_env.starts import PREFIX, Start
from aapt_env.twin import Twin
from aapt_env.world import World


@dataclass(frozen=True)
class Pairs:
    """Equal controls, two worlds; frame 0 is the last frame of the start."""

    game: np.ndarray  # [n, 1 + T*k, H, W, 3] uint8
    dream: np.ndarray  # the same shape
    ceiling: np.ndarray  # the same shape: the game's frames through the VAE
    rows: np.ndarray  # [n, T, width] controls
    alive: np.ndarray  # [n, 1 + T*k] bool: the game had not ended
    mask: np.ndarray  # [H, W] bool: pixels that display the control, left out of flow


def play_game(twin: Twin, start: Start, length: int, policy, rows: np.ndarray | None):
    """Stand at a start and play on: the policy's controls, or the given ones.

    Returns:
        frames [1 + T*k, H, W, 3], rows [T, width], alive [1 + T*k].
    """
    about = {"seed": start.seed, "scene": start.scene, "controls": start.controls}
    twin.stand(about, [])
    if policy is not None:
        policy.reset(twin.game.unwrapped)
    frames, chosen, alive = [twin.frames[-1:]], [], [not twin.over]
    for i in range(length):
        if policy is not None:
            row = twin.control.to_row(policy(twin.frames[-1], twin.info))
        else:
            assert rows is not None, "either a policy or controls"
            row = rows[i]
        k = twin.game.k
        twin.step(row)
        chosen.append(row)
        frames.append(
            twin.frames if len(twin.frames) == k else np.repeat(twin.frames[-1:], k, axis=0)
        )
        alive += [not twin.over] * k
    return np.concatenate(frames), np.stack(chosen), np.array(alive)


def play_dream(
    checkpoint: Checkpoint, starts: list[Start], rows: np.ndarray, seed: int, device: torch.device
) -> np.ndarray:
    """Dream every start under rows [n, T, width], all in one batch: [n, 1 + T*k, H, W, 3]."""
    world = World(checkpoint, len(starts), device)
    first = np.stack([world.reset(i, start, seed + i) for i, start in enumerate(starts)])
    frames = [first] + [world.step(rows[:, t]).cpu().numpy() for t in range(rows.shape[1])]
    return np.concatenate(frames, axis=1)


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


def collect(
    checkpoint: Checkpoint,
    count: int,
    length: int,
    seed: int,
    device: torch.device,
    game: str | None = None,
) -> Pairs:
    """Play `count` starts for `length` latents in both worlds; the game's own driver chooses the controls."""
    spec = checkpoint.spec
    starts = [checkpoint.starts[i % len(checkpoint.starts)] for i in range(count)]
    twin = Twin(make_game(game or spec.game, spec.height, spec.width), spec)
    mask = getattr(twin.game.unwrapped, "control_mask", None)
    factory, played = policies.load("scripted", twin.game), []
    for i, start in enumerate(tqdm(starts, desc="game", unit="start")):
        played.append(play_game(twin, start, length, factory(seed + i), None))
    twin.close()
    frames, rows, alive = (np.stack(part) for part in zip(*played, strict=True))
    dream = play_dream(checkpoint, starts, rows, seed, device)
    ceiling = through_vae(checkpoint, starts, frames, device)
    hidden = np.zeros(frames.shape[2:4], bool) if mask is None else mask()
    return Pairs(frames, dream, ceiling, rows, alive, hidden)


def steer(
    checkpoint: Checkpoint, count: int, length: int, seed: int, device: torch.device
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Left and right under throttle from the same starts: {"game" | "dream": (left, right) [n, 1 + T*k, H, W, 3]}.

    Raises:
        ValueError: the control has no elements named left and right.
    """
    spec, names = checkpoint.spec, checkpoint.spec.control.names
    if not {"left", "right"} <= set(names):
        raise ValueError(f"controls {names} have no 'left' and 'right' to compare")
    starts = checkpoint.starts[:count]
    twin = Twin(make_game(spec.game, spec.height, spec.width), spec)
    out: dict[str, list[np.ndarray]] = {"game": [], "dream": []}
    for side in ("left", "right"):
        row = np.zeros((len(starts), length, spec.control.width), np.float32)
        row[..., names.index(side)] = 1
        if "throttle" in names:
            row[..., names.index("throttle")] = 1
        out["game"].append(
            np.stack(
                [play_game(twin, s, length, None, r)[0] for s, r in zip(starts, row, strict=True)]
            )
        )
        out["dream"].append(play_dream(checkpoint, starts, row, seed, device))
    twin.close()
    return {name: (left, right) for name, (left, right) in out.items()}


__all__ = ["PREFIX", "Pairs", "collect", "steer"]
