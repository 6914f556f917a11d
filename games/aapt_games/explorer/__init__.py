"""A first-person walk through rooms, corridors and courtyards that no one has seen before."""

from aapt_games.explorer.env import ExplorerEnv

__all__ = ["ExplorerEnv"]
