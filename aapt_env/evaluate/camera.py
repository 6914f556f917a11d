"""Does a camera's world move as commanded, and is what one turned away from still there when one turns back?

The motion is read from frames by the meter, which was trained on real frames; its error on real frames stands beside.
"""

from __future__ import annotations

import numpy as np

from aapt_env.evaluate.parts import Figures
from aapt_env.evaluate.summary import FEWEST, Board, Metrics, Window, readable
from aapt_env.spec import ControlSpec

GROUPS = {
    "rotation": ("yaw", "pitch", "roll"),
    "translation": ("forward", "strafe", "rise"),
}
TURN = 0.6  # of the full yaw, while looking away
AWAY = 75.0  # degrees that one looks away


def motions(part: Figures, spans: list[Window], control: ControlSpec) -> Metrics:
    """Commanded against realised motion, by horizon, of dream, game and the game through the VAE.

    `rotation_error_dream` is the sum of |read - commanded| over the sum of |commanded|, `rotation_ratio_dream` how much
    of the commanded is realised: 1 is all of it, 0 a world that does not obey. The same for translation.

    Args:
        part: rows [n, T, width] and, of each world, value [n, T, size] as read back, NaN where it cannot be.
        spans: windows.
        control: names the elements.
    """
    board = Board()
    for w in spans:
        alive, at = w.alive(part), readable(part, w.latents)
        if alive.sum() < FEWEST or not len(at):
            continue
        asked = part["rows"][alive][:, at]
        for world in ("dream", "game", "vae"):
            if f"{world}_value" not in part:
                continue
            read = part[f"{world}_value"][alive][:, at]
            for group, names in GROUPS.items():
                of = [i for i, name in enumerate(control.names) if name in names]
                if of and np.abs(asked[..., of]).max() > 0:
                    _group(board, w, f"{group}_%s_{world}", asked[..., of], read[..., of])
    return board.metrics


def _group(board: Board, w: Window, metric: str, asked: np.ndarray, read: np.ndarray) -> None:
    """Error and ratio over the elements of one group; both arrays [n, T, elements]."""
    off, amount = np.abs(read - asked).sum((1, 2)), np.abs(asked).sum((1, 2))
    board.ratio(metric % "error", w.name, off, amount)
    board.ratio(metric % "ratio", w.name, (read * asked).sum((1, 2)), (asked**2).sum((1, 2)))


def there_and_back(control: ControlSpec, k: int) -> np.ndarray:
    """Controls [2T, width]: look `AWAY` degrees to the right, then back to where one looked.

    Raises:
        ValueError: the camera has no yaw.
    """
    if "yaw" not in control.names:
        raise ValueError(f"loop closure needs a camera with a yaw; this one has {control.names}")
    count = max(1, round(AWAY / (TURN * control.settings["degrees"] * k)))
    rows = np.zeros((2 * count, control.width), np.float32)
    rows[:, control.names.index("yaw")] = np.repeat([TURN, -TURN], count)
    return rows


def closure(part: Figures) -> Metrics:
    """How much of the view is there again: 1 - |back - first| / |away - first|, squared errors.

    1: the very same picture; 0: no more alike than another view. `loop_closure_vae` is the ceiling.

    Args:
        part: of each world, looks [n, 3, H, W, 3] uint8: first, away, back.
    """
    board = Board()
    for world in ("dream", "game", "vae"):
        if f"{world}_looks" in part:
            looks = part[f"{world}_looks"].astype(np.float32)
            apart = np.square(looks[:, 1:] - looks[:, :1]).mean((2, 3, 4))  # [n, 2]
            if len(apart) >= FEWEST:
                gone, left = apart[:, 0], apart[:, 1]
                board.ratio(f"loop_closure_{world}", "there and back", gone - left, gone)
    return board.metrics
