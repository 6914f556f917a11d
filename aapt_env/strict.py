"""JSON -> dataclass, with no key unknown and none missing: nothing in a file is guessed at or passed over."""

from __future__ import annotations

import dataclasses


def strict(cls, data: dict, where: str, remedy: str = ""):
    """Build dataclass `cls` from a JSON dict.

    Args:
        cls: a dataclass.
        data: what was read; its keys are the fields' names.
        where: the file, or the part of it, that an error names.
        remedy: what an error says to do.

    Raises:
        ValueError: no dict, unknown or missing keys (both sides are named), or values the class refuses.
    """
    end = f"; {remedy}" if remedy else ""
    if not isinstance(data, dict):
        raise ValueError(f"{where}: expected an object, got {type(data).__name__}{end}")
    fields = {f.name: f for f in dataclasses.fields(cls)}
    unknown = sorted(set(data) - set(fields))
    if unknown:
        raise ValueError(
            f"{where}: unknown keys {unknown}; {cls.__name__} knows {sorted(fields)}{end}"
        )
    missing = [
        n
        for n, f in fields.items()
        if n not in data
        and f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ValueError(f"{where}: missing keys {missing} of {cls.__name__}{end}")
    try:
        return cls(**data)
    except TypeError as error:
        raise ValueError(f"{where}: {error}{end}") from error
