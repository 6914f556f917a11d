"""Everything far away: sky, sun or moon, clouds, hills, woods and towns, all round."""

from __future__ import annotations

import cv2
import numpy as np

from aapt_games.driving.scene import Palette

WIDTH = 1536  # pixels for the full circle
ABOVE = 150  # rows above the horizon
BELOW = 40  # rows below it
FULL = np.float32(2 * np.pi / WIDTH)


def paint(palette: Palette, time: str, rng: np.random.Generator) -> np.ndarray:
    """[ABOVE + BELOW, WIDTH, 3] uint8 RGB panorama; column 0 looks along +x, columns go right."""
    image = _sky(palette)
    _lamp_in_sky(image, palette, time, rng)
    _clouds(image, palette, time, rng)
    hills = np.asarray(palette.hills, float) * palette.light
    haze = np.asarray(palette.haze, float)
    thick = {True: 0.93, False: 0.0}[palette.sight < 60] or min(0.8, 55.0 / palette.sight)
    kinds = ["mountains", "hills", "town", "woods"]
    far, near = rng.permutation(kinds[:2])[0], kinds[2 + int(rng.integers(2))]
    snow = np.asarray((236, 240, 248)) * np.asarray(palette.light)
    ridge = _ridge(rng, 34 if far == "mountains" else 17, far == "mountains")
    _fill(image, ridge, hills * (1 - thick) * 0.9 + haze * (thick + 0.1 * (1 - thick)))
    if far == "mountains":
        top = snow * (1 - thick) + haze * thick
        _fill(image, ridge, top, np.minimum(ridge, 20 + 5 * np.sin(np.arange(WIDTH) * 0.11)))
    mid = _ridge(rng, 9, False) + 2
    _fill(image, mid, hills * (1 - thick * 0.7) + haze * thick * 0.7)
    if near == "town":
        _town(image, palette, thick, rng)
    _woods(image, hills * 0.72 * (1 - thick * 0.6) + haze * thick * 0.6, rng)
    ground = np.mean(palette.grass, 0) * palette.light
    image[ABOVE:] = ground * (1 - thick) + haze * thick
    return np.clip(image, 0, 255).astype(np.uint8)


def _sky(palette: Palette) -> np.ndarray:
    """Vertical gradient."""
    low, high = (np.asarray(c, np.float32) for c in palette.sky)
    t = (np.linspace(1, 0, ABOVE, dtype=np.float32) ** 0.75)[:, None, None]
    sky = np.broadcast_to(low * (1 - t) + high * t, (ABOVE, WIDTH, 3))
    return np.concatenate([sky, np.zeros((BELOW, WIDTH, 3), np.float32)]).copy()


def _lamp_in_sky(image: np.ndarray, palette: Palette, time: str, rng: np.random.Generator) -> None:
    """Sun or moon with its glow, and stars."""
    at = rng.uniform(0, WIDTH)
    height = {"day": 88.0, "dusk": 18.0, "night": 74.0}[time]
    dx = (np.arange(WIDTH) - at + WIDTH / 2) % WIDTH - WIDTH / 2
    r = np.hypot(dx[None], np.arange(ABOVE)[:, None] - (ABOVE - height))
    veil = 1 - 0.85 * max(0.0, palette.cloud - 0.3) / 0.7
    color = {"day": (255, 248, 220), "dusk": (255, 206, 120), "night": (224, 228, 236)}[time]
    size = {"day": 9.0, "dusk": 13.0, "night": 8.0}[time]
    spread = {"day": 45.0, "dusk": 90.0, "night": 26.0}[time]
    if time == "night" and palette.cloud < 0.5:
        for _ in range(220):
            x, y = int(rng.integers(WIDTH)), int(rng.integers(ABOVE - 12))
            image[y, x : x + 2] = rng.uniform(90, 220)
    glow = np.exp(-r / spread) * (0.75 if time != "night" else 0.35) * veil
    disc = np.clip(size - r + 0.5, 0, 1) * veil**2
    a = np.maximum(glow, disc)[..., None].astype(np.float32)
    image[:ABOVE] += (np.asarray(color, np.float32) - image[:ABOVE]) * a


