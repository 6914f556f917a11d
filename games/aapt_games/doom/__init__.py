"""Doom, with Freedoom's maps, through ViZDoom."""

from aapt_games.doom.env import DoomEnv

__all__ = ["DoomEnv"]
