"""Keys by their names, and what holding some of them does to a control."""

from __future__ import annotations

import numbers
import re
import string
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

NAMED = (
    "left", "right", "up", "down", "space", "return", "tab", "backspace", "escape", "left shift", "right shift",
    "left ctrl", "right ctrl", "left alt", "right alt", "alt gr", "left meta", "right meta", "caps lock", "insert",
    "delete", "home", "end", "page up", "page down", "print screen", "sys req", "scroll lock", "break", "menu", "help",
    "clear", "power", "euro", "numlock", "enter", "equals",
)  # fmt: skip
# All that pygame.key.name gives; but for "+", which joins keys. A set of names, since pygame takes long to import.
KEYS = frozenset(
    [
        *NAMED,
        *string.ascii_lowercase,
        *string.digits,
        *string.punctuation.translate(dict.fromkeys(map(ord, "+{|}~"))),
        *(f"f{n}" for n in range(1, 16)),
        *(f"[{sign}]" for sign in "0123456789+-*/."),
    ]
)
KNOWN = (
    "known are a to z, 0 to 9, other signs, f1 to f15, [0] to [9], [+], [-], [*], [/] and [.] of the keypad, "
    + ", ".join(NAMED)
)
SUCH = "expected a list of (keys, index, value), such as [(('left',), 0, 1.0)]"


@dataclass(frozen=True, kw_only=True)
class KeyBinding:
    """One key combination and what it does to the control.

    Discrete: holding `keys` chooses action `index` (the longest combination held wins); without any keys, `index` is
    what happens while none is held. MultiBinary: sets element `index`. Box: adds `value` to element `index` (the sum is
    clipped to the space).
    """

    keys: tuple[str, ...]  # names as pygame.key.name gives them: "left", "a", "space"
    index: int
    value: float = 1.0

    def __post_init__(self):
        many = isinstance(self.keys, Iterable) and not isinstance(self.keys, str)
        object.__setattr__(self, "keys", tuple(self.keys) if many else self.keys)
        if not many or not all(isinstance(key, str) for key in self.keys):
            raise ValueError(f"keymap keys {self.keys!r}; expected names such as 'left', in a list")
        if not isinstance(self.value, (int, float)) or not abs(self.value) < float("inf"):
            raise ValueError(f"keymap value {self.value!r}; expected a number that is finite")


def bindings_of(keymap: Any) -> tuple[KeyBinding, ...]:
    """A game's keymap, (keys, index, value) for each combination.

    Raises:
        ValueError: it is something else.
    """
    if isinstance(keymap, (str, dict)) or not isinstance(keymap, Iterable):
        raise ValueError(f"the game's keymap is {keymap!r:.80}; {SUCH}")
    made = []
    for binding in keymap:
        if not isinstance(binding, (tuple, list)) or len(binding) != 3:
            raise ValueError(f"the game's keymap has {binding!r:.80}; {SUCH}")
        keys, index, value = binding
        index = int(index) if isinstance(index, numbers.Integral) else index  # numpy's, too
        value = float(value) if isinstance(value, numbers.Real) else value
        made.append(KeyBinding(keys=keys, index=index, value=value))
    return tuple(made)


def keys_of(text: str) -> tuple[str, ...]:
    """Keys as the user writes them: `left+space` -> ("left", "space"); `idle` is no key.

    Raises:
        ValueError: no such key; says which there are.
    """
    if text == "idle":
        return ()
    parts = [part.strip() for part in re.split(r"\+(?!\])", text)]
    keys = tuple(sorted(part for part in parts if part))
    for key in keys or (text,):
        if key not in KEYS:
            meant = f"expected {key.lower()!r}" if key.lower() in KEYS else KNOWN
            where = "" if key == text else f" in {text!r}"
            raise ValueError(f"there is no key {key!r}{where}; {meant}")
    return keys
