"""Head, face, hair and hats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aapt_games.puppet.body import Body, Color
from aapt_games.puppet.skeleton import CHEST, HEAD, NOSE
from aapt_games.puppet.solids import SHADE, Canvas, Patch, Solid, capsule

F = np.float32


@dataclass(frozen=True)
class Skull:
    """Where the head is and where it looks."""

    middle: np.ndarray  # [3]
    axes: np.ndarray  # [3, 3] rows: to its left, up, forward
    radius: float

    @classmethod
    def of(cls, pose: np.ndarray, body: Body) -> Skull:
        """The head of a pose."""
        forward = pose[NOSE] - pose[HEAD]
        forward = forward / max(float(np.linalg.norm(forward)), 1e-6)
        up = pose[HEAD] - pose[CHEST]
        up = up - (up @ forward) * forward
        up = up / max(float(np.linalg.norm(up)), 1e-6)
        return cls(pose[HEAD], np.stack([np.cross(up, forward), up, forward]), body.head)

    @property
    def order(self) -> float:
        """Depth by which it is drawn."""
        return float(self.middle[2])

    def at(self, left: float, up: float, forward: float) -> np.ndarray:
        """A point of the head, in radii."""
        return self.middle + self.radius * (np.array((left, up, forward)) @ self.axes)


def ball(at: np.ndarray, radius: float, color: Color) -> tuple[float, ...]:
    """A capsule of no length."""
    return capsule(at, at, radius, radius, color)


def solids(skull: Skull, body: Body) -> list[Solid]:
    """What stands out from the head: ears, nose, hair, brims."""
    r, skin, hair, hat = skull.radius, body.skin, body.hair, body.hat
    ear = tuple(0.9 * c for c in skin)
    nose = tuple(min(1.0, c * f) for c, f in zip(skin, (1.0, 0.9, 0.88), strict=True))
    bumps = [ball(skull.at(s * 0.98, -0.08, -0.02), 0.2 * r, ear) for s in (1, -1)]
    parts = [Solid([*bumps, ball(skull.at(0, -0.16, 0.97), 0.13 * r, nose)])]
    if body.style == "bun":
        parts.append(Solid([ball(skull.at(0, 1.05, -0.45), 0.42 * r, hair)]))
    elif body.style == "pony":
        tail = skull.at(0, 0.1, -1.55) - (0, 0.45 * r, 0)
        parts.append(Solid([capsule(skull.at(0, 0.6, -0.9), tail, 0.34 * r, 0.2 * r, hair)]))
    elif body.style == "long":
        locks = []
        for s in (1, 0, -1):
            end = skull.at(0.62 * s, -0.9, -0.75) - (0, 0.85 * r, 0)
            locks.append(capsule(skull.at(0.5 * s, 0.2, -0.5), end, 0.58 * r, 0.36 * r, hair))
        parts.append(Solid(locks, flow=40.0))
    elif body.style == "bob":
        sides = [capsule(skull.at(0.45 * s, 0.2, -0.35), skull.at(0.62 * s, -0.75, -0.3), 0.62 * r, 0.46 * r, hair)
                 for s in (1, 0, -1)]  # fmt: skip
        parts.append(Solid(sides, flow=40.0))
    elif body.style == "curly":
        curls = [(0, 0.75, -0.2), (0.6, 0.62, -0.1), (-0.6, 0.62, -0.1), (0.85, 0.15, -0.4), (-0.85, 0.15, -0.4),
                 (0.45, 0.3, -0.85), (-0.45, 0.3, -0.85), (0.32, 0.9, 0.2), (-0.32, 0.9, 0.2)]  # fmt: skip
        parts.append(Solid([ball(skull.at(*c), 0.44 * r, hair) for c in curls], flow=60.0))
    elif body.style == "cap":
        brim = [capsule(skull.at(0.35 * s, 0.42, 0.75), skull.at(0.3 * s, 0.4, 1.35), 0.17 * r, 0.15 * r, hat)
                for s in (1, 0, -1)]  # fmt: skip
        parts.append(Solid(brim, flow=80.0))
    elif body.style == "beanie":
        parts.append(Solid([ball(skull.at(0, 1.2, -0.1), 0.3 * r, body.top_accent)]))
    return parts


def draw(canvas: Canvas, skull: Skull, body: Body) -> None:
    """The head with its face, and the hair or hat that lies close to it."""
    _sphere(canvas, skull, 1.0, lambda n, w: (1.0, _face(n, w, body)))
    if body.style != "bald":
        _sphere(canvas, skull, 1.1, lambda n, w: _hair(n, w, body))


def _sphere(canvas: Canvas, skull: Skull, factor: float, look) -> None:
    """A sphere about the head whose cover and colours `look` gives from local normals and a pixel's width."""
    r = skull.radius * factor
    x0, y0, z0 = skull.middle
    at = canvas.window((x0 - r - SHADE, x0 + r + SHADE, y0 - r - SHADE, y0 + r + SHADE))
    if at is None:
        return
    dx = (canvas.x[at[1]] - F(x0))[None, :] / F(r)
    dy = (canvas.y[at[0]] - F(y0))[:, None] / F(r)
    far = np.sqrt(dx * dx + dy * dy)
    shrink = 1 / np.maximum(far, 1)
    nx, ny = dx * shrink, dy * shrink
    nz = np.sqrt(np.maximum(1 - nx * nx - ny * ny, F(0.02)))
    normal = np.stack([nx, ny, nz])
    local = (skull.axes.astype(F) @ normal.reshape(3, -1)).reshape(
        normal.shape
    )  # left, up, forward
    cover, color = look(local, 1 / (r * canvas.scale))
    distance = (far - 1) * F(r)
    if not np.isscalar(cover):  # what is not covered lies outside
        distance = np.maximum(distance, (F(0.5) - cover) / F(canvas.scale))
    canvas.blend(at, Patch(distance, normal, F(z0) + F(r) * nz, color))


