"""A first-person walk through rooms, corridors and courtyards: of four houses, or of places no one has seen before."""

from aapt_games.explorer.env import ExplorerEnv, LabyrinthEnv

__all__ = ["ExplorerEnv", "LabyrinthEnv"]
