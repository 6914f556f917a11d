"""Doom through ViZDoom: small rooms to fight in, and Freedoom's maps."""

from aapt_games.doom.env import DoomEnv, FreedoomEnv

__all__ = ["DoomEnv", "FreedoomEnv"]
