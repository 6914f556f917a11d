"""The meter: a dream beside its game. `aapt eval GAME`, or `python -m aapt_env.evaluate`."""

from aapt_env.evaluate.run import main

__all__ = ["main"]
