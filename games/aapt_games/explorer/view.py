"""What the camera sees: rays by column, then one gather of textures and one of light for all pixels.

A camera that pitches sees rows whose slope (height per distance ahead) is constant, so one table of rays over the
tangent q (sideways per distance ahead) serves every pixel: pixel (row, column) looks along (1, q, slope) in the level
frame that turns with it.
"""

from __future__ import annotations

from math import cos, radians, sin, tan

import cv2
import numpy as np

from aapt_games.explorer import heavens, rays, things, turned
from aapt_games.explorer.atlas import LEVELS
from aapt_games.explorer.light import ACROSS, CEILING, CELLS, DOWN, FLOOR, ONE
from aapt_games.explorer.plan import SIZE
from aapt_games.explorer.textures import TALL, WIDE
from aapt_games.explorer.world import World

FOV = 80.0  # degrees along the longer side of the frame
EYE = 1.6  # metres
FINE = 96 * 96  # pixels up to which a frame is drawn at twice its size and averaged
SOFT = 2.25  # halvings by which their textures are coarser than they could be: thin joints shimmer unforeseeably
NEAREST = 7  # things drawn at most


class View:
    """Draws a place at one size.

    Args:
        height: pixels.
        width: pixels.
        world: the place.
    """

    def __init__(self, height: int, width: int, world: World):
        self.scale = 2 if height * width <= FINE else 1
        self.height, self.width, self.world = height * self.scale, width * self.scale, world
        self.focal = max(self.height, self.width) / 2 / tan(radians(FOV / 2))
        self.x = ((np.arange(self.width) + 0.5 - self.width / 2) / self.focal).astype(np.float32)
        self.y = ((self.height / 2 - np.arange(self.height) - 0.5) / self.focal).astype(np.float32)
        self.ceiling = world.plan.ceiling.ravel()
        self.sky = np.array([r.kind == "court" for r in world.plan.rooms])[world.plan.room].ravel()
        self.sky &= self.ceiling > 0
        span = world.atlas.span[world.material]
        self.per_u, self.per_v = (1 / span).T.astype(np.float32).copy()
        self.tile = world.material * LEVELS
        self.stand = np.array([(t.x, t.y, things.KINDS[t.kind].width / 2) for t in world.things]).T
        levels = np.arange(LEVELS)
        self.wide, self.tall = ((size / 2.0**levels).astype(np.float32) for size in (WIDE, TALL))
        texels = WIDE / 2.0 / self.focal  # of the finest copy, per pixel and metre
        coarser = SOFT if self.scale > 1 else 0.0
        self.far = [2.0 ** (k + 0.5 - coarser) / texels for k in range(LEVELS - 1)]

    def render(self, x: float, y: float, yaw: float, pitch: float) -> tuple[np.ndarray, np.ndarray]:
        """Draw what is seen from a place.

        Args:
            x: m.
            y: m.
            yaw: rad, 0 looks along +x, more turns right, to +y.
            pitch: rad, up.

        Returns:
            [H, W, 3] uint8 RGB, and depth [H, W] float32: metres along the optical axis, 1e3 for the sky.
        """
        ahead = cos(pitch) - self.y * np.float32(
            sin(pitch)
        )  # [H] level distance per optical distance
        slope = ((sin(pitch) + self.y * np.float32(cos(pitch))) / ahead).astype(np.float32)
        q = self.x * (1 / ahead)[:, None]  # [H, W]
        edge = float(np.abs(q[[0, -1]]).max()) * 1.001
        count = int(2.4 * self.width * max(1.0, edge / float(self.x[-1]) * 0.8))
        table = np.linspace(-edge, edge, count, dtype=np.float32)
        c, s = np.float32(cos(yaw)), np.float32(sin(yaw))
        dx, dy = c - s * table, s + c * table
        ray = ((q + edge) * np.float32((count - 1) / (2 * edge)) + np.float32(0.5)).astype(np.intp)
        hits = rays.cast(self.ceiling, x, y, EYE, dx, dy)
        surface = self._surface(hits, ray, count, slope[:, None])
        depth, face, level, above, open_sky = surface
        px = np.float32(x) + depth * (c - s * q)
        py = np.float32(y) + depth * (s + c * q)
        z = np.float32(EYE) + depth * slope[:, None]
        cell = py.astype(np.intp) * SIZE + px.astype(np.intp)
        face = np.where(level, cell + np.where(slope > 0, CEILING, FLOOR)[:, None] * CELLS, face)
        u = np.where(face < 2 * CELLS, py, px)
        v = np.where(level, py, z)
        share = np.where(level, py - np.floor(py), z / np.maximum(above, np.float32(1e-3)))
        if len(self.world.plan.pillars):
            self._pillars(
                x, y, dx, dy, ray, (depth, face, level, u, v, share, open_sky), slope[:, None]
            )
        reach = np.hypot(1, table).astype(np.float32).take(ray) * depth
        color = self._paint(face, u, v, share, reach, level)
        if open_sky.any():
            self._heavens(color, open_sky, yaw, table, ray, slope[:, None])
            depth[open_sky] = 1e3
        self._things(color, depth, x, y, yaw, hits.wall, edge, ahead, q, slope)
        optical = depth * (1 / ahead)[:, None]
        return self._finish(color, optical)

    def _surface(self, hits: rays.Hits, ray, count: int, slope):
        """Distance ahead, wall face, whether it is floor or ceiling, ceiling above, and whether it is sky."""
        layer = np.zeros(ray.shape, np.uint8)
        for limit in hits.slope:
            layer += slope <= limit.take(ray)
        place = layer * np.intp(count) + ray
        depth, above, face = (part.take(place) for part in (hits.depth, hits.ceiling, hits.face))
        with np.errstate(divide="ignore"):
            floor = np.where(slope < 0, -EYE / slope, np.float32(1e9)).astype(np.float32)
            roof = np.where(slope > 0, (above - np.float32(EYE)) / slope, np.float32(1e9))
        over = roof < depth
        level = over | (floor < depth)
        depth = np.minimum(np.minimum(depth, floor), np.maximum(roof, 0))
        open_sky = over & self.sky.take(face % CELLS)
        return depth, face, level, above, open_sky

    def _pillars(self, x: float, y: float, dx, dy, ray, surface, slope) -> None:
        """Put pillars before what is behind them."""
        posts = self.world.plan.pillars
        middle = len(dx) // 2  # the way ahead
        before = (posts[:, 0] - x) * dx[middle] + (posts[:, 1] - y) * dy[middle]
        posts_ = np.flatnonzero((before > 0) & (before < 25))
        if not len(posts_):
            return
        near, index = rays.pillars(posts[posts_], x, y, dx, dy)
        index = posts_[index]
        depth, face, level, u, v, share, open_sky = surface
        at = np.flatnonzero(near.take(ray) < depth)
        if not len(at):
            return
        r = ray.ravel()[at]
        d, post = near[r], index[r]
        turn = np.arctan2(
            y + d * dy[r] - posts[post, 1], x + d * dx[r] - posts[post, 0]
        ) / np.float32(2 * np.pi)
        own = posts[post, 1].astype(int) * SIZE + posts[post, 0].astype(int)
        z = EYE + d * np.broadcast_to(slope, ray.shape).ravel()[at]
        keep = z < self.ceiling[own]
        at, d, post, turn, z, own = (part[keep] for part in (at, d, post, turn, z, own))
        high = self.ceiling[own]
        for part, value in (
            (depth, d), (face, 6 * CELLS + post), (level, False), (u, turn % 1), (v, z / high * 4.999),
            (share, z / high), (open_sky, False),
        ):  # fmt: skip
            part.reshape(-1)[at] = value

    def _paint(self, face, u, v, share, reach, level) -> np.ndarray:
        """Texture times light, then haze: [H, W, 3] uint8."""
        world = self.world
        far = np.where(level, reach * np.float32(1.6), reach)
        copy = (far > self.far[0]).astype(np.uint8)
        for limit in self.far[1:]:
            copy += far > limit
        copy = copy.astype(np.intp)
        tu = u * self.per_u.take(face)
        tv = v * self.per_v.take(face)
        tu -= np.floor(tu)
        tv = 1 - (tv - np.floor(tv))
        tile = self.tile.take(face) + copy
        map_x = world.atlas.left.take(tile) + tu * self.wide.take(copy)
        map_y = world.atlas.top.take(tile) + tv * self.tall.take(copy)
        color = cv2.remap(world.atlas.image, map_x, map_y, cv2.INTER_LINEAR)
        along = u - np.floor(u)
        light_x = world.light.left.take(face) + along * np.float32(ACROSS)
        light_y = world.light.top.take(face) + share * np.float32(DOWN)
        light = cv2.remap(world.light.image, light_x, light_y, cv2.INTER_LINEAR)
        color = cv2.multiply(color, light, scale=1 / ONE)
        clear = np.exp(reach * np.float32(-1 / world.sky.sight))
        haze = np.empty_like(color)
        haze[:] = world.sky.haze
        return cv2.blendLinear(color, haze, clear, 1 - clear)

    def _heavens(self, color, open_sky, yaw: float, table, ray, slope) -> None:
        """The sky, where there is nothing else."""
        turn = (np.arctan(table) + np.float32(yaw)) / np.float32(2 * np.pi)
        column = ((turn - np.floor(turn)) * heavens.WIDTH + np.float32(0.5)).astype(np.float32)
        tangent = slope / np.hypot(1, table).astype(np.float32).take(ray)
        row = heavens.row_of(np.maximum(tangent, 0)) - np.float32(0.5)
        sky = cv2.remap(
            self.world.heavens,
            column.take(ray),
            row,
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        np.copyto(color, sky, where=open_sky[..., None])

    def _things(
        self, color, depth, x: float, y: float, yaw: float, wall, edge: float, level, q, slope
    ) -> None:
        """Things that stand about, the farthest first, each upright and facing the camera.

        Args:
            color: [H, W, 3], painted over.
            depth: [H, W], distance ahead; things are entered.
            x: m.
            y: m.
            yaw: rad.
            wall: [A] distance ahead of the walls that end the rays; A tangents from -edge to edge.
            edge: greatest tangent.
            level: [H] level distance per optical distance.
            q: [H, W] tangents.
            slope: [H].
        """
        if not self.world.things:
            return
        dx, dy, half = self.stand[0] - x, self.stand[1] - y, self.stand[2]
        ahead, right = dx * cos(yaw) + dy * sin(yaw), dy * cos(yaw) - dx * sin(yaw)
        near = np.flatnonzero((ahead > 0.25) & (np.abs(right) - half < edge * ahead) & (ahead < 24))
        near = near[np.argsort(ahead[near])]
        sides = (right[near] + half[near] * np.array([[-1], [1]])) / ahead[near]
        ends = ((sides + edge) * (len(wall) - 1) / (2 * edge)).clip(0, len(wall) - 1).astype(int)
        drawn = [
            i
            for i, low, high in zip(near.tolist(), *ends.tolist(), strict=True)
            if wall[low : high + 1].max() > ahead[i]
        ]
        for i in reversed(drawn[:NEAREST]):
            self._thing(i, float(ahead[i]), float(right[i]), color, depth, level, q, slope)

    def _box(self, kind: things.Kind, base: float, ahead: float, right: float, level, slope):
        """Rows and columns of the frame that a thing can touch: r0, r1, c0, c1; r0 = r1 for none."""
        low, high = (base - EYE) / ahead, (base + kind.height - EYE) / ahead
        r0, r1 = np.searchsorted(-slope, [-high, -low])
        if r0 == r1:
            return 0, 0, 0, 0
        sides = np.array([right - kind.width / 2, right + kind.width / 2]) / ahead
        ends = np.outer(level[[r0, r1 - 1]], sides)
        c0, c1 = np.searchsorted(self.x, [ends.min(), ends.max()])
        return (int(r0), int(r1), int(c0), int(c1)) if c0 < c1 else (0, 0, 0, 0)

    def _thing(self, i: int, ahead: float, right: float, color, depth, level, q, slope) -> None:
        """One thing."""
        thing = self.world.things[i]
        kind = things.KINDS[thing.kind]
        r0, r1, c0, c1 = self._box(kind, thing.base, ahead, right, level, slope)
        if r0 == r1:
            return
        size = turned.TALL / kind.height / (self.focal / ahead)  # texels per pixel
        copy = int(np.clip(np.log2(max(size, 1.0)) + 0.3, 0, things.LEVELS - 1))
        picture = self.world.looks[i][copy]
        tall, wide = picture.shape[0] - 2, picture.shape[1] - 2
        u = (q[r0:r1, c0:c1] * np.float32(ahead) - np.float32(right)) / np.float32(
            kind.width
        ) + np.float32(0.5)
        z = (np.float32(EYE - thing.base) + slope[r0:r1] * np.float32(ahead)) / np.float32(
            kind.height
        )
        map_x = u * np.float32(wide) + np.float32(0.5)
        map_y = np.repeat(((1 - z) * np.float32(tall) + np.float32(0.5))[:, None], c1 - c0, 1)
        patch = cv2.remap(picture, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        behind = depth[r0:r1, c0:c1]
        cover = patch[..., 3:] * (behind > ahead - 0.02)[..., None]
        clear = np.float32(np.exp(-ahead / self.world.sky.sight))
        light = np.maximum(self.world.light.floor[int(thing.y), int(thing.x)] * 1.15, kind.glow)
        alpha = cover.astype(np.float32) / 255
        haze = np.asarray(self.world.sky.haze, np.float32)
        lit = np.minimum(patch[..., :3] * (light * clear).astype(np.float32), 255 * clear)
        part = color[r0:r1, c0:c1]
        shown = cover > 0
        part[:] = np.minimum(
            part * (1 - alpha) + np.where(shown, lit, 0) + haze * (1 - clear) * alpha, 255
        )
        behind[cover[..., 0] > 127] = ahead

    def _finish(self, color: np.ndarray, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self.scale == 1:
            return color, depth
        size = (self.width // self.scale, self.height // self.scale)
        step = self.scale
        return cv2.resize(color, size, interpolation=cv2.INTER_AREA), depth[::step, ::step].copy()
