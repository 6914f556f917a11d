"""The view through the windscreen."""

from __future__ import annotations

from math import cos, sin, tan

import cv2
import numpy as np

from aapt_games.driving import horizon, scenery
from aapt_games.driving.bank import SMALLEST, bank
from aapt_games.driving.cockpit import cockpit
from aapt_games.driving.ground import LEVELS, SCALE
from aapt_games.driving.physics import Car
from aapt_games.driving.world import World

EYE = 1.75  # metres above the road
BANDS = (40.0, 15.0, 7.5)  # metres: nearer ground is drawn from finer maps
MOST = 28  # sprites in one frame
_FLAGS = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP


class Renderer:
    """Draws one world at one frame size.

    Ground far away covers many metres per row, so each band of rows is drawn several times finer
    from a suitably coarse map and averaged down: nothing flickers.
    """

    def __init__(self, height: int, width: int, world: World):
        self.height, self.width, self.world = height, width, world
        self.focal = 0.75 * width
        self.level = 0.41 * height  # row of the horizon when the car is at rest
        self.bottom = int(np.ceil(0.9 * height))  # rows below are all dashboard
        self.cockpit = cockpit(height, width, world.palette)
        self.bank = bank(world.palette, self.focal)
        self.names = [scenery.KINDS[k] for k in world.scenery.kind]
        k = self.focal * 2 * np.pi / horizon.WIDTH
        size = (round(horizon.WIDTH * k), round(world.panorama.shape[0] * k))
        far = cv2.resize(world.panorama, size, interpolation=cv2.INTER_AREA)
        self.around = size[0]
        far = cv2.cvtColor(far, cv2.COLOR_RGB2RGBA)  # warps are quicker on four channels
        self.panorama = cv2.hconcat([far, far[:, : width + 16]])
        self.skyline = horizon.ABOVE * size[1] / world.panorama.shape[0]
        self.columns = (np.arange(width) + 0.5 - width / 2).astype(np.float32)
        self.bands = self._plan()
        self.lamps = self._lamps() if world.palette.headlights else None

    def _lamps(self) -> np.ndarray:
        """[rows, W, 3] uint8 headlight on the ground by rows below the horizon; 100 is factor 1."""
        rows = np.arange(self.height)[:, None] + 0.5
        d = self.focal * EYE / rows
        side = self.columns[None] * d / self.focal
        beam = np.exp(-((side / (1.6 + 0.22 * d)) ** 2)) * np.exp(-d / 26) * np.clip(d / 4, 0.6, 1)
        warm = np.asarray((1.0, 0.95, 0.82))
        return np.clip(100 * (0.42 + 1.75 * beam[..., None] * warm), 0, 255).astype(np.uint8)

    def render(self, car: Car, others: np.ndarray, colors: np.ndarray, pedals) -> np.ndarray:
        """One frame.

        Args:
            car: the player's.
            others: [n, 3] x, y (m), heading (rad) of the other cars.
            colors: [n] their paint.
            pedals: throttle and brake, pressed or not.

        Returns:
            [H, W, 3] uint8 RGB.
        """
        frame = np.empty((self.height, self.width, 3), np.uint8)
        row = self.level + self.height * 0.016 * car.pitch
        roll = 0.022 * car.roll
        self._sky(frame, car.heading, row, roll)
        self._ground(frame, car, row, roll)
        frame = cv2.cvtColor(frame, cv2.COLOR_RGB2RGBA)
        self._things(frame[: self.bottom], car, row, roll, others, colors)
        self.cockpit.draw(frame, car.steer, car.speed, pedals)
        return cv2.cvtColor(frame, cv2.COLOR_RGBA2RGB)

    def _sky(self, frame: np.ndarray, heading: float, row: float, roll: float) -> None:
        """Panorama, turned to the heading and leaning with the car."""
        turn = (-heading / (2 * np.pi)) % 1.0 * self.around - self.width / 2
        c, s = cos(roll), sin(roll)
        x, y = self.width / 2 - 0.5, row - 0.5
        middle = (turn + self.width / 2) % self.around
        if middle < self.width / 2 + 4:
            middle += self.around
        if middle + self.width / 2 > self.panorama.shape[1] - 4:
            middle -= self.around
        place = np.array(
            [[c, s, middle - c * x - s * y], [-s, c, self.skyline + s * x - c * y]]
        )  # fmt: skip
        low = min(int(row + 0.07 * self.height) + 2, self.bottom)
        view = frame[:low]
        frame[low : self.bottom] = self.panorama[-1, 0, :3]
        sky = cv2.warpAffine(self.panorama, place, view.shape[1::-1], flags=_FLAGS,
                             borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
        cv2.cvtColor(sky, cv2.COLOR_RGBA2RGB, dst=view)

    def _ground(self, frame: np.ndarray, car: Car, row: float, roll: float) -> None:
        """The land, band by band, then wetness, lamps and haze."""
        top = max(int(row) - 1, 0)
        land = np.empty((self.bottom - top, self.width, 4), np.uint8)
        to_map = self._homography(car, row - top, roll)
        for band in self.bands:
            self._band(land, band, to_map)
        depth = (np.arange(top, self.bottom, dtype=np.float32) + np.float32(0.5 - row))[:, None]
        depth = np.maximum(depth - np.float32(tan(roll)) * self.columns, np.float32(0.05))
        color = cv2.cvtColor(land, cv2.COLOR_RGBA2RGB)
        if self.lamps is not None:
            cv2.multiply(color, self.lamps[: len(land)], dst=color, scale=1 / 100)
        if self.world.palette.wet:
            color = self._mirror(frame, color, land[..., 3], top, depth)
        clear = np.exp(np.float32(-self.focal * EYE / self.world.palette.sight) / depth)
        view = frame[top : self.bottom]
        view[:] = cv2.blendLinear(color, view, clear, 1 - clear)

    def _mirror(self, frame, color, wet, top: int, depth: np.ndarray) -> np.ndarray:
        """Wet road: some of the sky, upside down, more of it far away; `wet` is [rows, W] uint8."""
        back = frame[max(2 * top - self.bottom, 0) : top][::-1]
        back = cv2.blur(cv2.resize(back, (self.width, len(color))), (1, 5))
        share = 0.14 + 0.5 * np.exp(depth * np.float32(-9.0 / self.height))
        share *= wet * np.float32(0.85 / 255) + np.float32(0.15)
        return cv2.blendLinear(color, back, 1 - share, share)

    def _plan(self) -> list[tuple[int, int, int, int, np.ndarray]]:
        """Bands of rows: first, end (below the horizon), level, rows drawn per row, their place."""
        plan, start, reach = [], 0, self.focal * EYE
        for near in (*BANDS, 0.0):
            end = int(reach / near + 2) if near else self.bottom
            if end == start:
                continue
            d = max(near, 5.0) * 1.2  # typical of the band, m
            level = int(np.clip(round(np.log2(max(d / self.focal * SCALE, 1))), 0, LEVELS - 1))
            scale = SCALE / 2**level
            fine = int(np.clip(round(d * d / reach * scale), 1, 6))
            step = np.array([[1, 0, 0], [0, 1 / fine, start + 0.5 / fine - 0.5], [0, 0, 1]])
            plan.append((start, end, level, fine, step))
            start = end
        return plan

    def _band(self, land: np.ndarray, band, to_map: np.ndarray) -> None:
        """Fill one band of `land`, drawn `fine` times finer and averaged down."""
        start, end, level, fine, step = band
        end = min(end, len(land))
        scale = SCALE / 2**level
        place = np.array([[scale, 0, -0.5], [0, scale, -0.5], [0, 0, 1]]) @ to_map @ step
        size = (self.width, (end - start) * fine)
        rows = cv2.warpPerspective(self.world.ground.levels[level], place, size,
                                   flags=_FLAGS, borderValue=self.world.ground.edge)  # fmt: skip
        if fine > 1:
            rows = rows.reshape(end - start, fine, self.width, 4)
            rows = np.add.reduce(rows, 1, dtype=np.uint16) // np.uint16(fine)
        land[start:end] = rows

    def _homography(self, car: Car, row: float, roll: float) -> np.ndarray:
        """[3, 3] from (column, row, 1) in pixels, horizon at `row`, to metres on the map."""
        c, s = cos(roll), sin(roll)
        x, y = self.width / 2 - 0.5, row - 0.5
        ch, sh, reach = cos(car.heading), sin(car.heading), self.focal * EYE
        px, py = car.x - self.world.ground.origin[0], car.y - self.world.ground.origin[1]
        a = np.array([c, s, -c * x - s * y])  # columns right of the middle, levelled
        b = np.array([-s, c, s * x - c * y])  # rows below the horizon, levelled
        one = np.array([0.0, 0.0, 1.0])
        return np.stack([EYE * sh * a + px * b + reach * ch * one,
                         -EYE * ch * a + py * b + reach * sh * one, b])  # fmt: skip

    def _things(self, frame, car: Car, row, roll, others, colors) -> None:
        """Scenery and other cars, far to near, on a frame [rows, W, 4]."""
        still = self.world.scenery
        dx = np.concatenate([still.xy[:, 0], others[:, 0]]) - car.x
        dy = np.concatenate([still.xy[:, 1], others[:, 1]]) - car.y
        c, s = cos(car.heading), sin(car.heading)
        ahead, right = dx * c + dy * s, dx * s - dy * c
        size = np.concatenate([still.height, np.full(len(others), scenery.CAR_HEIGHT)])
        seen = (ahead > 1.8) & (ahead < np.minimum(self.bank.far, size * self.focal / SMALLEST))
        seen &= np.abs(right) < ahead * 0.667 + size
        seen = np.flatnonzero(seen)
        seen = seen[np.argsort(-ahead[seen], kind="stable")][-MOST:]
        k = self.focal / ahead[seen]
        px, side = size[seen] * k, right[seen] * k
        x, y = self.width / 2 + side, row + EYE * k + tan(roll) * side
        level = self.bank.levels(px)
        for i, *where in zip(*(a.tolist() for a in (seen, level, px, x, y)), strict=True):
            j = i - len(self.names)
            bearing = others[j, 2] - np.arctan2(dy[i], dx[i]) if j >= 0 else 0.0
            name = self.names[i] if j < 0 else _car_name(colors[j], bearing)
            self.bank.put(frame, name, *where)


def _car_name(color: int, turn: float) -> str:
    """The picture of a car that is turned by so much (rad) from the line of sight."""
    way = cos(turn)
    return f"car{color}-{'rear' if way > 0.75 else 'front' if way < -0.75 else 'side'}"
