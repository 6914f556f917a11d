"""Places: what stands behind the figure, and the light that falls on it."""

from __future__ import annotations

import cv2
import numpy as np

from aapt_games.puppet import indoors, outdoors
from aapt_games.puppet.sheet import Sheet
from aapt_games.puppet.solids import Light

SCENES = {
    "place": ("studio", "room", "stage", "park", "beach", "street"),
    "time": ("day", "evening", "night"),
}
FLOORS = {"studio": -0.42, "room": -0.46, "stage": -0.5, "park": -0.36, "beach": -0.5, "street": -0.44}  # fmt: skip
_PAINT = {
    "studio": indoors.studio, "room": indoors.room, "stage": indoors.stage,
    "park": outdoors.park, "beach": outdoors.beach, "street": outdoors.street,
}  # fmt: skip
_LAMP = {"day": (0.80, 0.75, 0.66), "evening": (0.92, 0.62, 0.38), "night": (0.62, 0.62, 0.72)}
_SKY = {"day": (0.54, 0.57, 0.62), "evening": (0.52, 0.44, 0.52), "night": (0.30, 0.35, 0.50)}
_RIM = {"day": (0.10, 0.11, 0.12), "evening": (0.34, 0.20, 0.10), "night": (0.16, 0.24, 0.42)}


def light(rng: np.random.Generator, scene: dict[str, str], picture: np.ndarray) -> Light:
    """The light of a scene; what comes from below has the colour of the floor, of the picture [3, H, W]."""
    time = scene["time"]
    side = float(rng.choice((-1, 1)) * rng.uniform(0.35, 0.75))
    towards = np.array((side, 1.0, float(rng.uniform(0.3, 0.6))))
    floor = picture[:, int(0.86 * picture.shape[1]) :].mean((1, 2))
    bright = {"stage": 1.12, "studio": 1.05}.get(scene["place"], 1.0)
    if scene["place"] in ("studio", "room", "stage") and time == "night":
        bright *= 1.1
    return Light(
        towards=towards / np.linalg.norm(towards),
        color=np.array(_LAMP[time]) * bright,
        sky=np.array(_SKY[time]),
        ground=0.6 * np.array(_SKY[time]) * (0.35 + 0.9 * floor),
        rim=np.array(_RIM[time]),
        shadow={"day": 0.55, "evening": 0.5, "night": 0.42}[time],
        softness=0.03 if time != "night" else 0.045,
    )


def paint(rng: np.random.Generator, scene: dict[str, str], height: int, width: int) -> np.ndarray:
    """The background, [3, H, W] float32, 0 to 1."""
    rows = 512 if height <= width else round(512 * height / width)
    sheet = Sheet(width / height, rows)
    _PAINT[scene["place"]](sheet, rng, scene["time"])
    if scene["place"] in ("studio", "room", "stage"):
        tone = {"day": (1, 1, 1), "evening": (1.0, 0.86, 0.7), "night": (0.62, 0.66, 0.82)}
        sheet.image *= np.array(tone[scene["time"]], np.float32)
    sheet.dim(0, 1.3, 3.0, 0.7, 0.1)
    small = cv2.resize(sheet.image, (width, height), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(np.clip(small, 0, 1).transpose(2, 0, 1))
