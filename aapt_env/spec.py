"""What a frame, a latent and a control are: the one description that games, data, networks and players share."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from aapt_env.binding import KeyBinding, bindings_of
from aapt_env.strict import strict

FEW = 8  # numbers of an action that are shown when it is wrong
KINDS = ("keys", "vector", "pose", "camera")  # ours; more can be registered in controls.py


def array_of(value: Any) -> np.ndarray:
    """What a caller gave, as an array; what is none (rows of unequal length, a dict) as an object array of shape ()."""
    try:
        return np.asarray(value)
    except (ValueError, TypeError):
        alone = np.empty((), object)
        alone[()] = value
        return alone


def _check_settings(settings) -> None:
    """Raises ValueError unless settings are finite numbers by name."""
    good = isinstance(settings, dict) and all(
        isinstance(name, str) and isinstance(value, (int, float)) and abs(value) < float("inf")
        for name, value in settings.items()
    )
    if not good:
        raise ValueError(f"control settings {settings!r}; expected finite numbers by name")


@dataclass(frozen=True, kw_only=True)
class ControlSpec:
    """What the player injects for one latent: its space, the names of its elements, and the keys that drive it."""

    kind: str = "keys"  # which encoder of controls.py reads it: one of KINDS, or one of a user's
    space: str  # "Discrete" | "MultiBinary" | "Box"; a Box is [-1, 1] per element
    size: int  # n of Discrete, n of MultiBinary, elements of a flat Box
    names: tuple[str, ...] = ()  # one per element
    keymap: tuple[KeyBinding, ...] = ()
    settings: dict[str, float] = dataclasses.field(default_factory=dict)  # numbers of the encoder
    rest: tuple[float, ...] = ()  # of a Box, what someone who touches nothing says; zeros without

    def __post_init__(self):
        if not (isinstance(self.kind, str) and self.kind.isidentifier()):
            raise ValueError(f"control kind {self.kind!r}; expected a name such as {KINDS}")
        if self.space not in ("Discrete", "MultiBinary", "Box"):
            raise ValueError(f"control space {self.space!r}; expected Discrete, MultiBinary or Box")
        if not isinstance(self.size, int) or self.size < 1:
            raise ValueError(f"control size {self.size!r}; expected a whole number >= 1")
        if not isinstance(self.keymap, (list, tuple)):
            raise ValueError(f"keymap {self.keymap!r:.80}; expected a list of bindings")
        bindings = tuple(
            b if isinstance(b, KeyBinding) else strict(KeyBinding, b, "keymap") for b in self.keymap
        )
        object.__setattr__(self, "keymap", bindings)
        object.__setattr__(self, "names", tuple(self.names))
        _check_settings(self.settings)
        try:
            object.__setattr__(self, "rest", tuple(map(float, self.rest)))
        except (TypeError, ValueError) as error:
            raise ValueError(f"control rest {self.rest!r}; expected numbers") from error
        if self.rest:
            if self.space != "Box":
                raise ValueError(f"control rest {self.rest!r} is for a Box; this is {self.space}")
            self.to_row(self.rest)
        if len(self.names) not in (0, self.size) or not all(isinstance(n, str) for n in self.names):
            raise ValueError(
                f"control names {self.names!r}; expected none, or a text for each of {self.size} elements"
            )
        if len(set(self.names)) < len(self.names):
            raise ValueError(f"control names {self.names!r}; expected a different one for each")
        for b in bindings:
            if not isinstance(b.index, int) or not 0 <= b.index < self.size:
                raise ValueError(f"keymap index {b.index!r}; expected 0 to {self.size - 1}")

    @classmethod
    def of(cls, env: gym.Env) -> ControlSpec:
        """Read the control of any Gymnasium env: its action space, and what else it, or a wrapper around it, says.

        That is `control_names`, `keymap`, `control_kind` (a Box is "vector" and all else "keys" without),
        `control_settings` and `control_rest`.
        """

        def told(name: str, otherwise: Any) -> Any:
            return env.get_wrapper_attr(name) if env.has_wrapper_attr(name) else otherwise

        space, names = env.action_space, tuple(told("control_names", ()))
        usual = "vector" if isinstance(space, gym.spaces.Box) else "keys"
        about = dict(
            kind=told("control_kind", usual),
            names=names,
            keymap=bindings_of(told("keymap", ())),
            settings=dict(told("control_settings", {})),
            rest=tuple(told("control_rest", ())),
        )
        if isinstance(space, gym.spaces.Discrete):
            return cls(space="Discrete", size=int(space.n), **about)
        if isinstance(space, gym.spaces.MultiBinary) and isinstance(space.n, (int, np.integer)):
            return cls(space="MultiBinary", size=int(space.n), **about)
        if isinstance(space, gym.spaces.Box) and len(space.shape) == 1:
            return cls(space="Box", size=int(space.shape[0]), **about)
        raise ValueError(
            f"action space {space}: expected Discrete, MultiBinary(n) or a flat Box; wrap the env to one of these"
        )

    def action_space(self) -> gym.Space:
        """The Gymnasium space of one control."""
        if self.space == "Discrete":
            return gym.spaces.Discrete(self.size)
        if self.space == "MultiBinary":
            return gym.spaces.MultiBinary(self.size)
        return gym.spaces.Box(-1.0, 1.0, (self.size,), np.float32)

    @property
    def width(self) -> int:
        """Numbers per control on disk and in a batch: 1 for Discrete, else `size`."""
        return 1 if self.space == "Discrete" else self.size

    def to_row(self, action) -> np.ndarray:
        """One action -> float32 [width], the form stored in datasets and fed to encoders.

        Raises:
            ValueError: the action is outside the space (expected and got are named).
        """
        space, value = self.action_space(), array_of(action)
        if self.space == "Discrete":
            fits = value.shape in ((), (1,)) and np.issubdtype(value.dtype, np.integer)
            fits = fits and space.contains(int(value.reshape(-1)[0]))
        elif self.space == "MultiBinary":
            fits = value.shape == (self.size,) and bool(np.isin(value, (0, 1)).all())
        else:
            fits = value.shape == (self.size,) and value.dtype.kind in "fiub"
            fits = fits and bool((np.abs(value) <= 1.0).all())
        if not fits:
            raise ValueError(self.misfit(value))
        return value.astype(np.float32).reshape(self.width)

    def misfit(self, value: np.ndarray) -> str:
        """What is wrong with an action outside the space, in a line: of many numbers only what tells."""
        space = self.action_space()
        if value.size <= FEW and self.size <= FEW:
            return f"action {value.tolist()!r} is outside {space}; controls are {self.names}"
        wrong = self.space == "Discrete" or value.shape != (self.size,)
        if wrong or value.dtype.kind not in "fiub":
            kind = "not numbers" if value.dtype.kind not in "fiub" else f"of shape {value.shape}"
            ends = f"{self.names[0]!r} to {self.names[-1]!r}" if self.names else "without names"
            return f"action is {kind}; expected {space}: {self.size} controls, {ends}"
        fine = np.isin(value, (0, 1)) if self.space == "MultiBinary" else np.abs(value) <= 1
        first, *more = np.flatnonzero(~fine)
        name = repr(self.names[first]) if self.names else f"element {first}"
        return f"action has {name} = {value[first]:.9g}, and {len(more)} more outside {space}"

    def from_row(self, row: np.ndarray):
        """float32 [width] -> an action of the space; the inverse of `to_row`."""
        if self.space == "Discrete":
            return int(row[0])
        return np.asarray(row).astype(np.int8 if self.space == "MultiBinary" else np.float32)

    def tamed(self, row: np.ndarray) -> np.ndarray:
        """A Box's row [width] from a device, made fit: not-a-number is no motion, what is too far ends at -1 or 1."""
        return np.nan_to_num(np.asarray(row, np.float32), nan=0.0, posinf=1.0, neginf=-1.0).clip(
            -1, 1
        )

    def neutral(self):
        """The control of someone who touches nothing: rest, zeros, or the Discrete action that is bound to no key."""
        return self.from_row(self._idle())

    def _idle(self) -> np.ndarray:
        if self.rest:
            return np.array(self.rest, np.float32)
        idle = [b.index for b in self.keymap if not b.keys and self.space == "Discrete"]
        return np.full(self.width, idle[0] if idle else 0, np.float32)

    def from_keys(self, held: set[str]):
        """The control for the keys held down (pygame key names)."""
        row = self._idle()
        longest = 0
        for b in self.keymap:
            if not set(b.keys) <= held:
                continue
            if self.space != "Discrete":
                row[b.index] += b.value
            elif len(b.keys) > longest:
                row[0], longest = b.index, len(b.keys)
        if self.space == "MultiBinary":
            row = (row > 0).astype(np.float32)
        elif self.space == "Box":
            row = row.clip(-1, 1)
        return self.from_row(row)

    def keys_to_action(self) -> dict[tuple[str, ...], Any]:
        """Every combination of the first key of each element -> action, as `gymnasium.utils.play` wants it."""
        if self.space == "Discrete":
            return {b.keys: b.index for b in self.keymap}
        first: dict[tuple[int, float], str] = {}
        for b in self.keymap:
            if len(b.keys) == 1:
                first.setdefault((b.index, b.value), b.keys[0])
        combos: dict[tuple[str, ...], Any] = {}
        for count in range(len(first) + 1):
            for keys in itertools.combinations(first.values(), count):
                combos[tuple(sorted(keys))] = self.from_keys(set(keys))
        return combos


