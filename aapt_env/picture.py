"""Contact sheets: rows of frames, enlarged and labelled."""

from __future__ import annotations

import cv2
import numpy as np


def sheet(rows: list[np.ndarray], labels: list[str], scale: int | None = None) -> np.ndarray:
    """Rows of frames as one picture.

    Args:
        rows: each [F, H, W, 3] uint8.
        labels: one per row, written in its first frame.
        scale: enlargement; by default to about 96 pixels per frame.

    Returns:
        [H', W', 3] uint8 RGB.
    """
    height, width = rows[0].shape[1:3]
    scale = scale or max(1, round(96 / height))
    longest = max(len(r) for r in rows)
    lines = []
    for row, label in zip(rows, labels, strict=True):
        tiles = [
            cv2.resize(f, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC) for f in row
        ]
        tiles += [np.full_like(tiles[0], 32)] * (longest - len(tiles))
        line = np.concatenate([np.pad(t, ((1, 1), (1, 1), (0, 0))) for t in tiles], axis=1)
        for colour, thick in (((0, 0, 0), 3), ((255, 255, 255), 1)):
            cv2.putText(
                line, label, (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, thick, cv2.LINE_AA
            )
        lines.append(line)
    return np.concatenate(lines)
