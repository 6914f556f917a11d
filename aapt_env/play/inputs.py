"""What the player's hands say: keys and gamepads, tracked from events, read by the model thread as one control."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Protocol

import numpy as np

from aapt_env.spec import ControlSpec

DEAD_ZONE = 0.15  # of a stick's travel
STICK_KEY = 0.5  # travel at which a stick counts as a key, for controls that are not analog
ROLES = {  # what a direction is called, in the order the keymap is searched
    "left": ("left", "a"),
    "right": ("right", "d"),
    "up": ("up", "w"),
    "down": ("down", "s"),
}
MOVE = {"left": "a", "right": "d", "up": "w", "down": "s"}  # the left hand, where there are two
TOO_FAR = "Faster than this world was trained for: it follows as fast as it can"
NO_NUMBER = "An input device sends something that is no number: read as no motion"
FACING = {"left": "right", "right": "left", "up": "down", "down": "up"}


class Device(Protocol):
    """Something else than keys and pads that a player holds."""

    def read(self) -> Any:
        """Its control now, [width] numbers from -1 to 1, added to what the keys say; called once per latent."""


DEVICES: dict[str, Callable[[ControlSpec], Device]] = {}
PLUGINS = "aapt_env.devices"  # entry points of installed packages: kind = "module:Device"


def attach(kind: str, device: Callable[[ControlSpec], Device]) -> None:
    """Make a device known: `device(control)` is made for each play of a world whose control is of that kind."""
    DEVICES[kind] = device


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The input at one moment."""

    row: np.ndarray  # float32 [width], one control as datasets store it
    held: frozenset[str] = frozenset()  # keys it was made from
    since: float | None = (
        None  # when the first change that nobody had sampled yet happened, in seconds
    )
    note: str = ""  # what the player has to be told, once


class Inputs:
    """Held keys and stick positions -> a control; the newest input wins.

    The UI thread presses and releases; the model thread samples. A key pressed and released between two samples still
    counts in the next one, so that a short tap is never lost.
    """

    def __init__(self, control: ControlSpec):
        self.control = control
        roles = roles_of(control)
        self._opposite = {
            key: frozenset(roles.get(FACING[role], ()))
            for role, keys in roles.items()
            for key in keys
        }
        self._lock = threading.Lock()
        self._held: list[str] = []  # oldest first
        self._pressed: list[str] = []  # since the last sample, oldest first
        self._analog: dict[str, float] = {}  # key -> how far it is pushed, 0 to 1
        self._since: float | None = None
        self._travel = np.zeros(control.width)  # of a mouse, not yet sampled
        self._notes: list[str] = []
        self._told: set[str] = set()
        self._device = self._plug_in()

    def press(self, name: str, now: float) -> None:
        """A key went down."""
        with self._lock:
            if name in self._held:
                return
            self._held.append(name)
            self._pressed.append(name)
            self._note(now)

    def release(self, name: str, now: float) -> None:
        """A key came up."""
        with self._lock:
            if name in self._held:
                self._held.remove(name)
                self._note(now)

    def push(self, name: str, amount: float, now: float) -> None:
        """A stick or trigger stands in for key `name`, pushed by `amount` in 0 to 1."""
        if not np.isfinite(amount):
            amount = 0.0
            with self._lock:
                self._tell(NO_NUMBER)
        if self.control.space != "Box":
            return self.press(name, now) if amount >= STICK_KEY else self.release(name, now)
        with self._lock:
            if abs(amount - self._analog.get(name, 0.0)) >= 0.02 or amount == 0.0:
                changed = self._analog.get(name, 0.0) != amount
                self._analog[name] = amount
                if changed:
                    self._note(now)

    def nudge(self, index: int, amount: float, now: float) -> None:
        """A mouse moved element `index` of a Box by `amount`; 1 is as much as one latent can do.

        What is beyond that waits for the next latent, up to one; what is beyond that too is dropped, and the player is
        told so once. So are numbers that are none, which count as no motion.
        """
        with self._lock:
            if np.isfinite(amount):
                self._travel[index] += amount
                self._note(now)
            else:
                self._tell(NO_NUMBER)

    def release_all(self, now: float) -> None:
        """The window lost the keyboard: nothing is held."""
        with self._lock:
            if self._held or any(self._analog.values()):
                self._note(now)
            self._held.clear()
            self._analog.clear()
            self._travel[:] = 0

    def held(self) -> frozenset[str]:
        """Keys held now, without consuming anything (for the HUD)."""
        with self._lock:
            return frozenset(self._held)

    def sample(self) -> Sample:
        """The control for the next latent. The newest key wins over the ones it contradicts."""
        with self._lock:
            before = [name for name in self._held if name not in self._pressed]
            active: set[str] = set()
            for name in dict.fromkeys(reversed([*before, *self._pressed])):  # newest first
                if self._agrees(name, active):
                    active.add(name)
            since, self._since = self._since, None
            self._pressed.clear()
            analog, moved = dict(self._analog), self._moved()
            note = self._notes.pop(0) if self._notes else ""
        row = self._pushed(self.control.to_row(self.control.from_keys(active)), analog)
        if self._device is not None:
            moved = moved + self._read()
        if moved.any():
            row = self.control.tamed(row + moved)
        return Sample(row=row, held=frozenset(active), since=since, note=note)

    def _plug_in(self) -> Device | None:
        """The device of this kind of control; None where there is none, or it does not start."""
        kind = self.control.kind
        for found in entry_points(group=PLUGINS, name=kind) if kind not in DEVICES else ():
            attach(kind, found.load())
        return self._try(lambda: DEVICES[kind](self.control)) if kind in DEVICES else None

    def _read(self) -> np.ndarray:
        """What the device says, [width]; one that fails is left alone from then on."""
        assert self._device is not None
        row = self._try(
            lambda: np.asarray(self._device.read(), np.float32).reshape(self.control.width)
        )
        if row is None:
            self._device = None
            return np.zeros(self.control.width, np.float32)
        if not np.isfinite(row).all() or np.abs(row).max() > 1:
            self._tell(TOO_FAR if np.isfinite(row).all() else NO_NUMBER)
        return self.control.tamed(row)

    def _try(self, do: Callable[[], Any]) -> Any:
        """A device is a stranger's code: whatever goes wrong in it must not end the play."""
        try:
            return do()
        except Exception as error:
            self._tell(
                f"The {self.control.kind} device stopped: {' '.join(str(error).split()) or type(error).__name__}"
            )
            return None

    def _moved(self) -> np.ndarray:
        """The mouse's part of the coming latent [width]; keeps what waits for the next."""
        moved = self._travel.clip(-1, 1)
        left = self._travel - moved
        self._travel = left.clip(-1, 1)
        if (left != self._travel).any():
            self._tell(TOO_FAR)
        return moved

    def _tell(self, note: str) -> None:
        """Say something, once in a session."""
        if note not in self._told:
            self._told.add(note)
            self._notes.append(note)

    def _note(self, now: float) -> None:
        if self._since is None:
            self._since = now

    def _agrees(self, name: str, active: set[str]) -> bool:
        """Whether `name` may join keys that are newer than itself."""
        bindings = self.control.keymap
        if self.control.space == "MultiBinary":
            return not active & self._opposite.get(name, frozenset())
        if self.control.space == "Discrete":
            return _longest(bindings, active | {name}) > _longest(bindings, active)
        mine = {(b.index, b.value > 0) for b in bindings if b.keys == (name,)}
        theirs = {
            (b.index, b.value > 0) for b in bindings if len(b.keys) == 1 and b.keys[0] in active
        }
        return not any((index, not positive) in theirs for index, positive in mine)

    def _pushed(self, row: np.ndarray, analog: dict[str, float]) -> np.ndarray:
        if not analog:
            return row
        row = row.copy()
        for b in self.control.keymap:
            if len(b.keys) == 1:
                row[b.index] += b.value * analog.get(b.keys[0], 0.0)
        return row.clip(-1, 1)


