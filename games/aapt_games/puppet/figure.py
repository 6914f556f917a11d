"""The figure: a pose and a body -> solids."""

from __future__ import annotations

import numpy as np

from aapt_games.puppet import head
from aapt_games.puppet.body import Body
from aapt_games.puppet.skeleton import ARMS, CHEST, HEAD, HIPS, LEGS, facing
from aapt_games.puppet.solids import Canvas, Patch, Solid, capsule


def draw(canvas: Canvas, pose: np.ndarray, body: Body) -> None:
    """Paint a body in a pose on a canvas."""
    axes = facing(pose)
    parts = [trunk(pose, axes, body)]
    parts += [leg(pose, joints, body) for joints in LEGS]
    parts += [arm(pose, joints, body) for joints in ARMS]
    if body.bottom == "skirt":
        parts.append(skirt(pose, axes, body))
    if body.scarf:
        parts.append(scarf(pose, axes, body))
    skull = head.Skull.of(pose, body)
    parts += head.solids(skull, body)
    todo = [(part.order, part) for part in parts] + [(skull.order, skull)]
    for _, part in sorted(todo, key=lambda each: each[0]):
        if isinstance(part, Solid):
            canvas.add(part)
        else:
            head.draw(canvas, part, body)


def trunk(pose: np.ndarray, axes: np.ndarray, body: Body) -> Solid:
    """Chest, sides, belly and neck."""
    g, left, up, forward = body.girth, *axes
    c, hips, chest = body.top_color, pose[HIPS], pose[CHEST]
    shoulders = [pose[4] - 0.045 * left - 0.045 * up, pose[7] + 0.045 * left - 0.045 * up]
    sides = [pose[10] + 0.012 * left, pose[14] - 0.012 * left]
    pants = body.bottom_color
    waist = 0.82 if body.top != "dress" else 2.0
    belly = hips + 0.32 * (chest - hips) + 0.04 * body.belly * forward
    capsules = [
        capsule(shoulders[0], shoulders[1], 0.08 * g, 0.08 * g, c),
        *[
            capsule(s, h, 0.085 * g, (0.09 + 0.012 * body.belly) * g, c, pants, waist)
            for s, h in zip(shoulders, sides, strict=True)
        ],
        capsule(chest - 0.08 * up, hips, 0.11 * g, 0.105 * g, c, pants, waist),
        capsule(belly, belly, (0.108 + 0.045 * body.belly) * g, 0.1 * g, c),
    ]

    def dye(place: np.ndarray, patch: Patch) -> np.ndarray:
        return _pattern(place - hips.astype(np.float32)[:, None, None], patch, axes, body)

    neck = pose[CHEST] - 0.025 * up
    capsules.append(capsule(neck, pose[HEAD], 0.056 * g, 0.056 * g, body.skin))
    plain = body.pattern == "plain" and body.top != "jacket"
    return Solid(capsules, flow=55.0, dye=None if plain else dye)


def _pattern(place: np.ndarray, patch: Patch, axes: np.ndarray, body: Body) -> np.ndarray:
    """The cloth's pattern, which turns with the trunk."""
    wide, high, _ = (axes.astype(np.float32) @ place.reshape(3, -1)).reshape(place.shape)
    width = np.float32(np.pi / body.stripes)
    if body.top == "jacket":
        front = np.einsum("i,ihw->hw", axes[2].astype(np.float32), patch.normal)
        opening = np.float32(0.012) + np.float32(0.05) * np.maximum(high, 0)
        share = _step(opening - np.abs(wide), 90) * _step(front - np.float32(0.1), 8)
    elif body.pattern == "hoops":
        share = _step(np.sin(high * width), 4)
    elif body.pattern == "stripes":
        share = _step(np.sin(wide * width), 4)
    elif body.pattern == "dots":
        share = _step(np.sin(high * width) * np.sin(wide * width) - np.float32(0.45), 4)
    else:  # a band across the chest
        share = _step(np.float32(0.045) - np.abs(high - np.float32(0.62 * body.lengths[1])), 60)
    is_top = np.abs(patch.color - np.array(body.top_color, np.float32)[:, None, None]).sum(0) < 0.02
    accent = np.array(body.top_accent, np.float32)[:, None, None]
    return patch.color + (share * is_top) * (accent - patch.color)


