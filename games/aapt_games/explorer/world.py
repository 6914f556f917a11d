"""All that stands still in one episode: plan, textures, light, sky and things of a seed and scene."""

from __future__ import annotations

import colorsys
import functools
from dataclasses import dataclass

import numpy as np

from aapt_games.chance import one_of
from aapt_games.explorer import heavens, light, murals, pictures, plan, scene, textures, things
from aapt_games.explorer.atlas import Atlas, Palette
from aapt_games.explorer.light import CEILING, FLOOR, Lamp
from aapt_games.explorer.plan import ROOF, SIZE, Plan, Room
from aapt_games.explorer.things import Thing

VARIANTS = 3  # of each texture, drawn once per process
FLAT = (textures.SPAN, 3.0)  # metres of a floor's tile


@dataclass(frozen=True)
class World:
    """One place; equal for an equal seed and scene.

    Attributes:
        seed: what it was made from.
        scene: style and time.
        plan: where one can walk.
        sky: light and air.
        atlas: textures.
        material: [6 * CELLS + pillars] int, tile of each face.
        light: baked patches.
        heavens: sky panorama.
        things: what stands about.
        looks: for each thing, its picture's copies.
        obstacles: [n, 3] x, y, radius of pillars and things.
    """

    seed: int
    scene: dict[str, str]
    plan: Plan
    sky: scene.Sky
    atlas: Atlas
    material: np.ndarray
    light: light.Light
    heavens: np.ndarray
    things: list[Thing]
    looks: list[list[np.ndarray]]
    obstacles: np.ndarray


def build(seed: int, attributes: dict[str, str], side: int = SIZE) -> World:
    """The place of a seed, so many metres wide; the scene changes its looks, never its plan.

    Houses, which come again, are kept, of the large ones the last two: do not write to one.
    """
    built = _large if side == SIZE else _house
    return built(seed, attributes["style"], attributes["time"], side)


def _built(seed: int, style_name: str, time: str, side: int) -> World:
    """Make a place."""
    attributes = {"style": style_name, "time": time}
    shape, looks, stand, far = (np.random.default_rng([seed, k]) for k in range(4))
    style = scene.STYLES[style_name]
    painted = style.murals and side < SIZE
    layout = plan.generate(shape, side, columns=not painted)
    sky = scene.sky(time, far)
    hues = _hues(len(layout.rooms), shape)
    stuff = _furnish(layout, hues, attributes, stand)
    atlas, material = _materials(layout, style, sky, hues, looks, painted)
    posts = np.array(
        [(t.x, t.y, things.KINDS[t.kind].radius) for t in stuff if things.KINDS[t.kind].radius],
        np.float32,
    ).reshape(-1, 3)
    lamps = [lamp for t in stuff if (lamp := _lamp_of(t, sky))] + _daylight(layout, sky)
    drawn: dict[tuple, list[np.ndarray]] = {}
    for t in stuff:
        if (t.kind, t.color) not in drawn:
            drawn[t.kind, t.color] = things.copies(things.draw(t.kind, t.color, looks))
    return World(
        seed=seed,
        scene=attributes,
        plan=layout,
        sky=sky,
        atlas=atlas,
        material=material,
        light=light.bake(layout, sky, lamps, posts),
        heavens=heavens.paint(sky, time, far),
        things=stuff,
        looks=[drawn[t.kind, t.color] for t in stuff],
        obstacles=np.concatenate([layout.pillars, posts]),
    )


_house, _large = functools.lru_cache(maxsize=12)(_built), functools.lru_cache(maxsize=2)(_built)


def _hues(count: int, rng: np.random.Generator) -> list[scene.Color]:
    """A colour for each room, neighbours in number far apart on the circle."""
    first = rng.random()
    found = []
    for i in range(count):
        r, g, b = colorsys.hsv_to_rgb((first + 0.381966 * i) % 1, 0.72, 0.86)
        found.append((round(r * 255), round(g * 255), round(b * 255)))
    return found