def _unit(value: np.ndarray) -> np.ndarray:
    """Between 0 and 1; quicker than np.clip on small arrays."""
    return np.minimum(np.maximum(value, F(0)), F(1))


def _soft(value: np.ndarray, pixel: float) -> np.ndarray:
    """1 where value > 0, over an edge one pixel wide."""
    return _unit(value * F(1 / max(pixel, 0.02)) + F(0.5))


def _lay(color: np.ndarray, share: np.ndarray, over: Color) -> None:
    """Blend another colour over [3, h, w], in place."""
    for i in range(3):
        color[i] += share * (F(over[i]) - color[i])


def _spot(a, b, at: tuple[float, float], size: tuple[float, float], pixel: float) -> np.ndarray:
    """A soft ellipse on the face."""
    da, db = (a - F(at[0])) * F(1 / size[0]), (b - F(at[1])) * F(1 / size[1])
    return _soft((1 - np.sqrt(da * da + db * db)) * F(min(size)), pixel)


def _face(n: np.ndarray, pixel: float, body: Body) -> np.ndarray:
    """[3, h, w] skin with eyes, brows, mouth, cheeks, beard and glasses; left is like right."""
    a, b, c = np.abs(n[0]), n[1], n[2]
    color = np.empty_like(n)
    color[:] = np.array(body.skin, F)[:, None, None]
    if float(c.max()) < 0.1:
        return color
    front = _soft(c - F(0.12), 0.15)
    blush = (min(1.0, body.skin[0] * 1.08), body.skin[1] * 0.72, body.skin[2] * 0.7)
    brow = (0.8 * body.hair[0], 0.8 * body.hair[1], 0.8 * body.hair[2])
    cheek = np.exp(-((a - F(0.52)) ** 2) * F(25) - (b + F(0.3)) ** 2 * F(39))
    _lay(color, F(0.55) * cheek * front, blush)
    if body.beard:
        jaw = _soft(F(-0.28) - b - F(0.25) * (1 - a) ** 2, 0.12)
        _lay(color, F(0.9) * jaw * _soft(c - F(0.02), 0.2), brow)
    curve = F(-0.47) + F(1.09 * body.smile) * a * a
    mouth = _soft(F(0.055) - np.abs(b - curve), pixel) * _soft(F(0.27) - a, pixel)
    _lay(color, F(0.85) * mouth * front, (0.46, 0.15, 0.15))
    _lay(color, _spot(a, b, (0.35, 0.03), (0.185, 0.215), pixel) * front, (0.97, 0.96, 0.94))
    _lay(color, _spot(a, b, (0.335, 0.02), (0.125, 0.17), pixel) * front, body.eyes)
    if pixel < 0.1:
        glint = _spot(a, b, (0.37, 0.09), (0.045, 0.05), pixel)
        _lay(color, F(0.9) * glint * front, (1.0, 1.0, 1.0))
    beside = a - F(0.36)
    arch = _soft(F(0.05) - np.abs(b - F(0.36) + F(0.4) * beside * beside), pixel)
    _lay(color, arch * _soft(F(0.2) - np.abs(beside), pixel) * front, brow)
    if body.glasses:
        ring = np.abs(np.hypot(beside, b - F(0.02)) - F(0.3))
        _lay(color, _soft(F(0.05) - ring, pixel) * front, (0.12, 0.12, 0.14))
    return color


def _hair(n: np.ndarray, pixel: float, body: Body) -> tuple[np.ndarray, np.ndarray]:
    """Cover and colour of what lies close to the head."""
    a, b, c = n
    front = _unit((c + F(0.15)) * F(1 / 0.6))
    front = front * front * (3 - 2 * front)
    base: Color = body.hair
    if body.style in ("cap", "beanie"):
        line, base = 0.34 - 0.12 * (1 - front), body.hat
    elif body.style in ("long", "bob"):
        window = np.maximum(np.abs(a) - 0.66 + 0.25 * b, b - 0.42 - 0.25 * np.abs(a + 0.15))
        share = np.where(c > 0, _soft(window, pixel), 1.0)
        return share.astype(F), _strands(n, base)
    else:
        fringe = 0.46 + 0.16 * np.abs(a + 0.2) - 0.3 * np.maximum(np.abs(a) - F(0.7), 0)
        line = -0.62 + front * (fringe + 0.62)
    share = _soft(b - line, pixel).astype(F)
    color = _strands(n, base)
    if body.style == "beanie":
        _lay(color, _soft(0.3 + line - b, pixel), body.top_accent)
    return share, color


def _strands(n: np.ndarray, base: Color) -> np.ndarray:
    """Hair with a soft sheen."""
    sheen = 1 + F(0.28) * np.exp((n[1] - F(0.62)) ** 2 * F(-39))
    return np.minimum(np.array(base, F)[:, None, None] * sheen, 1)