@dataclass(frozen=True, kw_only=True)
class CarriedSpec:
    """Numbers that a game tells of itself at every frame, which a dream of it can carry along (carried/)."""

    kind: str = "numbers"  # or place, walk: of somebody who looks about
    names: tuple[str, ...]
    middle: tuple[float, ...]  # of each number, where it usually is
    spread: tuple[
        float, ...
    ]  # and by how much it is away from there; an angle that comes round has none
    reach: tuple[float, ...]  # by how much at most, in units of the spread: no dream goes beyond
    settings: dict[str, tuple[float, ...]] = dataclasses.field(default_factory=dict)  # of the kind

    def __post_init__(self):
        for name in ("names", "middle", "spread", "reach"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not isinstance(self.settings, dict) or not all(
            isinstance(value, (list, tuple)) for value in self.settings.values()
        ):
            raise ValueError(
                f"carried settings {self.settings!r:.200}; expected rows of numbers by name"
            )
        object.__setattr__(self, "settings", {n: tuple(v) for n, v in self.settings.items()})
        further = [v for row in self.settings.values() for v in row]
        numbers = (*self.middle, *self.spread, *self.reach, *further)
        good = all(type(v) in (int, float) and abs(v) < 1e9 for v in numbers)
        good = good and min((*self.spread, *self.reach), default=0) > 1e-9
        lengths = {len(self.names), len(self.middle), len(self.spread), len(self.reach)}
        texts = all(isinstance(name, str) for name in (self.kind, *self.names))
        named = texts and len(set(self.names)) == len(self.names) > 0
        if not good or not named or lengths != {len(self.names)}:
            raise ValueError(
                f"carried {self.names!r} of kind {self.kind!r}, middle {self.middle!r}, spread {self.spread!r}, reach "
                f"{self.reach!r}; expected a kind in a word, different names, and for each a number and two above 0"
            )

    @classmethod
    def of(cls, env: gym.Env) -> CarriedSpec | None:
        """What a Gymnasium env, or a wrapper around it, says by its attribute `carried`: a dict of these fields.

        An attribute of that name that is something else is the game's own affair.
        """
        told = env.get_wrapper_attr("carried") if env.has_wrapper_attr("carried") else None
        if isinstance(told, CarriedSpec) or not (isinstance(told, dict) and "names" in told):
            return told if isinstance(told, CarriedSpec) else None
        return strict(cls, told, "carried")

    @property
    def channels(self) -> int:
        """Channels of a latent that they take; an angle takes two."""
        return len(self.names) + (self.kind in ("place", "walk"))


FASTEST = 10_000  # frames per second that a world can have


@dataclass(frozen=True, kw_only=True)
class WorldSpec:
    """A world's rhythm and shapes. Shared by a game, its dataset and its dream."""

    game: str
    height: int  # pixels, a multiple of `stride`
    width: int  # pixels, a multiple of `stride`
    control: ControlSpec
    frame_fps: int = 24  # RGB frames per second
    k: int = 4  # frames per latent: 1, 2 or 4
    stride: int = 8  # pixels per latent cell, each way
    channels: int = 16  # of the picture in a latent
    carried: CarriedSpec | None = None  # numbers in its further channels
    scenes: dict[str, tuple[str, ...]] = dataclasses.field(
        default_factory=dict
    )  # attribute -> its values

    def __post_init__(self):
        if not isinstance(self.control, ControlSpec):
            object.__setattr__(self, "control", strict(ControlSpec, self.control, "control"))
        if not isinstance(self.carried, (CarriedSpec, type(None))):
            object.__setattr__(self, "carried", strict(CarriedSpec, self.carried, "carried"))
        if not isinstance(self.scenes, dict):
            raise ValueError(f"spec scenes={self.scenes!r}; expected {{attribute: its values}}")
        object.__setattr__(self, "scenes", {n: tuple(v) for n, v in self.scenes.items()})
        if not isinstance(self.game, str) or not self.game or not self.game.isprintable():
            raise ValueError(f"spec game={self.game!r:.200}; expected a name such as 'driving'")
        values = [value for attribute in self.scenes.values() for value in attribute]
        if not all(self.scenes.values()) or not all(isinstance(value, str) for value in values):
            raise ValueError(f"spec scenes={self.scenes!r}; expected texts, one or more for each")
        for name in ("height", "width", "frame_fps", "k", "stride", "channels"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"spec {name}={value!r}; expected a whole number >= 1")
        if self.frame_fps > FASTEST:
            raise ValueError(
                f"spec frame_fps={self.frame_fps}; expected at most {FASTEST:,} frames per second"
            )
        if self.k not in (1, 2, 4):
            raise ValueError(f"spec k={self.k}; expected 1, 2 or 4 frames per latent")
        if self.height % self.stride or self.width % self.stride:
            raise ValueError(
                f"frame {self.height}x{self.width} is not a multiple of the VAE stride {self.stride}"
            )

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(C, h, w) of one latent, with what is carried."""
        extra = self.carried.channels if self.carried else 0
        return self.channels + extra, self.height // self.stride, self.width // self.stride

    @property
    def steps_per_second(self) -> int:
        """Env steps (latents) per second: `metadata["render_fps"]`."""
        return max(1, round(self.frame_fps / self.k))

    def scene_row(self, scene: dict[str, str]) -> np.ndarray:
        """{attribute: value} -> int64 [attributes] of indices; attributes left out raise ValueError.

        Raises:
            ValueError: an unknown attribute or value, with the known ones.
        """
        unknown = sorted(set(scene) - set(self.scenes), key=str)
        if unknown:
            raise ValueError(
                f"scene attributes {unknown} unknown; this world has {dict(self.scenes)}"
            )
        row = []
        for name, values in self.scenes.items():
            if scene.get(name) not in values:
                raise ValueError(f"scene {name}={scene.get(name)!r}; expected one of {values}")
            row.append(values.index(scene[name]))
        return np.asarray(row, np.int64)

    def scene_of(self, row) -> dict[str, str]:
        """The inverse of `scene_row`."""
        return {
            name: values[int(i)] for (name, values), i in zip(self.scenes.items(), row, strict=True)
        }

    def to_dict(self) -> dict:
        """JSON form; `WorldSpec.from_dict` reads it back and rejects unknown keys."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: dict) -> WorldSpec:
        """Raises ValueError: unknown or missing keys, or values out of range."""
        return strict(cls, data, "spec")
