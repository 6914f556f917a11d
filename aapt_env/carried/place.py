"""Where a walker stands and looks, and what is to be seen from there."""

from __future__ import annotations

from math import pi, radians, sqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aapt_env.carried.numbers import Numbers
from aapt_env.controls import directions
from aapt_env.spec import CarriedSpec, ControlSpec


class Place(Numbers):
    """Where a walker stands and looks: `x`, `y` (m), `yaw` (rad; 0 is along +x, more turns right), `pitch` (rad, up).

    The heading is carried as its cosine and sine. A camera's controls say where it would be if nothing stood in its
    way: what the generator adds is what did. The networks see the place, and for each cell the line of sight, as
    direction and distance from the middle: what is to be seen is a function of these, and along a line it hardly
    changes (Plücker coordinates of rays, as in light field networks, arXiv 2106.02634).
    """

    NAMES = ("x", "y", "yaw", "pitch")
    PLACES = (2.0, 1.0)  # wavelengths of the place, in units of the spread
    LINES = (4.0, 2.0, 1.0, 0.5)  # and of how far from the middle a cell's line of sight passes
    FELT = 16  # features of the learned map
    GRID = (64, 26, 26)  # its headings, and its places along y and x
    EDGE = 1.03  # how far it goes, in units of the reach
    map_channels = 3 + 4 * len(PLACES) + 2 * len(LINES) + 8 + FELT

    rays: Tensor
    reads: Tensor

    def __init__(self, spec: CarriedSpec, control: ControlSpec, grid: tuple[int, int]):
        super().__init__(spec, control, grid)
        about = control.settings
        asked = {"forward", "strafe", "yaw", "pitch"}
        if (
            tuple(spec.names) != self.NAMES
            or control.kind != "camera"
            or not asked <= set(control.names)
        ):
            raise ValueError(
                f"a place is {self.NAMES} under a camera's control {sorted(asked)}, got {spec.names} under "
                f"{control.kind} {control.names}"
            )
        self.metres, self.turn = about["metres"], radians(about["degrees"])
        order = [control.names.index(n) for n in ("forward", "strafe", "yaw", "pitch")]
        self.register_buffer("reads", torch.tensor(order), persistent=False)
        self.register_buffer("rays", directions(grid, about["fov"]), persistent=False)
        self.map = nn.Parameter(0.1 * torch.randn(1, self.FELT, *self.GRID))

    def encode(self, values: Tensor) -> Tensor:
        """[..., 4] -> [..., 5]."""
        x, y, yaw, pitch = values.unbind(-1)
        (mx, my, _, mp), (sx, sy, _, sp) = self.middle, self.spread
        parts = [(x - mx) / sx, (y - my) / sy, sqrt(2) * yaw.cos(), sqrt(2) * yaw.sin()]
        return torch.stack([*parts, (pitch - mp) / sp], dim=-1)

    def decode(self, numbers: Tensor) -> Tensor:
        """[..., 5] -> [..., 4]."""
        x, y, c, s, pitch = numbers.unbind(-1)
        (mx, my, _, mp), (sx, sy, _, sp) = self.middle, self.spread
        return torch.stack([x * sx + mx, y * sy + my, torch.atan2(s, c), pitch * sp + mp], dim=-1)

    def expected(self, numbers: Tensor, controls: Tensor) -> Tensor:
        """After the k steps that the controls ask for, each along the heading before its turn, within reach."""
        x, y, yaw, pitch = self.decode(numbers).unbind(-1)
        wide, deep, _, steep = (r * s for r, s in zip(self.reach, self.spread, strict=True))
        mx, my, _, mp = self.middle
        for step in controls.to(numbers)[..., self.reads].unbind(-2):
            forward, strafe, turn, tilt = step.unbind(-1)
            c, s = yaw.cos(), yaw.sin()
            x = (x + self.metres * (forward * c - strafe * s)).clamp(mx - wide, mx + wide)
            y = (y + self.metres * (forward * s + strafe * c)).clamp(my - deep, my + deep)
            yaw = yaw + self.turn * turn
            pitch = (pitch + self.turn * tilt).clamp(mp - steep, mp + steep)
        return self.encode(torch.stack([x, y, yaw, pitch], dim=-1))

    def room(self, before: Tensor, expected: Tensor) -> Tensor:
        """A place, as far as the step is long: who stands is pushed by nothing; a heading is what the controls say."""
        step = (expected - before)[..., :2].square().sum(-1, keepdim=True).sqrt()
        return torch.cat([step, step, torch.zeros_like(before[..., 2:])], dim=-1)

    def maps(self, numbers: Tensor) -> Tensor:
        """[..., 5] -> [..., 43, h, w] of unit spread.

        In order: the world's direction of each cell's ray; waves of x and of y; waves of the distance at which the
        line that the ray is on passes the middle, to the right above 0; twice and four times its heading and elevation;
        what the learned map has there in that direction.
        """
        x, y, c, s, pitch, wide, deep = (n[..., None, None, None] for n in self.standing(numbers))
        size = (c.square() + s.square()).clamp(min=1e-6).sqrt()
        c, s, up, level = c / size, s / size, pitch.sin(), pitch.cos()
        right, down, ahead = self.rays.to(numbers)[:, None]
        flat = ahead * level + down * up  # along the heading
        rays = [flat * c - right * s, flat * s + right * c, ahead * up - down * level]
        # cosine of the elevation
        along = (rays[0].square() + rays[1].square()).clamp(min=1e-6).sqrt()
        heading, elevation = (rays[0] / along, rays[1] / along), (along, rays[2])
        off = x * heading[1] - y * heading[0]
        place, lines = turns(torch.cat([x, y], dim=-3), self.PLACES), turns(off, self.LINES)
        place = place.expand(*place.shape[:-2], *off.shape[-2:])
        c, s = (torch.cat(pair, dim=-3) for pair in zip(heading, elevation, strict=True))
        twice = []
        for _ in range(2):
            c, s = c.square() - s.square(), 2 * c * s
            twice += [c, s]
        waves = [place, lines, torch.stack(twice, dim=-3).flatten(-4, -3)]
        drawn = sqrt(3) * torch.cat(rays, dim=-3), sqrt(2) * torch.cat(waves, dim=-3)
        return torch.cat([*drawn, self.felt(wide, deep, heading)], dim=-3)

    def standing(self, numbers: Tensor) -> tuple[Tensor, ...]:
        """x, y in units of the wavelengths; cosine and sine of the heading; pitch; x, y on the learned map, -1 to 1."""
        x, y, c, s, _ = numbers.unbind(-1)
        wide, deep = (self.EDGE * reach for reach in self.reach[:2])
        return x, y, c, s, self.decode(numbers)[..., 3], x / wide, y / deep

    def felt(self, wide: Tensor, deep: Tensor, heading: tuple[Tensor, Tensor]) -> Tensor:
        """The learned map at places [..., 1, 1, 1] along headings, cosine and sine [..., 1, h, w]: [..., FELT, h, w].

        A table of features, between whose entries is interpolated (Instant NGP, arXiv 2201.05989, has such for scenes):
        a house is learned by heart in the table far sooner than in matrices. Headings come round.
        """
        # -1 ... 1 around; the first heading again behind the last
        turn = torch.atan2(heading[1], heading[0]) / pi
        table = torch.cat([self.map, self.map[:, :, :1]], dim=2).float()
        where = torch.stack([wide.expand_as(turn), deep.expand_as(turn), turn], dim=-1)
        flat = where.reshape(1, -1, *where.shape[-3:-1], 3)
        found = F.grid_sample(
            table, flat.float(), mode="bilinear", padding_mode="border", align_corners=True
        )
        return found[0].movedim(0, 1).reshape(*turn.shape[:-3], -1, *turn.shape[-2:])


def turns(values: Tensor, periods: tuple[float, ...]) -> Tensor:
    """Cosine and sine of values [..., n, h, w] that come round after each of the periods: [..., 2 n periods, h, w]."""
    angles = torch.cat([2 * pi / period * values for period in periods], dim=-3)
    return torch.stack([angles.cos(), angles.sin()], dim=-3).flatten(-4, -3)
