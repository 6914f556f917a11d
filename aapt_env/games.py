"""Games by name, at frame rhythm, or in `HoldControl` at the dream's.

`driving` (ours, in `games/aapt_games`), the name of a plugin (an installed package with an entry point in the group
`aapt_env.games`), `gym:ID` (any Gymnasium environment) or `dream:NAME` (a trained world).
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points

import gymnasium as gym
import numpy as np

from aapt_env import pixels
from aapt_env.entries import import_entry
from aapt_env.guard import STRANGE, guarded, told
from aapt_env.hold import HoldControl, fps_of
from aapt_env.paths import ensure_games, folder_name
from aapt_env.pixels import PixelView
from aapt_env.spec import CarriedSpec, ControlSpec, WorldSpec

__all__ = [
    "HoldControl",
    "PixelView",
    "control_mask",
    "describe",
    "folder_name",
    "known_games",
    "make_game",
    "make_held",
    "passed_over",
    "world_spec",
]
PLUGINS = "aapt_env.games"  # the entry point group of games in other packages
OURS = "aapt-env"


@dataclass(frozen=True)
class Known:
    """A game that goes by a name of its own."""

    entry: str  # "module:Class"
    source: str  # the package that brings it


def known_games() -> dict[str, Known]:
    """{name: Known}: ours, where the games package is installed, then plugins. No game is imported for it."""
    found: dict[str, Known] = {}
    for name, known in _claims():
        found.setdefault(name, known)
    return found


def passed_over() -> list[tuple[str, Known]]:
    """(name, Known) of plugins that cannot be had, since `known_games` has another game of that name."""
    known = known_games()
    return [(name, claim) for name, claim in _claims() if claim != known[name]]


def _claims() -> Iterator[tuple[str, Known]]:
    """Who wants which name: ours first."""
    ensure_games()
    try:
        ours = dict(importlib.import_module("aapt_games").GAMES)
    except ModuleNotFoundError as error:
        if error.name != "aapt_games":
            raise
        ours = {}
    yield from ((name, Known(entry, OURS)) for name, entry in ours.items())
    for point in sorted(entry_points(group=PLUGINS)):
        source = f"{point.dist.name} {point.dist.version}" if point.dist else point.module
        yield point.name, Known(point.value, source)


def describe() -> dict[str, str]:
    """{name: one line about it} of all known games; why, where one cannot be loaded."""
    return {name: _line(known.entry) for name, known in known_games().items()}


def _line(entry: str) -> str:
    """The first line of a game's docstring; of a plugin that fails, however it does, why."""
    try:
        return (import_entry(entry).__doc__ or "").strip().partition("\n")[0]
    except STRANGE as error:
        return f"cannot be loaded: {told(error)}"


def make_game(name: str, height: int = 64, width: int = 64, device: str = "auto") -> gym.Env:
    """Make a game whose observations are RGB frames.

    Args:
        name: `driving`, `gym:ID` or `dream:NAME`. A dream comes at its own rhythm and size; all others come at frame
            rhythm, one frame per step.
        height: pixels.
        width: pixels.
        device: of a dream; games run on the CPU.

    Returns:
        An env with observations uint8 [height, width, 3].

    Raises:
        ValueError: an unknown game (says which there are), an environment that shows no pixels, or one that fails.
    """
    kind, _, rest = name.partition(":")
    if kind == "gym" and rest:
        return pixels.make(rest, height, width)
    if kind == "dream" and rest:
        return _dream(rest, device)
    games = known_games()
    if name not in games:
        known = ", ".join(sorted(games)) or "none: the package aapt_games is not installed"
        raise ValueError(
            f"unknown game {name!r}; known: {known}; any Gymnasium environment is written gym:ID, "
            "such as gym:CarRacing-v3, and a trained world dream:NAME"
        )
    return _make_known(name, games[name], height, width)