def _step(value: np.ndarray, sharpness: float) -> np.ndarray:
    """0 below 0, 1 above, over a soft edge."""
    return np.minimum(np.maximum(value * np.float32(sharpness) + np.float32(0.5), 0), 1)


def arm(pose: np.ndarray, joints: tuple[int, int, int], body: Body) -> Solid:
    """Upper arm, forearm and hand."""
    shoulder, elbow, hand = (pose[j] for j in joints)
    g, skin, sleeve = body.girth, body.skin, body.top_color
    way = hand - elbow
    way = way / max(float(np.linalg.norm(way)), 1e-6)
    upper = {"tee": 0.62, "dress": 0.4, "tank": -1.0}.get(body.top, 2.0)
    lower = 0.86 if body.top in ("sleeves", "jacket") else -1.0
    palm = hand + 0.045 * way * body.size
    bulge = 0.008 if upper > 0 else 0.0
    capsules = [
        capsule(shoulder, elbow, (0.069 + bulge) * g, 0.054 * g, sleeve, skin, upper),
        capsule(elbow, hand, (0.054 + 0.5 * bulge) * g, 0.044 * g, sleeve, skin, lower),
        capsule(hand, palm, 0.05 * body.size, 0.057 * body.size, skin),
    ]
    return Solid(capsules, flow=85.0)


def leg(pose: np.ndarray, joints: tuple[int, int, int, int], body: Body) -> Solid:
    """Thigh, shin and shoe."""
    hip, knee, ankle, toe = (pose[j] for j in joints)
    g, skin, cloth = body.girth, body.skin, body.bottom_color
    above, below = (2.0, 0.93) if body.bottom == "trousers" else (0.8, -1.0)
    shin_top = cloth if body.bottom == "trousers" else skin
    wide = 1.14 if body.bottom == "trousers" else 1.0
    heel = ankle - 0.3 * (toe - ankle)
    socks = body.socks if body.bottom != "trousers" else cloth
    split = 0.7 if body.bottom != "trousers" else below
    capsules = [
        capsule(hip, knee, 0.1 * g, 0.072 * g, cloth, skin, above),
        capsule(knee, ankle, 0.071 * g, 0.055 * g * wide, shin_top, socks, split),
        capsule(heel, toe, 0.066 * body.size, 0.057 * body.size, body.shoes),
    ]
    return Solid(capsules, flow=100.0)


def skirt(pose: np.ndarray, axes: np.ndarray, body: Body) -> Solid:
    """A skirt that hangs from the hips and spreads with the thighs."""
    g, c, left = body.girth, body.bottom_color, axes[0]
    pose = pose + (0, 0, 0.03)  # before the legs, wherever one stands
    hips = pose[HIPS] + 0.04 * axes[1]
    hems = [pose[LEGS[0][0]] + 0.86 * (pose[LEGS[0][1]] - pose[LEGS[0][0]]) + 0.036 * left,
            pose[LEGS[1][0]] + 0.86 * (pose[LEGS[1][1]] - pose[LEGS[1][0]]) - 0.036 * left]  # fmt: skip
    middle = (hems[0] + hems[1]) / 2
    capsules = [
        capsule(hips + 0.045 * left, hems[0], 0.1 * g, 0.11 * g, c),
        capsule(hips - 0.045 * left, hems[1], 0.1 * g, 0.11 * g, c),
        capsule(hips, middle, 0.12 * g, 0.115 * g, c),
    ]
    return Solid(capsules, flow=35.0)


def scarf(pose: np.ndarray, axes: np.ndarray, body: Body) -> Solid:
    """A scarf about the neck, one end down the front."""
    left, up, forward = axes
    neck, c = pose[CHEST] + 0.025 * up, body.top_accent
    end = neck - 0.2 * up + 0.11 * forward + 0.065 * left
    start = neck + 0.065 * forward + 0.05 * left
    capsules = [
        capsule(neck - 0.045 * left, neck + 0.045 * left, 0.078, 0.078, c),
        capsule(start, end, 0.044, 0.052, c),
    ]
    return Solid(capsules)
