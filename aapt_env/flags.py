"""What the command lines share: how a default is named in --help, and how an error is said."""

from __future__ import annotations

from typing import Any

from tyro.conf import arg


def unless(default: str, metavar: str) -> Any:
    """How --help names a flag whose default depends on something else."""
    return arg(metavar=metavar, help_behavior_hint=f"(default: {default})")


def sentence(error: BaseException) -> str:
    """An exception's message on one line; an OSError's without its number."""
    if isinstance(error, OSError) and error.strerror:
        named = [str(f) for f in (error.filename, error.filename2) if f is not None]
        return " ".join(": ".join([*named, error.strerror]).split())
    return " ".join(str(error).split()) or type(error).__name__


def square(size: int | None, height: int | None, width: int | None) -> tuple[int, int]:
    """(height, width) in pixels, from --size or from --height and --width."""
    if size is not None and (height is not None or width is not None):
        raise ValueError("--size is for square frames: give either --size, or --height and --width")
    if (height is None) != (width is None):
        raise ValueError("--height and --width go together; --size N is short for both")
    size = 64 if size is None else size
    return (size, size) if height is None or width is None else (height, width)
