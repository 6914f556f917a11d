"""The floor plan: a square of cells, cut into rooms, corridors and courtyards that doors join."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

SIZE = 30  # cells each way; a cell is 1 m
DOOR = 2.2  # metres from floor to lintel
ROOF = 5.0  # metres of the walls around a courtyard
SMALLEST = 3  # cells of a room each way; narrower ones are corridors
KINDS = ("room", "hall", "corridor", "court", "door")


@dataclass(kw_only=True)
class Room:
    """A rectangle of open cells, x0 <= x < x1 and y0 <= y < y1."""

    x0: int
    y0: int
    x1: int
    y1: int
    kind: str = "room"
    ceiling: float = 3.0  # metres; of a courtyard, where the sky begins
    doors: list[tuple[int, int]] = field(default_factory=list)  # cells

    @property
    def area(self) -> int:
        """Square metres."""
        return (self.x1 - self.x0) * (self.y1 - self.y0)

    @property
    def middle(self) -> tuple[float, float]:
        """Its centre (m)."""
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2


@dataclass(kw_only=True)
class Plan:
    """Where one can walk.

    Attributes:
        rooms: doors are rooms of one cell.
        ceiling: [SIZE, SIZE] metres above each cell at [y, x]; 0 is solid.
        room: [SIZE, SIZE] int, index into rooms; -1 is solid.
        pillars: [n, 3] x, y, radius (m), from floor to ceiling.
    """

    rooms: list[Room]
    ceiling: np.ndarray
    room: np.ndarray
    pillars: np.ndarray

    def near(self, hops: int) -> np.ndarray:
        """[rooms, rooms] bool: which rooms, doors counted as such, are so few steps away."""
        linked = np.eye(len(self.rooms), dtype=int)
        for a, b in ((self.room[1:], self.room[:-1]), (self.room[:, 1:], self.room[:, :-1])):
            both = (a >= 0) & (b >= 0)
            linked[a[both], b[both]] = linked[b[both], a[both]] = 1
        return np.linalg.matrix_power(linked, hops) > 0

    def solid(self, x: int, y: int) -> bool:
        """Whether a cell is wall."""
        return bool(self.ceiling[y, x] == 0)

    def free(self, x: float, y: float, yaw: float) -> float:
        """Metres from a point to the next wall in a direction, 8 at most."""
        far = np.arange(0.2, 8.0, 0.2)
        cells = (np.array([x, y])[:, None] + far * [[np.cos(yaw)], [np.sin(yaw)]]).astype(int)
        walls = self.ceiling[cells[1].clip(0, SIZE - 1), cells[0].clip(0, SIZE - 1)] == 0
        return float(far[walls.argmax()]) if walls.any() else 8.0


def generate(rng: np.random.Generator, side: int = SIZE, columns: bool = True) -> Plan:
    """Cut a square of `side` cells into rooms, give each its kind, join them by doors, set pillars if wanted."""
    rooms = [Room(x0=a, y0=b, x1=c, y1=d) for a, b, c, d in _cut(1, 1, side - 1, side - 1, rng)]
    _kinds(rooms, rng)
    plan = Plan(
        rooms=rooms,
        ceiling=np.zeros((SIZE, SIZE), np.float32),
        room=np.full((SIZE, SIZE), -1, np.int64),
        pillars=np.zeros((0, 3), np.float32),
    )
    for i, room in enumerate(rooms):
        _open(plan, i, room)
    _join(plan, rng)
    spots = [spot for room in rooms for spot in _pillars(room, rng)]
    plan.pillars = np.array(spots if columns else [], np.float32).reshape(-1, 3)
    return plan


def _open(plan: Plan, index: int, room: Room) -> None:
    plan.ceiling[room.y0 : room.y1, room.x0 : room.x1] = room.ceiling
    plan.room[room.y0 : room.y1, room.x0 : room.x1] = index


def _cut(x0: int, y0: int, x1: int, y1: int, rng: np.random.Generator):
    """Halve a rectangle until the parts are rooms; a wall of one cell stays between them."""
    wide, tall = x1 - x0, y1 - y0
    along_x = wide > tall if abs(wide - tall) > 2 else bool(rng.random() < 0.5)
    span = wide if along_x else tall
    enough = wide * tall < 90 and max(wide, tall) <= 11 and rng.random() < 0.55
    if span < 2 * SMALLEST + 1 or enough:
        return [(x0, y0, x1, y1)]
    corridor = span >= 9 and rng.random() < 0.3
    at = int(rng.integers(SMALLEST, span - SMALLEST))
    if corridor:  # two metres wide, along the whole cut
        at = int(rng.integers(3, span - 5))
        cuts = [(0, at), (at + 1, at + 3), (at + 4, span)]
    else:
        cuts = [(0, at), (at + 1, span)]
    parts = []
    for low, high in cuts:
        box = (x0 + low, y0, x0 + high, y1) if along_x else (x0, y0 + low, x1, y0 + high)
        parts += [box] if high - low < SMALLEST else _cut(*box, rng)
    return parts


def _kinds(rooms: list[Room], rng: np.random.Generator) -> None:
    """Two or more of the large ones are courtyards, other large ones high halls."""
    order = sorted(range(len(rooms)), key=lambda i: -rooms[i].area)
    courts = 2 + int(rng.random() < 0.5)
    for room in (rooms[i] for i in order):
        narrow = min(room.x1 - room.x0, room.y1 - room.y0)
        if narrow < SMALLEST:
            room.kind, room.ceiling = "corridor", 2.7
        elif courts:
            room.kind, room.ceiling, courts = "court", ROOF, courts - 1
        elif room.area >= 40:
            room.kind, room.ceiling = "hall", float(rng.choice([3.8, 4.4]))
        else:
            room.ceiling = float(rng.choice([2.8, 3.0, 3.3]))


def _join(plan: Plan, rng: np.random.Generator) -> None:
    """Doors: a tree that reaches every room, and some more so that one can go round."""
    places: dict[tuple[int, int], list[tuple[int, int]]] = {}
    room = plan.room
    for y in range(1, SIZE - 1):
        for x in range(1, SIZE - 1):
            for a, b in ((room[y, x - 1], room[y, x + 1]), (room[y - 1, x], room[y + 1, x])):
                if room[y, x] < 0 and a >= 0 and b >= 0 and a != b:
                    places.setdefault((min(a, b), max(a, b)), []).append((x, y))
    group = list(range(len(plan.rooms)))
    pairs = list(places)
    for i in rng.permutation(len(pairs)):
        a, b = pairs[i]
        spots = places[a, b]
        new = group[a] != group[b]
        if len(spots) < (2 if new else 3) or (not new and rng.random() > 0.4):
            if len(spots) < 1 or not new:
                continue
        group = [group[a] if g == group[b] else g for g in group]
        x, y = spots[len(spots) // 2 if rng.random() < 0.5 else int(rng.integers(len(spots)))]
        across = room[y, x - 1] < 0 or room[y, x + 1] < 0  # the wall runs along x
        wide = len(spots) > 4 and rng.random() < 0.4 and plan.rooms[a].kind != "corridor"
        cells = [(x, y), ((x + 1, y) if across else (x, y + 1))] if wide else [(x, y)]
        for cx, cy in cells:
            if (cx, cy) not in spots or room[cy, cx] >= 0:
                continue
            door = Room(x0=cx, y0=cy, x1=cx + 1, y1=cy + 1, kind="door", ceiling=DOOR)
            plan.rooms.append(door)
            for side in (a, b):
                plan.rooms[side].doors.append((cx, cy))
            _open(plan, len(plan.rooms) - 1, door)


def _pillars(room: Room, rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """Two rows of columns in halls and courtyards."""
    wide, tall = room.x1 - room.x0, room.y1 - room.y0
    if room.kind not in ("hall", "court") or min(wide, tall) < 5 or rng.random() < 0.25:
        return []
    radius = float(rng.choice([0.22, 0.3]))
    inset = 1.5
    if wide >= tall:
        xs = np.arange(room.x0 + inset, room.x1 - 1, 2.5 if wide < 8 else 3.0)
        xs += (room.x0 + room.x1) / 2 - xs.mean()
        return [(float(x), y, radius) for x in xs for y in (room.y0 + inset, room.y1 - inset)]
    ys = np.arange(room.y0 + inset, room.y1 - 1, 2.5 if tall < 8 else 3.0)
    ys += (room.y0 + room.y1) / 2 - ys.mean()
    return [(x, float(y), radius) for y in ys for x in (room.x0 + inset, room.x1 - inset)]
