"""Play a world, or the game itself, with keyboard and gamepad; or film it where there is no display."""

import os

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

from aapt_env.play.app import main  # noqa: E402

__all__ = ["main"]
