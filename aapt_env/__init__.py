"""A neural network that is the game: worlds trained by AAPT, played through Gymnasium.

`gymnasium.make("AAPT-World-v0", game="driving")` works once this is imported. Importing loads no torch, opens no
window and touches no device; the classes below load what they need when they are first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import gymnasium as gym

if TYPE_CHECKING:
    from aapt_env.env import AAPTEnv, restore
    from aapt_env.snapshot import Snapshot
    from aapt_env.spec import ControlSpec, WorldSpec
    from aapt_env.vector import AAPTVectorEnv
    from aapt_env.world import World

__version__ = "0.1.0"
__all__ = [
    "AAPTEnv", "AAPTVectorEnv", "ControlSpec", "Snapshot", "World", "WorldSpec", "restore"
]  # fmt: skip

_HOMES = {
    "AAPTEnv": "aapt_env.env",
    "AAPTVectorEnv": "aapt_env.vector",
    "ControlSpec": "aapt_env.spec",
    "Snapshot": "aapt_env.snapshot",
    "World": "aapt_env.world",
    "WorldSpec": "aapt_env.spec",
    "restore": "aapt_env.env",
}


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


if "AAPT-World-v0" not in gym.registry:
    gym.register(
        "AAPT-World-v0",
        entry_point="aapt_env.env:AAPTEnv",
        vector_entry_point="aapt_env.vector:AAPTVectorEnv",
        max_episode_steps=360,  # a minute at 6 steps (24 frames) per second
    )
