"""Round solids, lit and blended into a picture: capsules that flow together, with depth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

F = np.float32
SHADE = 0.038  # units around a solid in which it darkens what lies behind
Color = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Light:
    """Light of a place; colours as RGB factors."""

    towards: np.ndarray  # [3] unit vector to the lamp or the sun: right, up, to the viewer
    color: np.ndarray  # [3]
    sky: np.ndarray  # [3] what comes from above
    ground: np.ndarray  # [3] what comes from below
    rim: np.ndarray  # [3] light from behind on the edges
    shadow: float  # 0 to 1, how dark a shadow is
    softness: float  # of shadows, in units


@dataclass(frozen=True)
class Patch:
    """What one solid looks like on a patch of the picture, before light."""

    distance: np.ndarray  # [h, w] to the outline in units, negative inside
    normal: np.ndarray  # [3, h, w]
    depth: np.ndarray  # [h, w] z
    color: np.ndarray  # [3, h, w]


def capsule(
    a: np.ndarray, b: np.ndarray, radius_a: float, radius_b: float, color: Color,
    other: Color | None = None, split: float = 2.0,
) -> tuple[float, ...]:  # fmt: skip
    """From a to b; the colour changes to `other` at `split` of the way."""
    return (*a, *b, radius_a, radius_b, split, *color, *(other or color))


class Solid:
    """Capsules that flow into each other.

    Args:
        capsules: of `capsule`.
        flow: how sharp the union is, per unit.
        dye: (place [3, h, w], patch) -> color [3, h, w], where it is not plain.
    """

    def __init__(
        self,
        capsules: Sequence[tuple[float, ...]],
        flow: float = 60.0,
        dye: Callable[[np.ndarray, Patch], np.ndarray] | None = None,
    ):
        self.flow, self.dye = F(flow), dye
        self.table = np.array(capsules, F)  # [n, 15]
        ends = self.table[:, :6].reshape(-1, 3)
        self.order = float(ends[:, 2].mean())  # depth by which solids are drawn, far ones first

    def bounds(self) -> tuple[float, float, float, float]:
        """Left, right, bottom, top, with what it shades."""
        table = self.table
        r = np.maximum(table[:, 6], table[:, 7])[:, None] + F(SHADE)
        low = (np.minimum(table[:, 0:2], table[:, 3:5]) - r).min(0)
        high = (np.maximum(table[:, 0:2], table[:, 3:5]) + r).max(0)
        return float(low[0]), float(high[0]), float(low[1]), float(high[1])

    def patch(self, x: np.ndarray, y: np.ndarray, scale: float) -> Patch:
        """The solid at x [w] and y [h]; `scale` is pixels per unit.

        Each capsule tells how far a pixel is along it (t) and from it; the shares of a smooth union weigh them. All
        that is linear in the shares is then one product of matrices.
        """
        ax, ay, az, bx, by, bz, ra, rb, split = self.table[:, :9].T
        bx, by, grow = bx - ax, by - ay, rb - ra
        long = bx * bx + by * by
        nearer = F(1e-4) * (bz > az)  # the end that is seen when it points to the viewer
        px, py = x - ax[:, None], y - ay[:, None]  # [n, w], [n, h]
        dot = (px * bx[:, None])[:, None, :] + (py * by[:, None])[:, :, None]  # [n, h, w]
        t = dot + nearer[:, None, None]
        t *= (1 / (long + F(1e-4)))[:, None, None]
        np.maximum(t, 0, out=t)
        np.minimum(t, 1, out=t)
        far = t * long[:, None, None]
        dot += dot
        far -= dot
        far *= t
        far += (px * px)[:, None, :] + (py * py)[:, :, None]
        np.maximum(far, 0, out=far)
        np.sqrt(far, out=far)
        radius = t * grow[:, None, None]
        radius += ra[:, None, None]
        far -= radius
        share, distance = self._shares(far)
        count, shape = len(self.table), distance.shape
        rows = np.empty((5, count, *shape), F)
        rows[0] = share
        np.multiply(share, t, out=rows[1])
        np.divide(share, radius, out=rows[2])
        np.multiply(rows[2], t, out=rows[3])
        rows[4] = self._change(t, split, scale)
        rows[4] *= share
        made = self._weights(ax, ay, az, bx, by, bz - az, ra, grow) @ rows.reshape(5 * count, -1)
        made = made.reshape(8, *shape)
        normal = np.empty((3, *shape), F)
        np.subtract(x * made[2], made[3], out=normal[0])
        np.subtract(y[:, None] * made[2], made[4], out=normal[1])
        flat = 1 - normal[0] * normal[0] - normal[1] * normal[1]
        np.sqrt(np.maximum(flat, F(0.02), out=flat), out=normal[2])
        return Patch(distance, normal, made[0] + made[1] * normal[2], made[5:])

    def _shares(self, far: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distances [n, h, w] -> each capsule's share of a smooth union, and its distance [h, w]."""
        if len(far) == 1:
            return np.ones_like(far), far[0]
        least = far.min(0)
        share = least - far
        share *= self.flow
        np.exp(share, out=share)
        total = share.sum(0)
        share /= total
        return share, least - np.log(total) / self.flow

    def _change(self, t: np.ndarray, split: np.ndarray, scale: float) -> np.ndarray:
        """How much of its second colour a capsule has, 0 to 1."""
        if (split > 1.5).all():
            return np.zeros_like(t)
        mix = (t - split[:, None, None]) * F(0.16 * scale) + F(0.5)
        np.maximum(mix, 0, out=mix)
        return np.minimum(mix, 1, out=mix)

    def _weights(self, ax, ay, az, bx, by, bz, ra, grow) -> np.ndarray:
        """[8, 5 n]: out of the shares, depth, radius, 1 / radius, the axis over the radius (x, y), and colour."""
        n = len(ax)
        first, second = self.table[:, 9:12].T, self.table[:, 12:15].T
        made = np.zeros((8, 5, n), F)
        made[0, 0], made[0, 1] = az, bz
        made[1, 0], made[1, 1] = ra, grow
        made[2, 2] = 1
        made[3, 2], made[3, 3] = ax, bx
        made[4, 2], made[4, 3] = ay, by
        made[5:, 0], made[5:, 4] = first, second - first
        return made.reshape(8, 5 * n)


