"""Cut-outs: pictures with holes, laid over a frame in as few passes as OpenCV allows.

A cut-out is [h, w, 4] uint8: colour times alpha, and 255 - alpha, which is what of the frame stays. Frames have four
channels too, the last without a meaning: four are quicker to warp and to blend than three.
"""

from __future__ import annotations

import cv2
import numpy as np

_FLAGS = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
_HOLE = (0, 0, 0, 255)


def cutout(rgba: np.ndarray) -> np.ndarray:
    """A cut-out of [h, w, 4] colour times alpha, and alpha, of any dtype, 0 to 255."""
    picture = np.clip(rgba, 0, 255).astype(np.uint8)
    picture[..., 3] = 255 - picture[..., 3]
    return picture


def blend(target: np.ndarray, picture: np.ndarray, place: np.ndarray) -> None:
    """Lay a cut-out over `target`, [H, W, 4] uint8, in place; `place`, [2, 3], leads from target to picture."""
    patch = cv2.warpAffine(picture, place, target.shape[1::-1], flags=_FLAGS, borderValue=_HOLE)
    clear = cv2.cvtColor(cv2.extractChannel(patch, 3), cv2.COLOR_GRAY2RGBA)
    cv2.multiply(target, clear, dst=target, scale=1 / 255)
    cv2.add(target, patch, dst=target)
