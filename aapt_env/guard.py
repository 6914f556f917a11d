"""A stranger's code (an environment, a plugin, a policy, a recipe) fails in one sentence: whose, where, with what."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from aapt_env.flags import sentence

STRANGE = (Exception, SystemExit)  # what such code may raise; Ctrl-C and SIGTERM are the user's


class Failed(ValueError):
    """A stranger's code failed; `__cause__` is what it raised."""


@contextlib.contextmanager
def guarded(
    whose: str, where: str = "", wanted: str = "", passing: tuple[type[Exception], ...] = ()
) -> Iterator[None]:
    """Whatever goes wrong in a stranger's code, its `sys.exit` too, becomes one sentence.

    Args:
        whose: the code, as the user knows it: "gym:Pong-v5", "policy 'mine:Driver'".
        where: it failed, such as "in step 3".
        wanted: what was expected of it.
        passing: errors that are left as they are, as `Failed` is.

    Raises:
        Failed: it raised something.
    """
    try:
        yield
    except (Failed, *passing):
        raise
    except STRANGE as error:
        parts = [f"{whose} failed{where and ' ' + where}: {told(error)}", wanted]
        parts.append("AAPT_DEBUG=1 shows where in its code")
        raise Failed("; ".join(filter(None, parts))) from error


def told(error: BaseException) -> str:
    """What was raised, on one line: its kind and its message, of a ValueError the message alone."""
    said, kind = sentence(error), type(error).__name__
    return said if isinstance(error, ValueError) or said == kind else f"{kind}: {said}"
