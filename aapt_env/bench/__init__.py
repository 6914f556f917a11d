"""`aapt bench`: how fast a world steps, beside the floor of the machine it runs on.

`subject` is what is measured, `clock` its times, `floor` what it has to do and what the machine can do, `rollout`
whether memory and speed stay flat over a long dream, `report` all of it in words.
"""

from aapt_env.bench.app import main

__all__ = ["main"]
