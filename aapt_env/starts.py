"""Where a dream can begin: real frames and the controls between them.

So the dream knows its speed, and a twin can stand beside it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from aapt_env.spec import WorldSpec, array_of

PARTS = ("frames", "controls", "about")  # of a start in a file
CARRIED = "carried"  # of a start of a world that carries numbers
PREFIX = 4  # latents of real video before the first dreamt one
JPEG = [
    cv2.IMWRITE_JPEG_QUALITY,
    90,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
]


@dataclass(frozen=True, kw_only=True)
class Start:
    """One beginning."""

    frames: np.ndarray  # [1 + n*k, H, W, 3] uint8; n = 4, or 0 for a user's picture
    controls: np.ndarray  # [m, width] since the game's reset; the last n*k lie between frames
    seed: int  # of the game's reset
    scene: dict[str, str]
    # [1 + n, names], numbers of a world that carries some, at the first frame and at the end of each latent; None of a
    # picture of which they are not known
    carried: np.ndarray | None = None

    def check(self, spec: WorldSpec) -> None:
        """Raises ValueError unless frames, the controls between them and the scene are of that world."""
        shape, kind = self.frames.shape, self.frames.dtype
        good = self.frames.ndim == 4 and shape[1:] == (spec.height, spec.width, 3)
        if not good or kind != np.uint8 or not shape[0] or (shape[0] - 1) % spec.k:
            raise ValueError(
                f"start frames {shape} {kind}; expected uint8 [1 + n*{spec.k}, {spec.height}, {spec.width}, 3]"
            )
        controls, needed = self.controls.shape, shape[0] - 1
        if len(controls) != 2 or controls[1] != spec.control.width or controls[0] < needed:
            raise ValueError(
                f"start controls {controls}; expected [{needed} or more, {spec.control.width}] for {shape[0]} frames"
            )
        spec.scene_row(self.scene)
        if self.carried is not None:
            names = len(spec.carried.names) if spec.carried else 0
            wanted, got = (1 + needed // spec.k, names), np.shape(self.carried)
            if got != wanted or not np.isfinite(self.carried).all():
                raise ValueError(f"start carried {got}; expected {wanted} finite numbers")


def choose(
    wanted: Any, scene: Any, starts: list[Start], spec: WorldSpec, rng: np.random.Generator
) -> tuple[Start, int]:
    """The start that reset's options ask for, and its index; -1 for a picture.

    Args:
        wanted: an index, an RGB frame uint8 [H, W, 3] (an array, or a tensor on any device), or None for any start.
        scene: {attribute: value} that it must have, or None; a picture takes it as its own, and the first value of what
            is left out.
        starts: the checkpoint's.
        spec: the world's.
        rng: draws where several fit.

    Raises:
        ValueError: an index out of range, a picture of another size, a scene that no start has.
    """
    scene = {} if scene is None else scene
    if not isinstance(scene, dict):
        raise ValueError(f"scene {scene!r}; expected {{attribute: value}} out of {spec.scenes}")
    full = {name: values[0] for name, values in spec.scenes.items()} | scene
    spec.scene_row(full)
    if wanted is None:
        fits = [i for i, start in enumerate(starts) if scene.items() <= start.scene.items()]
        if not fits:
            raise ValueError(
                f"no start has scene {scene}; there are {_scenes(starts)}; leave an attribute out, or give a picture "
                "as 'start'"
            )
        index = fits[int(rng.integers(len(fits)))]
        return starts[index], index
    given = array_of(wanted.cpu() if isinstance(wanted, Tensor) else wanted)
    if given.ndim or given.dtype.kind not in "iu":
        return of_picture(given, full, spec, len(starts)), -1
    wanted = int(given)
    if not 0 <= wanted < len(starts):
        raise ValueError(f"start {wanted}; this checkpoint has starts 0 to {len(starts) - 1}")
    wrong = {n: v for n, v in scene.items() if starts[wanted].scene[n] != v}
    if wrong:
        raise ValueError(
            f"start {wanted} has scene {starts[wanted].scene}, which contradicts {wrong}; leave one out"
        )
    return starts[wanted], wanted


def _scenes(starts: list[Start]) -> str:
    """What scenes there are, a few of them."""
    each = list(dict.fromkeys(" ".join(start.scene.values()) for start in starts))
    return ", ".join(each[:6]) + (" and others" if len(each) > 6 else "")


def of_picture(picture: np.ndarray, scene: dict[str, str], spec: WorldSpec, count: int) -> Start:
    """A start of one frame, uint8 [H, W, 3]; the checkpoint has `count`. Raises ValueError: another size."""
    shape = (spec.height, spec.width, 3)
    if picture.shape != shape or picture.dtype != np.uint8:
        raise ValueError(
            f"start picture {picture.shape} {picture.dtype}; expected uint8 {shape}, or an index below {count}"
        )
    none = np.zeros((0, spec.control.width), np.float32)
    return Start(frames=picture[None], controls=none, seed=0, scene=scene)


def pack(starts: list[Start]) -> dict[str, Tensor]:
    """Tensors for a safetensors file; frames as JPEG strips of full colour: far closer than a VAE comes."""
    tensors = {}
    for i, start in enumerate(starts):
        strip = np.ascontiguousarray(start.frames.reshape(-1, *start.frames.shape[2:])[..., ::-1])
        good, data = cv2.imencode(".jpg", strip, JPEG)
        if not good:
            raise ValueError(f"start {i}: frames {start.frames.shape} could not be written as JPEG")
        about = {"seed": start.seed, "scene": start.scene}
        tensors[f"{i:03d}/frames"] = torch.from_numpy(data.reshape(-1).copy())
        controls = start.controls.astype(np.float32)
        if np.isin(controls, (0, 1)).all():
            controls = controls.astype(np.uint8)  # whether a key is pressed: a byte says it
        tensors[f"{i:03d}/controls"] = torch.from_numpy(controls)
        tensors[f"{i:03d}/about"] = torch.frombuffer(
            bytearray(json.dumps(about).encode()), dtype=torch.uint8
        )
        if start.carried is not None:
            tensors[f"{i:03d}/{CARRIED}"] = torch.from_numpy(start.carried.astype(np.float32))
    return tensors


def unpack(tensors: dict[str, Tensor], spec: WorldSpec) -> list[Start]:
    """The inverse of `pack`.

    Raises:
        ValueError: there is none, or one is damaged or of another world.
    """
    starts = []
    for name in sorted({key.split("/")[0] for key in tensors}):
        try:
            parts = (*PARTS, CARRIED) if spec.carried else PARTS
            lacking = [part for part in parts if f"{name}/{part}" not in tensors]
            if lacking:
                raise ValueError(f"it lacks {' and '.join(lacking)}")
            packed = tensors[f"{name}/frames"].numpy()
            strip = cv2.imdecode(packed, cv2.IMREAD_COLOR) if packed.size else None
            about = json.loads(tensors[f"{name}/about"].numpy().tobytes())
            if strip is None:
                raise ValueError("its frames are no picture")
            if strip.shape[1] != spec.width:
                raise ValueError(f"frames are {strip.shape[1]} pixels wide, expected {spec.width}")
            frames = np.ascontiguousarray(strip[..., ::-1]).reshape(-1, spec.height, spec.width, 3)
            controls = tensors[f"{name}/controls"].float().numpy()
            start = Start(
                frames=frames,
                controls=controls,
                seed=int(about["seed"]),
                scene=dict(about["scene"]),
                carried=tensors[f"{name}/{CARRIED}"].float().numpy() if spec.carried else None,
            )
            start.check(spec)
        except (KeyError, TypeError, AttributeError, ValueError, cv2.error) as error:
            raise ValueError(f"start {name} is damaged: {' '.join(str(error).split())}") from error
        starts.append(start)
    if not starts:
        raise ValueError("there is no start in it")
    return starts
