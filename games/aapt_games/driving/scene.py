"""What the world looks like: time of day, weather and season, and the palette they make."""

from __future__ import annotations

from dataclasses import dataclass

SCENES = {
    "time": ("day", "dusk", "night"),
    "weather": ("clear", "cloudy", "rain", "fog"),
    "season": ("spring", "summer", "autumn", "winter"),
}

Color = tuple[float, float, float]  # RGB, 0 to 255


@dataclass(frozen=True, kw_only=True)
class Palette:
    """Colours and light of one scene.

    Attributes:
        grass: two colours between which the meadow varies.
        fields: colours of fields beside the road.
        leaves: colours of tree crowns.
        asphalt: road.
        shoulder: strip beside the road.
        hills: distant land before haze.
        light: RGB factor of daylight on everything.
        sky: colours from the horizon up to the zenith.
        haze: colour that far things fade into.
        sight: metres at which haze has taken 63 % of a colour.
        headlights: 0 or 1, whether it is dark enough for lamps.
        wet: 0 to 1, how much the road mirrors the sky.
        cloud: 0 to 1, share of the sky that clouds cover.
        grip: friction coefficient on the road.
    """

    grass: tuple[Color, Color]
    fields: tuple[Color, ...]
    leaves: tuple[Color, ...]
    asphalt: Color
    shoulder: Color
    hills: Color
    light: Color
    sky: tuple[Color, Color]
    haze: Color
    sight: float
    headlights: float
    wet: float
    cloud: float
    grip: float


_GRASS = {
    "spring": ((96, 168, 62), (128, 186, 74)),
    "summer": ((84, 140, 50), (122, 156, 64)),
    "autumn": ((142, 128, 58), (172, 138, 66)),
    "winter": ((226, 232, 240), (206, 216, 230)),
}
_FIELDS = {
    "spring": ((236, 218, 70), (110, 176, 70), (150, 118, 82)),
    "summer": ((214, 186, 92), (92, 150, 56), (186, 166, 84)),
    "autumn": ((146, 104, 66), (178, 146, 76), (124, 112, 58)),
    "winter": ((238, 242, 248), (200, 210, 226), (216, 222, 230)),
}
_LEAVES = {
    "spring": ((112, 178, 70), (238, 176, 200), (92, 156, 62), (250, 222, 232)),
    "summer": ((58, 116, 46), (78, 134, 52), (46, 98, 48), (96, 140, 58)),
    "autumn": ((212, 110, 36), (228, 162, 44), (178, 62, 36), (150, 116, 44)),
    "winter": ((150, 140, 138), (170, 164, 166), (140, 128, 124), (186, 184, 190)),
}
_HILLS = {
    "spring": (86, 138, 82),
    "summer": (66, 112, 74),
    "autumn": (148, 112, 70),
    "winter": (196, 208, 226),
}
_LIGHT = {"day": (1.0, 1.0, 0.98), "dusk": (0.98, 0.68, 0.52), "night": (0.62, 0.68, 0.84)}
_DULL_LIGHT = {"day": (0.95, 0.97, 1.0), "dusk": (0.72, 0.62, 0.62), "night": (0.6, 0.66, 0.8)}
_SKY = {
    "day": ((176, 214, 240), (62, 128, 214)),
    "dusk": ((255, 158, 84), (84, 70, 138)),
    "night": ((34, 44, 78), (8, 12, 32)),
}
_DULL = {
    "day": ((206, 212, 218), (152, 164, 180)),
    "dusk": ((184, 146, 144), (104, 98, 124)),
    "night": ((44, 50, 68), (20, 24, 38)),
}
_SIGHT = {"clear": 340.0, "cloudy": 240.0, "rain": 120.0, "fog": 42.0}
_CLOUD = {"clear": 0.3, "cloudy": 0.8, "rain": 0.95, "fog": 1.0}
_GRIP = {"clear": 1.0, "cloudy": 1.0, "rain": 0.74, "fog": 0.94}


def _mix(a: Color, b: Color, t: float) -> Color:
    red, green, blue = (x + (y - x) * t for x, y in zip(a, b, strict=True))
    return red, green, blue


def palette(scene: dict[str, str]) -> Palette:
    """The colours of a full scene."""
    time, weather, season = scene["time"], scene["weather"], scene["season"]
    dull = {"clear": 0.0, "cloudy": 0.7, "rain": 0.95, "fog": 1.0}[weather]
    low, high = (_mix(a, b, dull) for a, b in zip(_SKY[time], _DULL[time], strict=True))
    dim = {"clear": 1.0, "cloudy": 0.86, "rain": 0.72, "fog": 0.86}[weather]
    light = tuple(c * dim for c in _mix(_LIGHT[time], _DULL_LIGHT[time], dull))
    if weather == "rain":
        low, high = (_mix(c, (60, 66, 78), 0.35) for c in (low, high))
    if weather == "fog":
        high = _mix(low, high, 0.35)
    winter = season == "winter"
    asphalt = (132, 136, 144) if winter else (104, 104, 110)
    if weather == "rain":
        asphalt = _mix(asphalt, (58, 62, 72), 0.6)
    return Palette(
        grass=_GRASS[season],
        fields=_FIELDS[season],
        leaves=_LEAVES[season],
        asphalt=asphalt,
        shoulder=(214, 218, 224) if winter else (164, 142, 104),
        hills=_HILLS[season],
        light=light,
        sky=(low, high),
        haze=low,
        sight=_SIGHT[weather],
        headlights=float(time == "night"),
        wet={"rain": 1.0}.get(weather, 0.0),
        cloud=_CLOUD[weather],
        grip=_GRIP[weather] * (0.68 if winter else 1.0),
    )
