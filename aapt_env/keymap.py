"""Which keys do what: read from an environment, from a small TOML file, asked for, or guessed from the control space.

A binding is `(keys, index, value)`: see `KeyBinding`. A keymap file looks like this:

    names = ["nothing", "left", "right", "fire"]    # optional: one per action or element
    [keys]
    left = 1               # Discrete: the action; MultiBinary: the element that it sets
    "left+space" = 3       # keys held together
    idle = 0               # Discrete: what happens while no key is held
    up = [1, 0.5]          # Box: the element, and how far it is pushed
"""

from __future__ import annotations

import dataclasses
import itertools
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from aapt_env.binding import KeyBinding, keys_of
from aapt_env.spec import ControlSpec

Binding = tuple[tuple[str, ...], int, float]
PAIRS = (("left", "right"), ("down", "up"), ("a", "d"), ("s", "w"), ("q", "e"), ("z", "x"))
SINGLES = ("left", "right", "up", "down", "space", "left shift", *"zxcvasdwqefr", *"1234567890")
LIKE = {
    "left": "left",
    "right": "right",
    "up": "up",
    "forward": "up",
    "down": "down",
    "back": "down",
    "fire": "space",
}
NUMBERS = "0123456789"


def of_env(env: gym.Env, names: tuple[str, ...] = ()) -> Any:
    """The keymap of an environment: its own or a wrapper's `keymap` as it is, its `get_keys_to_action()`, or a guess.

    Of the last two it is a list of bindings; `bindings_of` holds the first against that.
    """
    game: Any = env.unwrapped
    if env.has_wrapper_attr("keymap"):
        return env.get_wrapper_attr("keymap")
    space = env.action_space
    try:
        table = game.get_keys_to_action()
    except (AttributeError, NotImplementedError, TypeError):
        return guess(space, names)
    return of_table(table, space) or guess(space, names)


def names_of(env: gym.Env) -> tuple[str, ...]:
    """What the actions are called, where the environment tells: control_names, action meanings, an Enum of actions."""
    game: Any = env.unwrapped
    if env.has_wrapper_attr("control_names"):
        return tuple(env.get_wrapper_attr("control_names"))
    if not isinstance(env.action_space, gym.spaces.Discrete):
        return ()
    found: tuple[str, ...] = ()
    if hasattr(game, "get_action_meanings"):
        found = tuple(str(name).lower() for name in game.get_action_meanings())
    elif isinstance(getattr(game, "actions", None), type):
        found = tuple(getattr(action, "name", str(action)) for action in game.actions)
    return found if len(found) == env.action_space.n else ()


def of_table(table: dict, space: gym.Space) -> list[Binding]:
    """Bindings of what `get_keys_to_action` gives: {keys: action}, keys as names, letters or pygame's codes."""
    bindings: list[Binding] = []
    for keys, action in table.items():
        held = tuple(
            sorted(_key_name(key) for key in (keys if isinstance(keys, (tuple, list)) else [keys]))
        )
        if isinstance(space, gym.spaces.Discrete):
            bindings.append((held, int(action) - int(space.start), 1.0))
            continue
        if len(held) != 1:
            continue  # a combination: the sum of its keys
        values = np.asarray(action, float).ravel()
        if isinstance(space, gym.spaces.Box):
            values = values / np.maximum(np.abs(space.low), np.abs(space.high)).ravel()
        bindings += [(held, int(i), float(values[i])) for i in np.flatnonzero(values)]
    return bindings


def guess(space: gym.Space, names: tuple[str, ...] = ()) -> list[Binding]:
    """Keys for an environment that says nothing: by names where those are directions, else in order.

    Discrete: number keys are the actions' numbers, and two or three actions are also left and right. MultiBinary: the
    key of that name, or one in order. Box: two keys per element, or one where it cannot be negative.
    """
    if isinstance(space, gym.spaces.Discrete):
        count = int(space.n)
        found: list[Binding] = [((key,), i, 1.0) for i, key in enumerate(NUMBERS[:count])]
        arrows = {2: {"left": 0, "right": 1}, 3: {"left": 0, "idle": 1, "right": 2}}.get(count, {})
        named = {LIKE[name]: i for i, name in enumerate(names) if name in LIKE}
        idle = [
            ((), i, 1.0)
            for i, name in enumerate(names)
            if name in ("noop", "nothing", "done", "idle")
        ]
        return [
            *found,
            *idle[:1],
            *((keys_of(key), i, 1.0) for key, i in (named if names else arrows).items()),
        ]
    if isinstance(space, gym.spaces.MultiBinary):
        size = int(np.prod(space.shape))
        own = [LIKE.get(name, name if name in SINGLES else "") for name in names or [""] * size]
        free = iter([key for key in SINGLES if key not in own])
        return [((key,), i, 1.0) for i, name in enumerate(own) if (key := name or next(free, ""))]
    return list(_pushes(space)) if isinstance(space, gym.spaces.Box) else []


