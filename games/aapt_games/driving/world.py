"""All that stands still in one episode: track, land, horizon and scenery of a seed and scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aapt_games.driving import ground, horizon, scene, scenery, track


@dataclass(frozen=True)
class World:
    """One place; equal for an equal seed and scene.

    Attributes:
        seed: what it was made from.
        scene: time, weather and season.
        palette: colours and light of the scene.
        track: the road.
        scenery: objects beside it.
        ground: painted map of the land.
        panorama: [h, w, 3] what lies at the horizon.
    """

    seed: int
    scene: dict[str, str]
    palette: scene.Palette
    track: track.Track
    scenery: scenery.Scenery
    ground: ground.Ground
    panorama: np.ndarray


def build(seed: int, attributes: dict[str, str]) -> World:
    """Make the world of a seed; the scene changes its looks, never its shape."""
    shape, things, paint, far = (np.random.default_rng([seed, k]) for k in range(4))
    colors = scene.palette(attributes)
    road = track.generate(shape)
    return World(
        seed=seed,
        scene=dict(attributes),
        palette=colors,
        track=road,
        scenery=scenery.place(road, things),
        ground=ground.paint(road, colors, paint),
        panorama=horizon.paint(colors, attributes["time"], far),
    )
