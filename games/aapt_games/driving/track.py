"""Closed tracks: a random smooth loop, sampled about every metre, and where a point lies on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

WINDOW = 30  # samples searched to either side of the last known one


@dataclass(frozen=True)
class Track:
    """A closed centre line; the driving direction is that of rising index.

    Attributes:
        xy: [N, 2] metres.
        heading: [N] radians, counter-clockwise from +x.
        curvature: [N] 1/m, positive where the road turns left.
        spacing: metres from one sample to the next, about 1.
        width: metres of asphalt, 7 to 10.
    """

    xy: np.ndarray
    heading: np.ndarray
    curvature: np.ndarray
    spacing: float
    width: float

    @property
    def length(self) -> float:
        """Metres of one lap."""
        return len(self.xy) * self.spacing

    @property
    def normals(self) -> np.ndarray:
        """[N, 2] unit vectors to the left."""
        return np.stack([-np.sin(self.heading), np.cos(self.heading)], 1)

    def nearest(self, x: float, y: float, around: int | None = None) -> int:
        """Index of the nearest sample; `around` looks only WINDOW samples to either side."""
        if around is None:
            d = self.xy - (x, y)
            return int(np.argmin(d[:, 0] ** 2 + d[:, 1] ** 2))
        index = np.arange(around - WINDOW, around + WINDOW + 1) % len(self.xy)
        d = self.xy[index] - (x, y)
        return int(index[np.argmin(d[:, 0] ** 2 + d[:, 1] ** 2)])

    def locate(self, x: float, y: float, index: int) -> tuple[float, float]:
        """Distance along the lap (m) and offset to the left of the centre line (m) near `index`."""
        dx, dy = x - float(self.xy[index, 0]), y - float(self.xy[index, 1])
        c, s = float(np.cos(self.heading[index])), float(np.sin(self.heading[index]))
        return (index * self.spacing + dx * c + dy * s) % self.length, dy * c - dx * s

    def pose(self, s: float, offset: float) -> tuple[float, float, float]:
        """World x, y (m) and heading (rad) at distance `s` along the lap, `offset` m to the left."""
        n = len(self.xy)
        i = (s / self.spacing) % n
        a, t = int(i) % n, i - int(i)
        b = (a + 1) % n
        x, y = self.xy[a] * (1 - t) + self.xy[b] * t
        h = float(self.heading[a])
        h += t * wrap(float(self.heading[b]) - h)
        return float(x) - offset * np.sin(h), float(y) + offset * np.cos(h), h

    def bend(self, s: float) -> float:
        """Curvature (1/m) at distance `s` along the lap."""
        return float(self.curvature[int(s / self.spacing) % len(self.xy)])


def wrap(angle: float) -> float:
    """The same angle in [-pi, pi)."""
    return (angle + np.pi) % (2 * np.pi) - np.pi


def generate(rng: np.random.Generator) -> Track:
    """Draw a closed track 600 to 1500 m long that neither crosses nor nearly touches itself."""
    while True:
        width = float(rng.uniform(7.0, 9.5))
        tightest = float(rng.choice([13.0, 16.0, 22.0, 30.0]))  # m, radius of the sharpest bend
        length = float(rng.uniform(600, 1500))
        loop = _smooth(_resample(_blob(rng), length), tightest, length)
        if loop is not None and _clear(loop, width + 16.0):
            return _measure(loop, width)


def _blob(rng: np.random.Generator) -> np.ndarray:
    """A jittered star of control points, warped, as a dense closed polygon."""
    n = int(rng.integers(6, 15))
    angle = (np.arange(n) + rng.uniform(-0.38, 0.38, n)) / n * 2 * np.pi
    radius = rng.uniform(rng.uniform(0.3, 0.75), 1.1, n)
    p = np.stack([np.cos(angle), np.sin(angle) * rng.uniform(0.55, 1.0)], 1) * radius[:, None]
    p0, p2, p3 = np.roll(p, 1, 0), np.roll(p, -1, 0), np.roll(p, -2, 0)
    t = np.linspace(0, 1, 40, endpoint=False)[None, :, None]
    p0, p1, p2, p3 = (q[:, None] for q in (p0, p, p2, p3))
    curve = p1 + 0.5 * t * (
        (p2 - p0) + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0))
    )
    curve = curve.reshape(-1, 2)
    for axis in (0, 1, 0, 1):  # shears keep the plane one-to-one, so the loop stays simple
        wave = np.sin(curve[:, 1 - axis] * rng.uniform(1, 4) + rng.uniform(0, 7))
        curve[:, axis] += rng.uniform(0.0, 0.22) * wave
    turn = rng.uniform(0, 2 * np.pi)
    c, s = np.cos(turn), np.sin(turn)
    curve = curve @ np.array([[c, -s], [s, c]])
    return curve[::-1] if rng.random() < 0.5 else curve


def _resample(loop: np.ndarray, length: float) -> np.ndarray:
    """The loop scaled to `length` metres with samples one metre apart."""
    closed = np.vstack([loop, loop[:1]])
    step = np.hypot(*np.diff(closed, axis=0).T)
    s = np.concatenate([[0], np.cumsum(step)])
    n = int(round(length))
    at = np.arange(n) / n * s[-1]
    return np.stack([np.interp(at, s, closed[:, k]) for k in (0, 1)], 1) * (length / s[-1])


def _smooth(loop: np.ndarray, tightest: float, length: float) -> np.ndarray | None:
    """Low-pass the loop until no bend is tighter than `tightest` metres, None if it never is."""
    for sigma in (5, 6, 7, 8, 9, 10, 11, 12, 13, 14):
        f = np.fft.fftfreq(len(loop))
        gain = np.exp(-2 * (np.pi * f * sigma) ** 2)
        loop = np.fft.ifft(np.fft.fft(loop[:, 0] + 1j * loop[:, 1]) * gain)
        loop = _resample(np.stack([loop.real, loop.imag], 1), length)
        if np.abs(_curvature(loop)).max() < 1 / tightest:
            return loop
    return None


def _curvature(loop: np.ndarray) -> np.ndarray:
    """[N] signed curvature in 1/m."""
    z = loop[:, 0] + 1j * loop[:, 1]
    step = np.roll(z, -2) - np.roll(z, 2)
    return np.angle(np.roll(step, -2) / np.roll(step, 2)) / np.abs(step)


def _clear(loop: np.ndarray, gap: float) -> bool:
    """Whether parts of the loop far apart along it stay `gap` metres apart in the plane."""
    p = loop[::4]
    d = np.hypot(p[:, None, 0] - p[None, :, 0], p[:, None, 1] - p[None, :, 1])
    k = np.abs(np.arange(len(p))[:, None] - np.arange(len(p))[None])
    k = np.minimum(k, len(p) - k) * 4
    size = np.ptp(loop, axis=0).max()
    return bool(size < 430 and d[k > 60].min() > gap)


def _measure(loop: np.ndarray, width: float) -> Track:
    """Heading and curvature of the finished loop."""
    step = np.roll(loop, -1, 0) - np.roll(loop, 1, 0)
    return Track(
        xy=loop,
        heading=np.arctan2(step[:, 1], step[:, 0]),
        curvature=_curvature(loop),
        spacing=float(np.hypot(*(np.roll(loop, -1, 0) - loop).T).mean()),
        width=width,
    )
