"""Round solids, lit and blended into a picture: capsules that flow together, with depth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

F = np.float32
SHADE = 0.05  # units around a solid in which it darkens what lies behind
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
        """The solid at x [w] and y [h]; `scale` is pixels per unit."""
        table = self.table[:, :, None, None]
        ax, ay, az, bx, by, bz, ra, rb, split = (table[:, i] for i in range(9))
        bx, by, bz = bx - ax, by - ay, bz - az
        per = 1 / (bx * bx + by * by + F(1e-8))
        px, py = x[None, None, :] - ax, y[None, :, None] - ay
        t = px * (bx * per) + py * (by * per)
        np.maximum(t, 0, out=t)
        np.minimum(t, 1, out=t)
        made = np.empty((4, *t.shape), F)  # normal x and y, depth, radius
        radius = np.multiply(t, rb - ra, out=made[3])
        radius += ra
        dx, dy = px - t * bx, py - t * by
        d = np.sqrt(dx * dx + dy * dy)
        d -= radius
        np.divide(dx, radius, out=made[0])
        np.divide(dy, radius, out=made[1])
        np.multiply(t, bz, out=made[2])
        made[2] += az
        if len(table) == 1:
            share, d, made = None, d[0], made[:, 0]
        else:
            share, d, made = self._join(d, made)
        color = self._color(share, t, split, scale)
        normal = np.empty((3, *d.shape), F)
        normal[:2] = made[:2]
        normal[2] = np.sqrt(np.maximum(1 - made[0] ** 2 - made[1] ** 2, F(0.02)))
        return Patch(d, normal, made[2] + made[3] * normal[2], color)

    def _join(self, d: np.ndarray, made: np.ndarray):
        """Smooth union: each capsule's share [n, h, w], distance [h, w], and the others [4, h, w]."""
        least = d.min(0)
        weight = np.exp((least - d) * self.flow)
        total = weight.sum(0)
        weight /= total
        return weight, least - np.log(total) / self.flow, (made * weight).sum(1)

    def _color(self, share, t: np.ndarray, split: np.ndarray, scale: float) -> np.ndarray:
        """[3, h, w], or [3, 1, 1] where there is but one colour."""
        first, second = self.table[:, 9:12], self.table[:, 12:15]
        if (first == first[0]).all() and (second == first).all():
            return first[0][:, None, None]
        if share is None:
            share = np.ones_like(t)
        share = share * share * share
        share /= share.sum(0)
        if (first == second).all():
            return np.tensordot(first.T, share, 1)
        mix = (t - split) * F(0.16 * scale) + F(0.5)
        np.maximum(mix, 0, out=mix)
        np.minimum(mix, 1, out=mix)
        mix *= share
        return np.tensordot(first.T, share, 1) + np.tensordot((second - first).T, mix, 1)


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
        near *= F(-0.42)
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
        made[i] = color[i] * ((ground + above * (sky - ground)) * outline + direct * F(light.color[i]))
        made[i] += F(light.rim[i]) * glow
    return np.minimum(made, 1, out=made)
