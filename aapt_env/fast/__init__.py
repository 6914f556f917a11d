"""Speed from outside: the readable step, run faster. Tests hold every way to the plain one.

`options` says what is wanted, `ways` runs the step, `still` is the step in memory that stays where it is.
"""

from aapt_env.fast.options import AUTO, Fast

__all__ = ["AUTO", "Fast"]
