"""Where a walker with momentum is, in one of several rooms, as in games of Doom's kind."""

from __future__ import annotations

from math import radians, sqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aapt_env.carried.place import Place
from aapt_env.controls import directions
from aapt_env.spec import CarriedSpec, ControlSpec

STILL = 1e-4  # rad that a heading can be off by rounding: no turn
MOST = 2**18  # headings times places of the learned map, of all rooms together
KEYS = ("forward", "back", "step_left", "step_right", "turn_left", "turn_right")


class Walk(Place):
    """`x`, `y` (-1 to 1 across the room), `yaw` (rad; 0 is along +x, more turns right), `vx`, `vy`, and the `room`.

    Keys push, and friction slows down: each frame the heading turns, a push along it is added to the velocity (units of
    length per frame), the place moves by the velocity, and what the friction leaves of that is the next one. Outer
    walls stop what goes against them and let slide along them; what else stands in the way is for the generator to add.
    Rooms have numbers from 0 on and never change; each has a part of the learned map to itself.

    The spec's settings: `push` (ahead, aside), `friction` (what is left), `turn` (degrees per frame, left and right),
    `fov` (degrees along the longer side), `unit` (length that waves of the place are told in), `grid` (headings, places
    along y and along x of the learned map of a room), `half_x` and `half_y` (half widths of each room), and `round`
    (for each room how far one gets from its middle, 1 to the half width, where the outer wall is a circle: up to 1.5;
    0 of a box;
    without it all are boxes), and `view` (how high the horizon is and where the part of the picture ends that turns
    with the head, -1 at the top to 1; what is below, a hand or a status bar, stays. Without it nothing is moved).
    """

    NAMES = ("x", "y", "yaw", "vx", "vy", "room")
    SETTINGS = {"push": 2, "friction": 1, "turn": 2, "fov": 1, "unit": 1, "grid": 3}
    PLACES = (16.0, 8.0, 4.0, 2.0, 1.0)
    LINES = (16.0, 8.0, 4.0, 2.0, 1.0, 0.5)
    map_channels = 3 + 4 * len(PLACES) + 2 * len(LINES) + 8 + Place.FELT

    def __init__(self, spec: CarriedSpec, control: ControlSpec, grid: tuple[int, int]):
        nn.Module.__init__(self)
        about = spec.settings
        sizes = {name: len(row) for name, row in about.items()}
        rooms = sizes.pop("half_x", 0)
        self.circles = about.get("round", (0.0,) * rooms)
        self.view = about.get("view", (0.0, -1.0))
        if (
            tuple(spec.names) != self.NAMES
            or control.space != "MultiBinary"
            or not set(KEYS) <= set(control.names)
        ):
            raise ValueError(
                f"a walk is {self.NAMES} under keys {KEYS}, got {spec.names} under {control.space} {control.names}"
            )
        optional = {"round": len(self.circles), "view": len(self.view)}
        wanted = self.SETTINGS | {"view": 2} | dict.fromkeys(("half_y", "round"), rooms)
        fits = rooms and sizes | optional == wanted
        lengths = [v for name in ("half_x", "half_y", "unit") for v in about.get(name, ())]
        seen = max(map(abs, self.view), default=0) <= 1 and (min(grid) > 1 or "view" not in about)
        near = all(0 <= radius <= 1.5 for radius in self.circles)  # a corner is at 1.41
        if not (fits and seen and near) or min(lengths) < 1e-6 or not 0 < about["fov"][0] < 180:
            raise ValueError(
                f"settings of a walk {about!r:.200}; expected rows of so many numbers {self.SETTINGS}, and half_x and "
                "half_y for each room: lengths above 0, fov below 180; round, if any, 0 to 1.5 for each room; view, if "
                f"any, two from -1 to 1, of 2 or more cells each way, and the grid is {grid}"
            )
        self.middle, self.spread, self.reach = spec.middle, spec.spread, spec.reach
        self.push, (self.friction,) = about["push"], about["friction"]
        self.turn = tuple(map(radians, about["turn"]))
        self.extent, (self.unit,) = (about["half_x"], about["half_y"]), about["unit"]
        self.keys = [control.names.index(name) for name in KEYS]
        self.register_buffer("rays", directions(grid, about["fov"][0]), persistent=False)
        heads, deep, self.across = (int(n) for n in about["grid"])
        if min(heads, deep, self.across) < 2 or heads * deep * self.across * rooms > MOST:
            raise ValueError(
                f"grid {about['grid']} of {rooms} rooms; expected 2 or more each way, and {MOST:,} in all at most"
            )
        self.map = nn.Parameter(0.1 * torch.randn(1, self.FELT, heads, deep, rooms * self.across))

    def encode(self, values: Tensor) -> Tensor:
        """[..., 6] -> [..., 7]."""
        parts = [
            (v - m) / s for v, m, s in zip(values.unbind(-1), self.middle, self.spread, strict=True)
        ]
        yaw = values[..., 2]
        return torch.stack(
            [*parts[:2], sqrt(2) * yaw.cos(), sqrt(2) * yaw.sin(), *parts[3:]], dim=-1
        )

    def decode(self, numbers: Tensor) -> Tensor:
        """[..., 7] -> [..., 6]."""
        x, y, c, s, *others = numbers.unbind(-1)
        parts = [x, y, torch.atan2(s, c), *others]
        scales = zip(
            parts,
            (*self.spread[:2], 1.0, *self.spread[3:]),
            (*self.middle[:2], 0.0, *self.middle[3:]),
            strict=True,
        )
        return torch.stack([part * spread + middle for part, spread, middle in scales], dim=-1)

    def halves(self, room: Tensor) -> list[Tensor]:
        """Half widths along x and y of the rooms of these numbers, each in the shape of `room`."""
        return [self.of(room, row) for row in self.extent]

    @staticmethod
    def of(room: Tensor, row: tuple[float, ...]) -> Tensor:
        """What the row has for the rooms of these numbers, in the shape of `room`."""
        value = torch.full_like(room, row[0])
        for i, (last, size) in enumerate(zip(row, row[1:], strict=False)):
            value = value + (room > i + 0.5).to(room) * (size - last)
        return value

    def expected(self, numbers: Tensor, controls: Tensor) -> Tensor:
        """After the k frames of the controls, if nothing stands in the way but the outer walls, within reach."""
        x, y, yaw, vx, vy, room = self.decode(numbers).unbind(-1)
        held = controls.to(numbers).unbind(-1)
        ahead, back, left, right, turn_left, turn_right = (held[i] for i in self.keys)  # [..., k]
        turn = turn_right - turn_left
        turn = self.turn[1] * turn.clamp(min=0) + self.turn[0] * turn.clamp(max=0)
        headings = []
        for step in turn.unbind(-1):
            yaw = yaw + step
            headings.append(yaw)
        headings = torch.stack(headings, dim=-1)
        c, s = headings.cos(), headings.sin()
        along, across = self.push[0] * (ahead - back), self.push[1] * (right - left)
        pushes = torch.stack([along * c - across * s, along * s + across * c], dim=-1)
        place, v = torch.stack([x, y], dim=-1), torch.stack([vx, vy], dim=-1)
        half, radius = torch.stack(self.halves(room), dim=-1), self.of(room, self.circles)
        radius = radius[..., None]
        box, fast = self.bounds(x, (0, 1)), self.bounds(x, (3, 4))
        for push in pushes.unbind(-2):
            v = v + push
            place, v = self.stopped(place + v / half, v, radius, box)
            v = (v * self.friction).clamp(*fast)
        parts = [*place.unbind(-1), yaw, *v.unbind(-1), self.inside(room, 5)]
        return self.encode(torch.stack(parts, dim=-1))

    @staticmethod
    def stopped(
        place: Tensor, v: Tensor, radius: Tensor, box: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Place and velocity [..., 2], none of it through an outer wall: a circle of `radius` [..., 1], or a box.

        What goes along the wall is kept, as Doom does it.
        """
        far = place.square().sum(-1, keepdim=True).clamp(min=1e-12).sqrt()
        out, inside = place / far, place.clamp(*box)
        against = (v * out).sum(-1, keepdim=True).clamp(min=0) * (far > radius)
        return (
            torch.where(radius > 0, torch.minimum(far, radius) * out, inside),
            torch.where(radius > 0, v - against * out, v * (inside == place)),
        )

    def bounds(self, like: Tensor, which: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """The least and the most that two numbers of a game can be, [..., 2] each."""
        low, high = (
            torch.stack([torch.full_like(like, v) for v in row], dim=-1)
            for row in zip(*map(self.limits, which), strict=True)
        )
        return low, high

    def limits(self, i: int) -> tuple[float, float]:
        """The least and the most that number i of a game can be, by its reach."""
        most = self.reach[i] * self.spread[i]
        return self.middle[i] - most, self.middle[i] + most

    def inside(self, value: Tensor, i: int) -> Tensor:
        """Number i of a game, no further than its reach."""
        return value.clamp(*self.limits(i))

    def turned(self, latents: Tensor, before: Tensor, expected: Tensor) -> Tensor:
        """Latents as the view shows them once the heading is what is expected; what comes into view is the edge.

        Every ray takes what was there where it looked before, between rows and columns of cells. Who does not turn sees
        what was there.
        """
        horizon, lowest = self.view
        if lowest <= -1:
            return latents
        (c0, s0), (c1, s1) = (x[..., 2:4].float().unbind(-1) for x in (before, expected))
        turn = torch.atan2(c0 * s1 - s0 * c1, c0 * c1 + s0 * s1)[..., None, None]
        right, down, ahead = self.rays.float()
        across, height = right / ahead, down / ahead
        rows, columns = across.shape
        half = across.max() * columns / (columns - 1)
        height = height / (height.max() * rows / (rows - 1))
        angle = across.atan()
        was = (angle + turn).clamp(-1.5, 1.5)
        y = (height - horizon) * (angle.cos() / was.cos()) + horizon
        where = torch.stack([(was.tan() / half).expand_as(y), y], dim=-1)
        seen = F.grid_sample(
            latents.float().reshape(-1, *latents.shape[-3:]),
            where.reshape(-1, rows, columns, 2),
            padding_mode="border",
            align_corners=False,
        )
        moves = (height < lowest) & (turn.abs() > STILL)
        return torch.where(moves[..., None, :, :], seen.view_as(latents).to(latents), latents)

    def room(self, before: Tensor, expected: Tensor) -> Tensor:
        """A place, as far as the step is long, a velocity as much as there is; heading and room are what they are.

        Who stands is pushed by nothing, whatever the weights say.
        """
        was, will = self.decode(before), self.decode(expected)
        halves = self.halves(was[..., 5])
        steps = [half * (will - was)[..., i] for i, half in enumerate(halves)]
        step = (steps[0].square() + steps[1].square()).clamp(min=1e-12).sqrt()
        speed = (
            torch.maximum(*(v[..., 3:5].square().sum(-1) for v in (was, will)))
            .clamp(min=1e-12)
            .sqrt()
        )
        places = [step / half / spread for half, spread in zip(halves, self.spread, strict=False)]
        nothing = torch.zeros_like(step)
        speeds = [speed / self.spread[i] for i in (3, 4)]
        return torch.stack([*places, nothing, nothing, *speeds, nothing], dim=-1)

    def standing(self, numbers: Tensor) -> tuple[Tensor, ...]:
        """As a place has it, looking level; the learned maps of the rooms lie side by side along x."""
        x, y, yaw, _, _, room = self.decode(numbers).unbind(-1)
        halves, rooms, across = self.halves(room), len(self.extent[0]), self.across
        scaled = [(v * half / self.unit) for v, half in zip((x, y), halves, strict=True)]
        wide, deep = (v.clamp(-1, 1) / self.EDGE for v in (x, y))
        # nodes of the map: `across` for each room, the first at -1 and the last at 1 of all
        node = room.round().clamp(0, rooms - 1) * across + (wide + 1) / 2 * (across - 1)
        strip = 2 * node / (rooms * across - 1) - 1
        return *scaled, sqrt(2) * yaw.cos(), sqrt(2) * yaw.sin(), torch.zeros_like(x), strip, deep