class Canvas:
    """A picture under the brush: solids are blended with depth first, and lit all at once.

    Args:
        height: rows.
        width: columns.
    """

    def __init__(self, height: int, width: int):
        self.scale = min(height, width) / 2
        self.x = ((np.arange(width) + 0.5 - width / 2) / self.scale).astype(F)
        self.y = ((height / 2 - np.arange(height) - 0.5) / self.scale).astype(F)
        self.layers = np.zeros((8, height, width), F)  # colour 3, normal 3, shade, cover
        self.depth = np.zeros((height, width), F)
        self.touched: list[tuple[slice, slice]] = []

    def begin(self) -> None:
        """Nothing is there."""
        self.layers[:] = 0
        self.depth[:] = -9
        self.touched = []

    def window(self, bounds: tuple[float, float, float, float]) -> tuple[slice, slice] | None:
        """Rows and columns of a rectangle; None when it is outside the picture."""
        height, width = self.depth.shape
        left, right, bottom, top = (v * self.scale for v in bounds)
        columns = slice(max(int(left + width / 2), 0), min(int(right + width / 2) + 1, width))
        rows = slice(max(int(height / 2 - top), 0), min(int(height / 2 - bottom) + 1, height))
        if columns.start >= columns.stop or rows.start >= rows.stop:
            return None
        self.touched.append((rows, columns))
        return rows, columns

    def add(self, solid: Solid) -> None:
        """Put a solid before what lies behind it."""
        at = self.window(solid.bounds())
        if at is None:
            return
        x, y = self.x[at[1]], self.y[at[0]]
        patch = solid.patch(x, y, self.scale)
        if solid.dye is not None:
            place = np.empty_like(patch.normal)
            place[0], place[1], place[2] = x, y[:, None], patch.depth
            patch = Patch(patch.distance, patch.normal, patch.depth, solid.dye(place, patch))
        self.blend(at, patch)

    def blend(self, at: tuple[slice, slice], patch: Patch) -> None:
        """Put a patch there, and darken what it lies close in front of."""
        layers, depth = self.layers[:, *at], self.depth[at]
        cover = F(0.5) - patch.distance * F(self.scale)
        np.maximum(cover, 0, out=cover)
        np.minimum(cover, 1, out=cover)
        ahead = patch.depth - depth
        cover *= ahead > F(-0.015)
        near = 1 - patch.distance * F(1 / SHADE)
        np.maximum(near, 0, out=near)
        np.minimum(near, 1, out=near)
        ahead *= F(9)
        np.maximum(ahead, 0, out=ahead)
        np.minimum(ahead, 1, out=ahead)
        near *= near
        near *= ahead
        near *= F(-0.5)
        near += 1
        layers[6] *= near
        fresh = np.ones(layers.shape, F)
        fresh[:3], fresh[3:6] = patch.color, patch.normal
        fresh -= layers
        fresh *= cover
        layers += fresh
        np.copyto(depth, patch.depth, where=cover > 0.5)

    def finish(self, picture: np.ndarray, light: Light) -> None:
        """Light what there is and lay it over a picture [3, H, W] float32."""
        if not self.touched:
            return
        rows, columns = zip(*self.touched, strict=True)
        at = (
            slice(min(r.start for r in rows), max(r.stop for r in rows)),
            slice(min(c.start for c in columns), max(c.stop for c in columns)),
        )
        layers, view = self.layers[:, *at], picture[:, *at]
        cover = layers[7]
        whole = layers[:6] / np.maximum(cover, F(1e-3))
        view += cover * (lit(whole[:3], whole[3:], layers[6], light) - view)


def lit(color: np.ndarray, normal: np.ndarray, shade: np.ndarray, light: Light) -> np.ndarray:
    """[3, h, w] colours in the light; `shade` [h, w] is what nearby solids leave of it."""
    x, y, z = light.towards.astype(F) * F(0.8)
    direct = x * normal[0] + y * normal[1] + z * normal[2] + F(0.2)
    direct = np.clip(direct, 0, 1) * shade
    above = F(0.5) + F(0.5) * normal[1]
    edge = (1 - normal[2]) ** 2
    outline = (1 - F(0.25) * edge) * shade
    glow = edge * above
    made = np.empty_like(color)
    for i in range(3):
        ground, sky = F(light.ground[i]), F(light.sky[i])
        made[i] = color[i] * (
            (ground + above * (sky - ground)) * outline + direct * F(light.color[i])
        )
        made[i] += F(light.rim[i]) * glow
    return np.minimum(made, 1, out=made)