def _make_known(name: str, known: Known, height: int, width: int) -> gym.Env:
    """A game that goes by a name of its own. Raises ValueError: it needs what is not installed, fails, or is none."""
    whose, ours = f"game {name!r} (of {known.source})", known.source == OURS
    wanted = "expected a class or function that takes height and width and makes a Gymnasium Env"
    passing = (ImportError, ValueError) if ours else (ImportError,)  # ours speak in sentences
    try:
        with guarded(whose, "when it was made", wanted, passing):
            made = import_entry(known.entry)(height=height, width=width)
    except ImportError as error:
        raise ValueError(
            f"{whose} needs {error.name or error}, which is not installed: "
            f"pip install 'aapt-env[{name}]', or what {known.source} says"
        ) from error
    if not isinstance(made, gym.Env):
        raise ValueError(f"{whose}: {known.entry} makes {made!r:.80}; {wanted}")
    return made


def make_held(
    name: str, height: int = 64, width: int = 64, k: int = 4, device: str = "auto"
) -> gym.Env:
    """`make_game` at the dream's rhythm: one step is one latent, with all its frames in `info["frames"]`."""
    env = make_game(name, height, width, device)
    return env if name.startswith("dream:") else HoldControl(env, k, name)


def world_spec(env: gym.Env, game: str, k: int) -> WorldSpec:
    """The WorldSpec of a game: its frame size, control, scenes and frames per second.

    Args:
        env: a game at frame rhythm, the same in `HoldControl`, or a dream.
        game: its name.
        k: frames per latent.

    Raises:
        ValueError: the game cannot be a world (its control space, its size), or a dream has another k; says why.
    """
    dream = getattr(env.unwrapped, "spec_world", None)
    if dream is not None:
        if dream.k != k:
            raise ValueError(
                f"{game} makes {dream.k} frames per latent, asked for {k}; use k={dream.k}"
            )
        return dataclasses.replace(dream, game=game)
    with guarded(game, "when it was asked what it is", passing=(ValueError,)):
        held = env.has_wrapper_attr("frame_fps")
        fps = env.get_wrapper_attr("frame_fps") if held else fps_of(env, game)
        scenes = getattr(env.unwrapped, "scenes", {})
        shape = env.observation_space.shape or ()
        if len(shape) != 3 or shape[2] != 3:
            raise ValueError(
                f"{game}: observations are {env.observation_space}; expected RGB frames"
            )
        return WorldSpec(
            game=game,
            height=int(shape[0]),
            width=int(shape[1]),
            control=ControlSpec.of(env),
            frame_fps=max(1, round(fps)),
            k=k,
            carried=CarriedSpec.of(env),
            scenes=dict(scenes) if isinstance(scenes, Mapping) else scenes,
        )


def control_mask(spec: WorldSpec) -> np.ndarray:
    """[H, W] bool: pixels on which the game displays the control; none where it says nothing, or cannot be made."""
    none = np.zeros((spec.height, spec.width), bool)
    try:
        with contextlib.closing(make_held(spec.game, spec.height, spec.width, spec.k)) as game:
            game.reset(seed=0)
            return shown_controls(game, none)
    except (ValueError, gym.error.Error) as error:
        print(f"no mask, the game cannot be made: {' '.join(str(error).split())}")
        return none


def shown_controls(game: gym.Env, none: np.ndarray) -> np.ndarray:
    """[H, W] bool: the mask that a game, just reset, supplies itself; `none` where it supplies none."""
    if not game.has_wrapper_attr("control_mask"):
        return none
    return np.asarray(game.get_wrapper_attr("control_mask")(), bool)


def replayable(name: str) -> bool:
    """Whether a game can be made beside a dream that names it, without importing what a stranger's file chose."""
    kind, _, rest = name.partition(":")
    if kind != "gym":
        return name in known_games()
    return rest in gym.registry or (":" not in rest and pixels.home(rest) is not None)


def repeats(env: gym.Env) -> bool:
    """Whether a game at frame rhythm is a function of its seed: some seed late, or not at all."""
    looks = []
    for seed in (1, 2, 1):
        obs, _ = env.reset(seed=seed)
        env.action_space.seed(0)
        looks.append([obs, env.step(env.action_space.sample())[0]])
    return bool(np.array_equal(looks[0], looks[2]))


def _dream(name: str, device: str) -> gym.Env:
    """The dream of a game, which already comes at latent rhythm."""
    try:
        module = importlib.import_module("aapt_env.env")
    except ModuleNotFoundError as error:
        raise ValueError(
            f"dream:{name} needs {error.name!r}, which is not installed; "
            "install aapt_env with all its dependencies"
        ) from error
    return module.AAPTEnv(game=name, device=device)
