"""Things that the user or an installed package names as `module:name`."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from aapt_env.guard import guarded


class NoEntry(ValueError):
    """There is nothing of that name; the message says what is missing."""


def load_entry(entry: str) -> Any:
    """`"module:name"` -> the object.

    Raises:
        NoEntry: not of that form, or no such module or name.
        Failed: the module fails when it is imported.
    """
    with guarded(f"{entry!r}", "when it was imported", passing=(NoEntry,)):
        return import_entry(entry)


def load_own(entry: str) -> Any:
    """`load_entry` of something of the user's: the current folder is searched first."""
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
        importlib.invalidate_caches()
    return load_entry(entry)


def import_entry(entry: str) -> Any:
    """`load_entry`, where whatever the module raises is left as it is.

    Raises:
        NoEntry: not of that form, or no such module or name.
    """
    module, _, name = entry.partition(":") if isinstance(entry, str) else ("", "", "")
    if not module or not name or module.startswith("."):
        raise NoEntry(f"{entry!r}: expected 'module:name'")
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise NoEntry(
            f"{entry!r}: there is no module {error.name!r}; is its folder on PYTHONPATH?"
        ) from error
    if not hasattr(found, name):
        raise NoEntry(f"{entry!r}: module {module!r} has no {name!r}")
    return getattr(found, name)
