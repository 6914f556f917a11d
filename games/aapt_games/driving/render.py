"""The view through the windscreen."""

from __future__ import annotations

import cv2
import numpy as np

from aapt_games.driving import horizon, scenery
from aapt_games.driving.bank import SMALLEST, bank
from aapt_games.driving.cockpit import cockpit
from aapt_games.driving.ground import LEVELS, SCALE
from aapt_games.driving.physics import Car
from aapt_games.driving.world import World

EYE = 1.75  # metres above the road
BANDS = (90.0, 36.0, 15.0, 7.5)  # metres: nearer ground is drawn from finer maps
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
        k = self.focal * 2 * np.pi / horizon.WIDTH
        size = (round(horizon.WIDTH * k), round(world.panorama.shape[0] * k))
        far = cv2.resize(world.panorama, size, interpolation=cv2.INTER_AREA)
        self.around = size[0]
        self.panorama = cv2.hconcat([far, far[:, : width + 16]])
        self.skyline = horizon.ABOVE * size[1] / world.panorama.shape[0]
        self.columns = (np.arange(width) + 0.5 - width / 2).astype(np.float32)
        self.lamps = self._lamps() if world.palette.headlights else None

    def _lamps(self) -> np.ndarray:
        """[rows, W, 3] uint8 headlight on the ground by rows below the horizon; 100 is factor 1."""
        rows = np.arange(self.height)[:, None] + 0.5
        d = self.focal * EYE / rows
        side = self.columns[None] * d / self.focal
        beam = np.exp(-((side / (1.6 + 0.22 * d)) ** 2)) * np.exp(-d / 26) * np.clip(d / 4, 0.6, 1)
        warm = np.asarray((1.0, 0.95, 0.82))
        return np.clip(100 * (0.42 + 2.0 * beam[..., None] * warm), 0, 255).astype(np.uint8)

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
        self._things(frame[: self.bottom], car, row, roll, others, colors)
        self.cockpit.draw(frame, car.steer, car.speed, pedals)
        return frame

    def _sky(self, frame: np.ndarray, heading: float, row: float, roll: float) -> None:
        """Panorama, turned to the heading and leaning with the car."""
        turn = (-heading / (2 * np.pi)) % 1.0 * self.around - self.width / 2
        c, s = np.cos(roll), np.sin(roll)
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
        frame[low : self.bottom] = self.panorama[-1, 0]
        cv2.warpAffine(self.panorama, place, view.shape[1::-1], dst=view, flags=_FLAGS,
                       borderMode=cv2.BORDER_REPLICATE)  # fmt: skip

    def _ground(self, frame: np.ndarray, car: Car, row: float, roll: float) -> None:
        """The land, band by band, then lamps and haze."""
        top = max(int(row) - 1, 0)
        land = np.empty((self.bottom - top, self.width, 3), np.uint8)
        start = 0
        for d in (*BANDS, 0.0):
            end = len(land) if d == 0 else int(row - top + self.focal * EYE / d + 1)
            self._band(land, start, end, top, max(d, 5.0) * 1.2, car, row, roll)
            start = end
        depth = (np.arange(top, self.bottom, dtype=np.float32) + (0.5 - row))[:, None]
        depth = depth - np.float32(np.tan(roll)) * self.columns
        depth = np.maximum(depth, 0.05)
        if self.lamps is not None:
            cv2.multiply(land, self.lamps[: len(land)], dst=land, scale=1 / 100)
        if self.world.palette.wet:
            land = self._mirror(frame, land, top, depth)
        clear = np.exp(np.float32(-self.focal * EYE / self.world.palette.sight) / depth)
        view = frame[top : self.bottom]
        view[:] = cv2.blendLinear(land, view, clear, 1 - clear)

    def _mirror(self, frame, land, top: int, depth: np.ndarray) -> np.ndarray:
        """Wet ground: some of the sky, upside down, more of it far away."""
        back = frame[max(2 * top - self.bottom, 0) : top][::-1]
        back = cv2.blur(cv2.resize(back, (self.width, len(land))), (1, 5))
        share = 0.16 + 0.34 * np.exp(depth * np.float32(-14.0 / self.height))
        return cv2.blendLinear(land, back, 1 - share, share)

    def _band(self, land, start, end, top, d, car: Car, row, roll) -> None:
        """Rows start to end of `land` (whose row 0 is frame row `top`), typically `d` m away."""
        if end <= start:
            return
        texel = d / self.focal * SCALE
        level = int(np.clip(round(np.log2(max(texel, 1))), 0, LEVELS - 1))
        scale = SCALE / 2**level
        fine = int(np.clip(round(d * d / (self.focal * EYE) * scale), 1, 6))
        to_map = self._homography(car, row, roll, scale)
        step = np.array([[1, 0, 0], [0, 1 / fine, top + start + 0.5 / fine - 0.5], [0, 0, 1]])
        size = (self.width, (end - start) * fine)
        rows = cv2.warpPerspective(self.world.ground.levels[level], to_map @ step, size,
                                   flags=_FLAGS, borderValue=self.world.ground.edge)  # fmt: skip
        if fine > 1:
            rows = rows.reshape(end - start, fine, self.width, 3)
            rows = np.add.reduce(rows, 1, dtype=np.uint16) // np.uint16(fine)
        land[start:end] = rows

    def _homography(self, car: Car, row: float, roll: float, scale: float) -> np.ndarray:
        """[3, 3] from frame pixels (column, row, 1) to a map of `scale` pixels per metre."""
        c, s = np.cos(roll), np.sin(roll)
        x, y = self.width / 2 - 0.5, row - 0.5
        view = np.array([[c, s, -c * x - s * y], [-s, c, s * x - c * y], [0, 0, 1]])
        h, reach = car.heading, self.focal * EYE
        ch, sh = np.cos(h), np.sin(h)
        px, py = car.x - self.world.ground.origin[0], car.y - self.world.ground.origin[1]
        land = np.array([[EYE * sh, px, reach * ch], [-EYE * ch, py, reach * sh], [0, 1, 0]])
        place = np.array([[scale, 0, -0.5], [0, scale, -0.5], [0, 0, 1]])
        return place @ land @ view

    def _things(self, frame, car: Car, row, roll, others, colors) -> None:
        """Scenery and other cars, far to near."""
        still = self.world.scenery
        dx = np.concatenate([still.xy[:, 0], others[:, 0]]) - car.x
        dy = np.concatenate([still.xy[:, 1], others[:, 1]]) - car.y
        c, s = np.cos(car.heading), np.sin(car.heading)
        ahead, right = dx * c + dy * s, dx * s - dy * c
        size = np.concatenate([still.height, np.full(len(others), scenery.CAR_HEIGHT)])
        seen = (ahead > 1.8) & (ahead < np.minimum(self.bank.far, size * self.focal / SMALLEST))
        seen &= np.abs(right) < ahead * 0.667 + size
        seen = np.flatnonzero(seen)
        seen = seen[np.argsort(-ahead[seen], kind="stable")][-MOST:]
        lean = np.tan(roll)
        for i in seen:
            d, k = float(ahead[i]), i - len(still.kind)
            x = self.width / 2 + self.focal * float(right[i]) / d
            y = row + self.focal * EYE / d + lean * (x - self.width / 2)
            if k < 0:
                self.bank.put(frame, scenery.KINDS[still.kind[i]], float(still.height[i]), x, y, d)
            else:
                way = np.cos(others[k, 2] - np.arctan2(dy[i], dx[i]))
                view = "rear" if way > 0.75 else "front" if way < -0.75 else "side"
                self.bank.put(frame, f"car{colors[k]}-{view}", scenery.CAR_HEIGHT, x, y, d)
