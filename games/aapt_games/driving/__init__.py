"""A first-person drive on procedurally generated closed tracks."""

from aapt_games.driving.env import DrivingEnv

__all__ = ["DrivingEnv"]
