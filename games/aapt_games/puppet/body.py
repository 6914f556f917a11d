"""Who it is: proportions, skin, hair, face and clothes, drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aapt_games.chance import one_of
from aapt_games.puppet.skeleton import LENGTHS

Color = tuple[float, float, float]  # RGB, 0 to 1, as seen in white light
SKIN = ("#f6d3b8", "#eebf9a", "#d9a074", "#b97a50", "#8f5a38", "#6b4229", "#fbe0cf")
HAIR = (
    "#1d1a1c",
    "#3a241a",
    "#6b4226",
    "#a56a32",
    "#d9b264",
    "#c4562a",
    "#8d8d93",
    "#e8e4dc",
    "#4a63c8",
    "#d76a9f",
)
CLOTH = (
    "#d8433b", "#f08a3c", "#f2c744", "#6fae4e", "#2f8f7a", "#3a8fd0", "#3557a8", "#7a55b5", "#d86aa4",
    "#f3efe6", "#c9c4bb", "#8d949e", "#50566a", "#2c3040", "#7c4a36", "#b98a5c", "#9fd3d6", "#f5a9a0",
)  # fmt: skip
TOPS = ("tee", "sleeves", "tank", "jacket", "dress")
BOTTOMS = ("trousers", "shorts", "skirt")
HEADS = ("short", "curly", "long", "bun", "pony", "bald", "cap", "beanie", "bob")
PATTERNS = ("plain", "plain", "hoops", "stripes", "dots", "band")


def color(text: str) -> Color:
    """Hexadecimal `#rrggbb` -> RGB, 0 to 1."""
    red, green, blue = (int(text[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


@dataclass(frozen=True, kw_only=True)
class Body:
    """One person; lengths in units of the pose."""

    lengths: np.ndarray  # [JOINTS] of the limb that ends at each joint
    size: float  # overall, 1 in the middle
    girth: float  # thickness of limbs and trunk, 1 in the middle
    belly: float  # 0 to 1
    head: float  # radius
    skin: Color
    hair: Color
    style: str  # of HEADS
    hat: Color
    top: str  # of TOPS
    top_color: Color
    top_accent: Color
    pattern: str  # of PATTERNS
    bottom: str  # of BOTTOMS
    bottom_color: Color
    socks: Color
    shoes: Color
    eyes: Color
    glasses: bool
    beard: bool
    scarf: bool
    smile: float  # -0.3 to 1
    stripes: float  # widths of the pattern, in units


def draw(rng: np.random.Generator) -> Body:
    """Someone at random; top, bottom and shoes differ in colour."""

    def pick(texts) -> Color:
        return color(one_of(rng, texts))

    size, legs, arms = rng.uniform(0.86, 1.06), rng.uniform(0.92, 1.08), rng.uniform(0.94, 1.08)
    lengths = LENGTHS * size
    lengths[[11, 12, 15, 16]] *= legs
    lengths[[5, 6, 8, 9]] *= arms
    lengths[[4, 7]] *= rng.uniform(0.9, 1.14)
    cloth = [CLOTH[i] for i in rng.choice(len(CLOTH), 6, replace=False)]
    top, style = one_of(rng, TOPS), one_of(rng, HEADS)
    return Body(
        lengths=lengths,
        size=float(size),
        girth=float(size * rng.uniform(0.88, 1.2)),
        belly=float(rng.beta(1.2, 2.2)),
        head=float(0.166 * (0.5 + 0.5 * size) * rng.uniform(0.94, 1.07)),
        skin=pick(SKIN),
        hair=pick(HAIR),
        style=style,
        hat=color(cloth[4]),
        top=top,
        top_color=color(cloth[0]),
        top_accent=color(cloth[1]),
        pattern=one_of(rng, PATTERNS),
        bottom="skirt" if top == "dress" else one_of(rng, BOTTOMS),
        bottom_color=color(cloth[0] if top == "dress" else cloth[2]),
        socks=color(cloth[5]),
        shoes=color(cloth[3]),
        eyes=pick(("#2b1d16", "#2b1d16", "#27425e", "#2f5a3a")),
        glasses=bool(rng.random() < 0.2),
        beard=bool(rng.random() < 0.18 and style in ("short", "bald", "cap", "beanie", "curly")),
        scarf=bool(rng.random() < 0.15),
        smile=float(rng.uniform(-0.2, 1.0)),
        stripes=float(rng.uniform(0.06, 0.1)),
    )
