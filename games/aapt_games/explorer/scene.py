"""What a place looks like: its style and the time of day, and the light and materials they make."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SCENES = {
    "style": ("castle", "villa", "temple", "garden"),
    "time": ("day", "dusk", "night"),
}
Color = tuple[float, float, float]  # RGB; materials 0 to 255, light 1 for plain daylight


@dataclass(frozen=True, kw_only=True)
class Style:
    """What a style is built of; each name is a pattern of textures.py with a colour.

    Attributes:
        walls: of rooms, one is drawn for each.
        floors: of rooms.
        ceilings: of rooms.
        facade: walls of courtyards.
        yards: ground of courtyards.
        pillar: columns.
        doors: colours of door frames, one for each room that a door leads to.
        murals: whether houses have all their walls painted, and no pillars that hide them.
    """

    walls: tuple[tuple[str, Color], ...]
    floors: tuple[tuple[str, Color], ...]
    ceilings: tuple[tuple[str, Color], ...]
    facade: tuple[tuple[str, Color], ...]
    yards: tuple[tuple[str, Color], ...]
    pillar: tuple[tuple[str, Color], ...]
    doors: tuple[Color, ...]
    murals: bool = False


_DOORS = (
    (168, 52, 44),
    (42, 96, 152),
    (58, 118, 66),
    (206, 158, 48),
    (112, 66, 134),
    (44, 128, 128),
)
STYLES = {
    "castle": Style(
        walls=(
            ("blocks", (150, 144, 134)), ("blocks", (164, 148, 122)), ("brick", (152, 88, 66)),
            ("plaster", (196, 178, 146)), ("planks", (128, 92, 60)), ("blocks", (122, 130, 140)),
        ),
        floors=(
            ("flags", (132, 126, 116)),
            ("planks", (124, 84, 52)), ("checker", (156, 146, 128)), ("flags", (108, 110, 116)),
        ),
        ceilings=(("beams", (110, 78, 50)), ("beams", (86, 64, 46)), ("plain", (158, 148, 132))),
        facade=(("castle", (156, 146, 128)), ("castle", (138, 136, 136))),
        yards=(("cobbles", (126, 120, 112)), ("grass", (92, 128, 58))),
        pillar=(("blocks", (168, 160, 146)),),
        doors=_DOORS,
    ),
    "villa": Style(
        walls=(
            ("damask", (150, 62, 62)), ("damask", (60, 104, 112)), ("stripes", (206, 188, 140)),
            ("plaster", (226, 202, 158)), ("plaster", (150, 182, 190)), ("panels", (150, 104, 66)),
            ("damask", (88, 112, 72)),
        ),
        floors=(
            ("parquet", (168, 118, 70)),
            ("marble", (222, 214, 204)), ("checker", (218, 212, 204)), ("carpet", (140, 44, 46)),
            ("carpet", (48, 72, 116)),
        ),
        ceilings=(("coffers", (232, 226, 212)), ("plain", (238, 232, 220)), ("beams", (126, 88, 56))),
        facade=(("house", (222, 172, 112)), ("house", (214, 140, 112)), ("house", (226, 214, 184))),
        yards=(("terracotta", (186, 112, 76)), ("grass", (98, 142, 60))),
        pillar=(("fluted", (232, 226, 214)),),
        doors=_DOORS,
        murals=True,
    ),
    "temple": Style(
        walls=(
            ("marble", (214, 202, 180)), ("blocks", (206, 176, 128)), ("mosaic", (54, 108, 146)),
            ("mosaic", (150, 84, 52)), ("blocks", (186, 158, 120)), ("stripes", (196, 130, 84)),
        ),
        floors=(
            ("marble", (206, 196, 184)),
            ("mosaic", (176, 142, 92)), ("checker", (204, 186, 156)), ("flags", (184, 160, 122)),
        ),
        ceilings=(("coffers", (176, 142, 96)), ("plain", (70, 98, 142)), ("beams", (136, 92, 54))),
        facade=(("temple", (214, 182, 134)), ("temple", (220, 206, 178))),
        yards=(("sand", (216, 188, 138)), ("flags", (198, 178, 142)), ("grass", (112, 142, 66))),
        pillar=(("fluted", (222, 196, 152)), ("fluted", (96, 138, 160))),
        doors=_DOORS,
    ),
    "garden": Style(
        walls=(
            ("hedge", (58, 104, 46)), ("hedge", (72, 118, 58)), ("brick", (170, 102, 76)),
            ("trellis", (222, 222, 208)), ("planks", (150, 142, 124)), ("plaster", (208, 214, 190)),
        ),
        floors=(
            ("flags", (166, 156, 136)),
            ("terracotta", (182, 116, 80)), ("planks", (160, 130, 94)), ("checker", (196, 196, 180)),
        ),
        ceilings=(("glass", (176, 206, 222)), ("beams", (196, 186, 166)), ("glass", (164, 200, 196))),
        facade=(("hedge", (64, 108, 50)), ("house", (196, 120, 92)), ("trellis", (196, 208, 190))),
        yards=(("grass", (96, 146, 58)), ("grass", (110, 150, 66)), ("sand", (206, 188, 150))),
        pillar=(("fluted", (226, 224, 212)), ("brick", (166, 98, 74))),
        doors=_DOORS,
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Sky:
    """Light and air at one time of day.

    Attributes:
        sun: direction towards sun or moon, x, y, z (unit).
        beam: its light on a surface that faces it.
        above: light of the open sky.
        bounce: light that rooms have without any lamp.
        low: colour at the horizon, 0 to 255.
        high: colour at the zenith.
        cloud: colour of clouds.
        haze: colour that far things fade into.
        sight: metres at which haze has taken 63 % of a colour.
        lamp: strength of lamps.
    """

    sun: tuple[float, float, float]
    beam: Color
    above: Color
    bounce: Color
    low: Color
    high: Color
    cloud: Color
    haze: Color
    sight: float
    lamp: float


def sky(time: str, rng: np.random.Generator) -> Sky:
    """The light of a time of day; the sun stands where the dice say."""
    azimuth = float(rng.uniform(0, 2 * np.pi))
    height = {"day": rng.uniform(0.75, 1.0), "dusk": rng.uniform(0.36, 0.5), "night": 0.85}[time]
    flat = float(np.cos(height))
    sun = (flat * float(np.cos(azimuth)), flat * float(np.sin(azimuth)), float(np.sin(height)))
    return {
        "day": Sky(
            sun=sun, beam=(1.25, 1.16, 0.96), above=(0.46, 0.54, 0.66), bounce=(0.34, 0.35, 0.38),
            low=(206, 226, 240), high=(74, 138, 214), cloud=(252, 252, 252),
            haze=(186, 196, 206), sight=70.0, lamp=0.75,
        ),
        "dusk": Sky(
            sun=sun, beam=(1.3, 0.72, 0.36), above=(0.4, 0.36, 0.48), bounce=(0.24, 0.21, 0.24),
            low=(255, 170, 98), high=(86, 78, 148), cloud=(255, 158, 126),
            haze=(170, 130, 122), sight=55.0, lamp=1.0,
        ),
        "night": Sky(
            sun=sun, beam=(0.24, 0.3, 0.44), above=(0.11, 0.14, 0.24), bounce=(0.12, 0.12, 0.17),
            low=(38, 52, 92), high=(9, 13, 38), cloud=(48, 58, 88),
            haze=(34, 40, 62), sight=45.0, lamp=1.1,
        ),
    }[time]  # fmt: skip