def _clouds(image: np.ndarray, palette: Palette, time: str, rng: np.random.Generator) -> None:
    """Soft banks of cloud, flatter towards the horizon."""
    n = np.zeros((ABOVE, WIDTH), np.float32)
    for cell, gain in ((96, 0.5), (40, 0.3), (18, 0.2)):
        small = rng.random((ABOVE * 3 // cell + 3, WIDTH // cell)).astype(np.float32)
        small = np.concatenate([small, small[:, :2]], 1)
        big = cv2.resize(small, (WIDTH + 2 * WIDTH // (WIDTH // cell), ABOVE), interpolation=2)
        n += gain * big[:, :WIDTH]
    seam = np.clip((np.arange(WIDTH) - (WIDTH - 60)) / 60, 0, 1)
    n = n * (1 - seam) + n[:, :1] * seam
    cut = np.quantile(n[::4, ::4], 1 - palette.cloud)
    a = np.clip((n - cut) * 7, 0, 1) * np.linspace(0.95, 0.55, ABOVE)[:, None]
    bright = {"day": (250, 250, 252), "dusk": (255, 182, 138), "night": (52, 58, 78)}[time]
    base = np.asarray(bright, np.float32)
    if palette.cloud > 0.5:
        base = base * 0.35 + np.mean(palette.sky, 0).astype(np.float32) * 0.65
    shade = base * (0.8 + 0.3 * np.clip(n - cut, 0, 0.5)[..., None])
    image[:ABOVE] += (shade - image[:ABOVE]) * a[..., None]


def _ridge(rng: np.random.Generator, height: float, sharp: bool) -> np.ndarray:
    """[WIDTH] height in pixels of a periodic skyline."""
    x = np.arange(WIDTH) * 2 * np.pi / WIDTH
    y = np.zeros(WIDTH)
    for k in range(2, 34 if sharp else 14):
        wave = np.sin(k * x + rng.uniform(0, 7))
        y += (np.abs(wave) * 2 - 1 if sharp else wave) * rng.normal() / k**0.9
    y = (y - y.min()) / np.ptp(y)
    return 2 + height * (0.15 + 0.85 * y)


def _fill(image: np.ndarray, top: np.ndarray, color, bottom: np.ndarray | None = None) -> None:
    """Paint columns from `bottom` (default the horizon) up to `top` pixels, smooth at the top."""
    start = max(0, ABOVE - int(top.max()) - 2)
    rows = ABOVE - np.arange(start, ABOVE)[:, None]
    a = np.clip(top[None] - rows + 1, 0, 1)
    if bottom is not None:
        a *= np.clip(rows - bottom[None], 0, 1)
    part = image[start:ABOVE]
    part += (np.asarray(color, np.float32) - part) * a[..., None].astype(np.float32)


def _town(image: np.ndarray, palette: Palette, thick: float, rng: np.random.Generator) -> None:
    """A skyline of buildings over a part of the circle; windows glow at night."""
    haze, light = np.asarray(palette.haze), np.asarray(palette.light)
    x, end = int(rng.integers(WIDTH // 3)), 0
    end = x + int(rng.integers(250, 700))
    while x < end:
        w, h = int(rng.integers(9, 24)), int(rng.integers(10, 44))
        tone = np.asarray((150, 146, 156)) * rng.uniform(0.55, 1.0) * light
        tone = tone * (1 - thick * 0.8) + haze * thick * 0.8
        left = x % WIDTH
        cv2.rectangle(image, (left, ABOVE - h), (left + w, ABOVE), tuple(map(float, tone)), -1)
        lit = np.asarray((255, 214, 130)) if palette.headlights else tone * 0.82
        lit = lit * (1 - thick * 0.6) + haze * thick * 0.6
        for row in range(ABOVE - h + 3, ABOVE - 4, 6):
            for col in range(left + 2, left + w - 2, 5):
                if rng.random() < 0.6:
                    cv2.rectangle(image, (col, row), (col + 2, row + 2), tuple(map(float, lit)), -1)
        x += w + int(rng.integers(-3, 10))


def _woods(image: np.ndarray, color: np.ndarray, rng: np.random.Generator) -> None:
    """A ragged line of far trees with gaps."""
    x = np.arange(WIDTH) * 2 * np.pi / WIDTH
    gaps = sum(np.sin(k * x + rng.uniform(0, 7)) for k in (1, 3, 5, 8))
    crowns = np.abs(np.sin(61 * x + rng.uniform(0, 7))) + np.abs(np.sin(97 * x)) * 0.7
    _fill(image, np.clip(gaps + 1.2, 0, 1.2) * (4 + 3.2 * crowns), color)
