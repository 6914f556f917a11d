"""Someone who moves as a pose tells them."""

from aapt_games.puppet.env import PuppetEnv

__all__ = ["PuppetEnv"]
