"""Where a dream can begin: real frames with the controls between them, so that the dream knows its speed and a twin can stand beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

PREFIX = 4  # latents of real video before the first dreamt one


@dataclass(frozen=True, kw_only=True)
class Start:
    """One beginning."""

    frames: np.ndarray  # [1 + n*k, H, W, 3] uint8, n = 4 for a checkpoint's starts, 0 for a user's picture
    controls: np.ndarray  # [m, width] float32, one per frame since the game's reset; the last n*k lie between the frames
    seed: int  # of the game's reset
    scene: dict[str, str]


def pack(starts: list[Start]) -> dict[str, Tensor]:
    """Tensors for a safetensors file; frames as lossless WebP, one strip per start."""
    tensors = {}
    for i, start in enumerate(starts):
        strip = np.ascontiguousarray(start.frames.reshape(-1, *start.frames.shape[2:])[..., ::-1])
        good, data = cv2.imencode(".webp", strip, [cv2.IMWRITE_WEBP_QUALITY, 101])
        if not good:
            raise ValueError(f"start {i}: frames {start.frames.shape} could not be written as WebP")
        about = {"seed": start.seed, "scene": start.scene}
        tensors[f"{i:03d}/frames"] = torch.from_numpy(data.reshape(-1).copy())
        tensors[f"{i:03d}/controls"] = torch.from_numpy(start.controls.astype(np.float16))
        tensors[f"{i:03d}/about"] = torch.frombuffer(bytearray(json.dumps(about).encode()), dtype=torch.uint8)
    return tensors


def unpack(tensors: dict[str, Tensor], height: int, width: int) -> list[Start]:
    """The inverse of `pack`.

    Raises:
        ValueError: a start is damaged or its frames are of another size.
    """
    starts = []
    for name in sorted({key.split("/")[0] for key in tensors}):
        try:
            strip = cv2.imdecode(tensors[f"{name}/frames"].numpy(), cv2.IMREAD_COLOR)
            about = json.loads(tensors[f"{name}/about"].numpy().tobytes())
            frames = np.ascontiguousarray(strip[..., ::-1]).reshape(-1, height, width, 3)
            controls = tensors[f"{name}/controls"].float().numpy()
            starts.append(Start(frames=frames, controls=controls, seed=int(about["seed"]), scene=about["scene"]))
        except (KeyError, TypeError, ValueError, cv2.error) as error:
            raise ValueError(f"start {name} is damaged: {error}") from error
    return starts