def _longest(bindings, held: set[str]) -> int:
    return max((len(b.keys) for b in bindings if set(b.keys) <= held), default=0)


def roles_of(control: ControlSpec) -> dict[str, tuple[str, ...]]:
    """Which keys steer left, right, up and down, the main one first: {"left": ("left", "a"), ...}.

    A key that only has a direction's name ("a" for strafing, beside "left" for turning) is not one of them.
    """
    does = {b.keys[0]: (b.index, b.value) for b in control.keymap if len(b.keys) == 1}
    bound = {key for b in control.keymap for key in b.keys}
    roles = {}
    for role, names in ROLES.items():
        main = next((name for name in names if name in bound), None)
        if main is not None:
            same = [key for key in does if main in does and does[key] == does[main]]
            roles[role] = (main, *(key for key in same if key != main))
    return roles


def hands_of(control: ControlSpec) -> list[dict[str, tuple[str, ...]]]:
    """The directions of each hand: one hand as a rule; two where W, A, S, D all do something else than the arrows.

    With two, the first moves (W, A, S, D) and the last looks (arrows, mouse, right stick).
    """
    roles, does = roles_of(control), {}
    for b in control.keymap:
        if len(b.keys) == 1:
            does[b.keys[0]] = b.index, b.value
    arrows, letters = [does.get(role) for role in MOVE], [does.get(key) for key in MOVE.values()]
    if None in arrows + letters or set(arrows) & set(letters):
        return [roles]
    return [{role: (key,) for role, key in MOVE.items()}, roles]


def other_keys(control: ControlSpec) -> list[str]:
    """Keys that do what no direction does, one for each thing that can be done; named keys before letters."""
    steer = {key for roles in hands_of(control) for keys in roles.values() for key in keys}
    found: dict[tuple, str] = {}
    for b in control.keymap:
        if len(b.keys) == 1 and b.keys[0] not in steer:
            found.setdefault((b.index, b.value), b.keys[0])
    return sorted(found.values(), key=lambda key: len(key) == 1)
