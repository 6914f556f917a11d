"""From frames to figures: one array per figure, a start per row, small enough to keep."""

from __future__ import annotations

import numpy as np

from aapt_env.evaluate import measures
from aapt_env.evaluate.meter import Meter
from aapt_env.evaluate.parts import Figures

SHOWN = 13  # moments of a rollout kept as pictures


def of_clips(
    name: str, clips: np.ndarray, k: int, mask: np.ndarray, meter: Meter | None
) -> Figures:
    """What can be said of clips by themselves.

    Args:
        name: prefix of every figure's name.
        clips: uint8 [n, 1 + T*k, H, W, 3].
        k: frames per latent.
        mask: [H, W] bool, pixels left out of flow.
        meter: None leaves its figures out.

    Returns:
        motion [n, F // 2] pixels per 2 frames, sharpness [n, F], pooled [n, T, 48], shown [n, 13, H, W, 3], and of the
        meter: reading [n, T, elements], features [n, T, d], distance, strangeness [n, T]; of a Box, value [n, T, size].
    """
    moments = np.linspace(0, clips.shape[1] - 1, SHOWN).round().astype(int)
    last = clips[:, k::k]
    out = {
        "motion": np.stack([measures.speeds(clip, mask) for clip in clips]),
        "sharpness": np.stack([measures.sharpnesses(clip) for clip in clips]),
        "pooled": measures.pooled(last).reshape(*last.shape[:2], -1).astype(np.float32),
        "shown": clips[:, moments],
    }
    if meter is not None:
        seen = meter.watch(clips)
        out |= {"reading": seen.reading, "features": seen.features, "distance": seen.distance}
        out["strangeness"] = seen.strangeness
        if meter.observer.control.space == "Box":
            out["value"] = seen.value
    return {f"{name}_{key}": value for key, value in out.items()}


def against(name: str, clips: np.ndarray, game: np.ndarray) -> Figures:
    """How far clips are from the game's, frame by frame: mse [n, F] and ssim [n, F]."""
    pairs = list(zip(clips, game, strict=True))
    return {
        f"{name}_mse": np.stack([measures.errors(a, b) for a, b in pairs]),
        f"{name}_ssim": np.stack([measures.ssims(a, b) for a, b in pairs]),
    }


def twin(
    dream: np.ndarray,
    game: np.ndarray,
    vae: np.ndarray | None,
    k: int,
    mask: np.ndarray,
    meter: Meter | None,
) -> Figures:
    """All figures of dream and game on the same controls, and of the game's frames through the VAE.

    Args:
        dream: uint8 [n, 1 + T*k, H, W, 3].
        game: the same shape.
        vae: the same shape; None leaves it out.
        k: frames per latent.
        mask: pixels left out of flow.
        meter: None leaves its figures out.
    """
    still = np.repeat(game[:, :1], game.shape[1], axis=1)
    repeat = np.stack([measures.errors(a, b) for a, b in zip(still, game, strict=True)])
    out = of_clips("dream", dream, k, mask, meter) | of_clips("game", game, k, mask, meter)
    out |= against("dream", dream, game) | {"repeat_mse": repeat}
    if vae is not None:
        out |= of_clips("vae", vae, k, mask, meter) | against("vae", vae, game)
    return out
