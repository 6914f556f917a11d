"""Does a figure stand as its pose says, and does it stay the same person?

Where joints are seen is read from frames by the meter, which was trained on real frames; its error on them stands
beside. Who it is, is read off the colours of its limbs, which need no network: the pose says where they are.
"""

from __future__ import annotations

import numpy as np

from aapt_env.evaluate.parts import Figures
from aapt_env.evaluate.summary import FEWEST, Board, Metrics, Window, readable
from aapt_env.limbs import joints_of, limbs_of
from aapt_env.spec import ControlSpec

WORLDS = ("dream", "game", "vae")
ALONG = (0.3, 0.5, 0.7)  # where on a limb its colour is taken


def keypoints(part: Figures, spans: list[Window], after: str = "") -> Metrics:
    """How far joints are seen from where they were commanded, in units of half the frame's shorter side.

    `keypoint_error_game` holds the network's own error, and what a body cannot do; `keypoint_error_ratio` is that of
    the dream over it: 1 is as good as real frames.

    Args:
        part: rows [n, T, 3 * joints] and, of each world, value [n, T, 3 * joints] as read back, NaN where it cannot be.
        spans: windows.
        after: ending of every metric's name.
    """
    board = Board()
    for w in spans:
        alive, at = w.alive(part), readable(part, w.latents)
        if alive.sum() < FEWEST or not len(at):
            continue
        found = {}
        for world in WORLDS:
            if f"{world}_value" in part:
                off = part[f"{world}_value"][alive][:, at] - part["rows"][alive][:, at]
                found[world] = np.hypot(off[..., ::3], off[..., 1::3]).mean((1, 2))
                board.mean(f"keypoint_error{after}_{world}", w.name, found[world])
        if "game" in found:
            board.ratio(f"keypoint_error{after}_ratio", w.name, found["dream"], found["game"])
    return board.metrics


def colours(clips: np.ndarray, rows: np.ndarray, k: int, control: ControlSpec) -> np.ndarray:
    """Mean colour along each limb where the pose says it is, at the last frame of each latent.

    Args:
        clips: uint8 [n, 1 + T*k, H, W, 3].
        rows: commanded poses [n, T, 3 * joints].
        k: frames per latent.
        control: names the joints and the limbs between them.

    Returns:
        [n, T, limbs, 3] float32, 0 to 255.
    """
    last, (h, w) = clips[:, k::k], clips.shape[2:4]
    pose = rows.reshape(*rows.shape[:2], -1, 3)[..., :2]
    limbs = limbs_of(control, joints_of(control))
    a = pose[:, :, [parent for parent, _, _ in limbs]]
    b = pose[:, :, [child for _, child, _ in limbs]]
    i, t = np.ogrid[: len(clips), : last.shape[1]]
    found = []
    for share in ALONG:
        spot = (a + share * (b - a)) * (min(h, w) / 2)
        x = np.clip(w / 2 + spot[..., 0], 0, w - 1).astype(int)
        y = np.clip(h / 2 - spot[..., 1], 0, h - 1).astype(int)
        found.append(last[i[..., None], t[..., None], y, x])
    return np.stack(found).mean(axis=0, dtype=np.float32)


def identity(part: Figures, spans: list[Window]) -> Metrics:
    """Does it stay the same person? How far limbs are from the colours they had in the game's first second.

    `identity_change_dream` is in levels of 255; `identity_change_game` is what light and crossed limbs bring by
    themselves, `identity_change_other` the distance to another start's person. `identity_kept` is 1 for a dream whose
    person changes as little as the game's, 0 for one that has become someone else.

    Args:
        part: limbs [n, T, limbs, 3] of each world.
        spans: windows.
    """
    board = Board()
    if len(part["game_limbs"]) < FEWEST:
        return board.metrics
    first = np.median(part["game_limbs"][:, spans[0].latents], axis=1, keepdims=True)
    far = {w: part[f"{w}_limbs"] - first for w in WORLDS if f"{w}_limbs" in part}
    far["other"] = part["game_limbs"] - np.roll(first, 1, axis=0)
    for w in spans:
        change = {name: np.abs(x[:, w.latents]).mean((1, 2, 3)) for name, x in far.items()}
        for name, values in change.items():
            board.mean(f"identity_change_{name}", w.name, values)
        room = change["other"] - change["game"]
        board.ratio("identity_kept", w.name, change["other"] - change["dream"], room)
    return board.metrics