def _furnish(layout: Plan, hues, attributes: dict[str, str], rng) -> list[Thing]:
    """A landmark in the colour of its room, lamps, and greenery in courtyards."""
    found = []
    for room, hue in zip(layout.rooms, hues, strict=True):
        if room.kind == "door":
            continue
        x, y = room.middle
        if room.kind == "court":
            kind = one_of(rng, things.OUTDOORS)
            leaf = (74, 122, 54) if rng.random() < 0.6 else (206, 130, 150)
            found.append(Thing(kind, x, y, 0.0, leaf if kind == "tree" else hue))
            found += _beds(room, rng)
            if attributes["time"] != "day":
                found += [
                    Thing("lantern", px, py, 0.0, (255, 226, 150))
                    for px, py in ((room.x0 + 0.6, room.y0 + 0.6), (room.x1 - 0.6, room.y1 - 0.6))
                ]
            continue
        found += _lamps(room)
        if room.kind == "corridor":
            continue
        kind = one_of(rng, things.INDOORS)
        if room.area > 20 and rng.random() < 0.6:
            found.append(Thing(kind, x, y, 0.0, hue))
            continue
        corners = [
            (room.x0 + 0.6, room.y0 + 0.6), (room.x1 - 0.6, room.y1 - 0.6),
            (room.x1 - 0.6, room.y0 + 0.6), (room.x0 + 0.6, room.y1 - 0.6),
        ]  # fmt: skip
        clear = [
            c
            for c in corners
            if all(np.hypot(c[0] - a - 0.5, c[1] - b - 0.5) > 1.4 for a, b in room.doors)
        ]
        found += [Thing(kind, *c, 0.0, hue) for c in clear[: 1 + int(rng.integers(2))]]
    return found


def _beds(room: Room, rng: np.random.Generator) -> list[Thing]:
    """Greenery in the corners of a courtyard."""
    kind = things.GREEN[int(rng.integers(2))]
    inset = 0.75
    places = [(room.x0 + inset, room.y1 - inset), (room.x1 - inset, room.y0 + inset)]
    far = [
        p
        for p in places
        if all(np.hypot(p[0] - a - 0.5, p[1] - b - 0.5) > 1.5 for a, b in room.doors)
    ]
    return [Thing(kind, *p, 0.0, (176, 96, 62)) for p in far]


def _lamps(room: Room) -> list[Thing]:
    """Hanging lamps: one in a room, a row in a corridor or a hall."""
    wide, tall = room.x1 - room.x0, room.y1 - room.y0
    count = max(1, round(max(wide, tall) / (6.0 if room.kind == "corridor" else 7.0)))
    share = (np.arange(count) + 0.5) / count
    x, y = room.middle
    xs = room.x0 + wide * share if wide >= tall else np.full(count, x)
    ys = room.y0 + tall * share if tall > wide else np.full(count, y)
    low = room.ceiling - (0.55 if room.kind == "corridor" else 0.9)
    return [
        Thing("lamp", float(a), float(b), low, (255, 240, 206)) for a, b in zip(xs, ys, strict=True)
    ]


def _lamp_of(t: Thing, sky: scene.Sky) -> Lamp | None:
    """The light of a thing that shines."""
    if t.kind == "lamp":
        return Lamp(t.x, t.y, t.base + 0.15, tuple(sky.lamp * c for c in (2.0, 1.62, 1.16)), 7.0)
    if t.kind == "lantern":
        return Lamp(t.x, t.y, 2.3, (1.5, 1.1, 0.6), 6.5)
    if t.kind == "brazier":
        return Lamp(t.x, t.y, 1.5, (1.5, 0.82, 0.3), 5.5)
    if t.kind == "crystal":
        r, g, b = (1.6 * (c / 255) ** 1.5 for c in t.color)
        return Lamp(t.x, t.y, 1.4, (r, g, b), 5.5)
    return None


def _daylight(layout: Plan, sky: scene.Sky) -> list[Lamp]:
    """Sky light that falls through the doors of courtyards."""
    color = tuple(1.5 * a + 0.25 * b for a, b in zip(sky.above, sky.beam, strict=True))
    return [
        Lamp(x + 0.5, y + 0.5, 1.5, color, 5.0)
        for room in layout.rooms
        if room.kind == "court"
        for x, y in room.doors
    ]