def read(path: Path, control: ControlSpec) -> ControlSpec:
    """The control with the keys (and names) of a keymap file.

    Raises:
        ValueError: the file is missing, no TOML, or names an action or a key that there is not; says what is expected.
    """
    try:
        data = tomllib.loads(Path(path).read_text())
    except OSError as error:
        raise ValueError(
            f"{path}: {error.strerror}; expected a keymap file, see docs/your-own-game.md"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no TOML: {error}") from error
    unknown = sorted(set(data) - {"names", "keys"})
    if unknown or not isinstance(data.get("keys"), dict):
        raise ValueError(
            f"{path}: {unknown or 'no [keys]'}; expected a table [keys] and, if you like, names = [...]"
        )
    try:
        bindings = [_entry(control, *item) for item in data["keys"].items()]
        names = data.get("names", control.names)
        return dataclasses.replace(control, names=tuple(names), keymap=tuple(bindings))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error


def ask(control: ControlSpec, answer=input) -> ControlSpec:
    """The control with keys that the player types in; an empty answer leaves an action without a key.

    Raises:
        ValueError: a key was given twice, or there is none of that name, or nobody is there to answer.
    """
    bindings: list[KeyBinding] = []
    signs = {"Box": (("+", 1.0), ("-", -1.0))}.get(control.space, (("", 1.0),))
    print("Type a key's name for each (left, a, space, left+space ...), or nothing for none.")
    for index, (sign, value) in itertools.product(range(control.size), signs):
        name = (
            control.names[index]
            if control.names
            else f"{'action' if control.space == 'Discrete' else 'element'} {index}"
        )
        try:
            typed = answer(f"  {name}{sign}: ").strip().lower()
        except EOFError as error:
            raise ValueError(
                "nobody is there to answer; give a keymap file with --keys FILE"
            ) from error
        if not typed:
            continue
        keys = keys_of(typed)
        if any(b.keys == keys for b in bindings):
            raise ValueError(
                f"key {typed!r} was given twice; expected a key of its own for {name}{sign}"
            )
        bindings.append(KeyBinding(keys=keys, index=index, value=value))
    return dataclasses.replace(control, keymap=tuple(bindings))


def chosen(keys: str | None, control: ControlSpec) -> ControlSpec:
    """The control with the keys of --keys: a file, `ask`, or None for those that it has."""
    if keys is None:
        return control
    return ask(control) if keys == "ask" else read(Path(keys), control)


def _entry(control: ControlSpec, keys: str, what: Any) -> KeyBinding:
    """One line of a keymap file."""
    index, value = what if isinstance(what, list) and len(what) == 2 else (what, 1.0)
    numbers = type(index) is int and type(value) in (int, float) and abs(value) < float("inf")
    if not numbers or not -1 < index < control.size:
        raise ValueError(
            f"key {keys!r} is {what!r}; expected 0 to {control.size - 1}, or for a Box [element, push]"
        )
    return KeyBinding(keys=keys_of(keys), index=index, value=value)


def _pushes(space: gym.spaces.Box) -> Iterator[Binding]:
    """Two keys for an element that goes both ways, one for another."""
    used: set[str] = set()
    for i, low in enumerate(np.ravel(space.low)):
        keys = next((p for p in PAIRS if not used & set(p)), ()) if low < 0 else ()
        keys = keys or tuple(
            [key for key in SINGLES[2:] if key not in used][: 1 if low >= 0 else 0]
        )
        used |= set(keys)
        yield from (
            ((key,), i, value)
            for key, value in zip(keys, (-1.0, 1.0) if low < 0 else (1.0,), strict=False)
        )


def _key_name(key: Any) -> str:
    """A key as `pygame.key.name` calls it, from its name, its letter or its code."""
    if isinstance(key, str):
        return {" ": "space"}.get(key, key.lower())
    if 32 <= int(key) < 127:
        return {32: "space"}.get(int(key), chr(int(key)).lower())
    import pygame  # here: few keymaps have codes of named keys

    names = {getattr(pygame, n): n[2:].lower() for n in dir(pygame) if n.startswith("K_")}
    name = names.get(int(key), f"key {int(key)}")
    return {
        "lshift": "left shift",
        "rshift": "right shift",
        "lctrl": "left ctrl",
        "rctrl": "right ctrl",
    }.get(name, name)
