"""Scenes: the attributes of a place that a reset draws, or fixes through its options."""

from __future__ import annotations

from typing import Any

import numpy as np

from aapt_games.chance import one_of

Scenes = dict[str, tuple[str, ...]]  # attribute -> the values it can have


def draw_scene(scenes: Scenes, rng: np.random.Generator) -> dict[str, str]:
    """One value for each attribute, uniformly."""
    return {name: one_of(rng, values) for name, values in scenes.items()}


def check(scenes: Scenes, scene: dict[str, str]) -> None:
    """Raise ValueError for an attribute or a value that no scene has."""
    for name, value in scene.items():
        if name not in scenes:
            raise ValueError(f"scene attribute {name!r} is unknown; known: {', '.join(scenes)}")
        if value not in scenes[name]:
            known = ", ".join(scenes[name])
            raise ValueError(f"scene {name} {value!r} is unknown; known: {known}")


def asked_for(scenes: Scenes, options: dict[str, Any]) -> dict[str, str]:
    """The scene that reset's options fix.

    Args:
        scenes: what there is.
        options: `{"scene": {attribute: value}}` or {}.

    Raises:
        ValueError: another option, no dict, or a scene that there is not.
    """
    wanted = options.get("scene") or {}
    unknown = sorted(set(options) - {"scene"})
    if unknown or not isinstance(wanted, dict):
        got = f"{unknown} unknown" if unknown else f"scene {wanted!r}"
        raise ValueError(
            f"reset options: {got}; expected {{'scene': {{attribute: value}}}} of {scenes}"
        )
    check(scenes, wanted)
    return dict(wanted)