def _materials(
    layout: Plan, style: scene.Style, sky: scene.Sky, hues, rng, painted: bool
) -> tuple[Atlas, np.ndarray]:
    """Tiles of all rooms, and which face wears which; painted: every wall is."""
    palette, material = Palette(), np.zeros((6, SIZE, SIZE), np.int64)
    shared: dict[tuple, int] = {}

    def drawn(choices, number: int | None = None) -> np.ndarray:
        pattern, color = one_of(rng, choices) if number is None else choices[number]
        return textures.variant(pattern, color, int(rng.integers(VARIANTS)))

    def add(tile: np.ndarray, span: tuple[float, float], wall: bool) -> int:
        key = (id(tile), span)
        if key not in shared:
            shared[key] = palette.add(tile, span, wall)
        return shared[key]

    for room, hue in zip(layout.rooms, hues, strict=True):
        cells = np.s_[room.y0 : room.y1, room.x0 : room.x1]
        if room.kind == "door":
            color = one_of(rng, style.doors)
            tile = _door(color)
            material[(np.s_[:4], *cells)] = add(tile, (1.0, plan.DOOR), True)
            material[(FLOOR, *cells)] = add(
                textures.variant("planks", (112, 80, 54), 0), FLAT, False
            )
            material[(CEILING, *cells)] = add(
                textures.variant("plain", (128, 112, 94), 0), FLAT, False
            )
            continue
        court = room.kind == "court"
        wall = drawn(style.facade if court else style.walls)
        material[(np.s_[:4], *cells)] = add(wall, (textures.SPAN, room.ceiling), True)
        material[(FLOOR, *cells)] = add(drawn(style.yards if court else style.floors), FLAT, False)
        material[(CEILING, *cells)] = add(drawn(style.ceilings), FLAT, False)
        if painted:
            _paint(room, palette, material, rng)
        elif not court:
            _hang(layout, room, wall, hue, sky, palette, material, rng)
    pillar = palette.add(drawn(style.pillar), (1.0, ROOF), True)
    faces = np.concatenate([material.reshape(-1), np.full(len(layout.pillars), pillar)])
    return palette.pack(), faces


_DOORS: dict[scene.Color, np.ndarray] = {}


def _door(color: scene.Color) -> np.ndarray:
    """A door of a colour, drawn once per process."""
    if color not in _DOORS:
        salt = [round(c) for c in color]
        _DOORS[color] = pictures.door(np.random.default_rng(salt), color)
    return _DOORS[color]


def _walls(room: Room) -> list[tuple[tuple[int, int], list[tuple[int, int]]]]:
    """East, west, south and north, as in light.py: the way out (x, y), and the cells before the wall (x, y)."""
    upright, level = range(room.y0, room.y1), range(room.x0, room.x1)
    return [
        ((1, 0), [(room.x1 - 1, y) for y in upright]), ((-1, 0), [(room.x0, y) for y in upright]),
        ((0, 1), [(x, room.y1 - 1) for x in level]), ((0, -1), [(x, room.y0) for x in level]),
    ]  # fmt: skip


def _paint(room: Room, palette: Palette, material, rng) -> None:
    """A panel of its own for every two metres of a room's walls, each wall in its colour."""
    for side, (_, row) in enumerate(_walls(room)):
        wall, tiles = len(palette.tiles), {}
        for x, y in row:
            place = (y if side < 2 else x) // round(textures.SPAN)
            if place not in tiles:
                number = len(palette.tiles) + 1
                drawn = murals.panel(rng, number, 0.381966 * wall, room.ceiling)
                tiles[place] = palette.add(drawn, (textures.SPAN, room.ceiling), True)
            material[side, y, x] = tiles[place]


def _hang(layout: Plan, room: Room, wall, hue, sky, palette: Palette, material, rng) -> None:
    """A picture or two on the walls of a room, and windows where the sky could shine in."""
    spots = []
    for side, ((out_x, out_y), row) in enumerate(_walls(room)):
        for cell in row[1::2]:
            x, y = cell[0] + out_x, cell[1] + out_y
            near = any(abs(x - dx) + abs(y - dy) <= 1 for dx, dy in room.doors)
            if layout.ceiling[y, x] == 0 and not near:
                spots.append((side, cell, {x, y}))
    if not spots:
        return
    picture = palette.add(pictures.hung(rng, wall, room.ceiling, hue), (1.0, room.ceiling), True)
    sill = None
    for i in rng.permutation(len(spots))[: max(2, len(spots) // 2)]:
        side, (x, y), behind = spots[i]
        tile = picture
        if behind & {0, SIZE - 1}:
            if sill is None:
                glow = tuple(0.5 * (p + q) for p, q in zip(sky.low, sky.high, strict=True))
                sill = palette.add(
                    pictures.window(rng, wall, room.ceiling, glow), (1.0, room.ceiling), True
                )
            tile = sill
        material[side, y, x] = tile
