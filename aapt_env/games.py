"""Games by name, at frame rhythm; and the wrapper that gives any of them the dream's rhythm.

`driving` (ours, in `games/aapt_games`), the name of a plugin (an installed package with an entry point in the group
`aapt_env.games`), `gym:ID` (any Gymnasium environment) or `dream:NAME` (a trained world).
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import sys
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

import gymnasium as gym
import numpy as np

from aapt_env import pixels
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
    "world_spec",
]
PLUGINS = "aapt_env.games"  # the entry point group of games in other packages


@dataclass(frozen=True)
class Known:
    """A game that goes by a name of its own."""

    entry: str  # "module:Class"
    source: str  # the package that brings it


def known_games() -> dict[str, Known]:
    """{name: Known}: ours, where the games package is installed, then plugins. No game is imported for it."""
    ensure_games()
    try:
        ours = dict(importlib.import_module("aapt_games").GAMES)
    except ModuleNotFoundError as error:
        if error.name != "aapt_games":
            raise
        ours = {}
    found = {name: Known(entry, "aapt-env") for name, entry in ours.items()}
    for point in sorted(entry_points(group=PLUGINS)):
        source = f"{point.dist.name} {point.dist.version}" if point.dist else point.module
        found.setdefault(point.name, Known(point.value, source))
    return found


def describe() -> dict[str, str]:
    """{name: one line about it} of all known games; why, where one cannot be loaded."""
    lines = {}
    for name, known in known_games().items():
        try:
            lines[name] = _first_line(load_entry(known.entry))
        except (
            Exception
        ) as error:  # somebody else's module: whatever is wrong with it, the others are listed
            lines[name] = f"cannot be loaded: {type(error).__name__}: {error}"
    return lines


def load_entry(entry: str) -> Any:
    """`"module:name"` -> the object.

    Raises:
        ValueError: not of that form, or no such module or name.
    """
    module, _, name = entry.partition(":")
    if not module or not name or module.startswith("."):
        raise ValueError(f"{entry!r}: expected 'module:name'")
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if not module.startswith(error.name or " "):
            raise
        raise ValueError(
            f"{entry!r}: there is no module {error.name!r}; is its folder on PYTHONPATH?"
        ) from error
    except AttributeError as error:
        raise ValueError(f"{entry!r}: module {module!r} has no {name!r}") from error


def load_own(entry: str) -> Any:
    """`load_entry` of something of the user's: the current folder is searched first."""
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
        importlib.invalidate_caches()
    return load_entry(entry)


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
        ValueError: an unknown game, or an environment that shows no pixels; says which games there are.
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
    try:
        return load_entry(games[name].entry)(height=height, width=width)
    except ImportError as error:
        raise ValueError(
            f"game {name!r} (of {games[name].source}) needs {error.name or error}, which is not installed: "
            f"pip install 'aapt-env[{name}]', or what {games[name].source} says"
        ) from error


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
    if env.has_wrapper_attr("frame_fps"):
        fps = env.get_wrapper_attr("frame_fps")
    else:
        fps = env.metadata.get("render_fps") or 24
    shape = env.observation_space.shape or ()
    if len(shape) != 3 or shape[2] != 3:
        raise ValueError(f"{game}: observations are {env.observation_space}; expected RGB frames")
    return WorldSpec(
        game=game,
        height=int(shape[0]),
        width=int(shape[1]),
        control=ControlSpec.of(env),
        frame_fps=max(1, round(fps)),
        k=k,
        carried=CarriedSpec.of(env),
        scenes=dict(getattr(env.unwrapped, "scenes", {})),
    )


def control_mask(spec: WorldSpec) -> np.ndarray:
    """[H, W] bool: pixels on which the game displays the control; none where it says nothing, or cannot be made."""
    none = np.zeros((spec.height, spec.width), bool)
    try:
        game = make_game(spec.game, spec.height, spec.width)
    except (ValueError, gym.error.Error) as error:
        print(f"no mask, the game cannot be made: {' '.join(str(error).split())}")
        return none
    game.reset(seed=0)
    found = shown_controls(game, none)
    game.close()
    return found


def shown_controls(game: gym.Env, none: np.ndarray) -> np.ndarray:
    """[H, W] bool: the mask that a game, just reset, supplies itself; `none` where it supplies none."""
    if not game.has_wrapper_attr("control_mask"):
        return none
    return np.asarray(game.get_wrapper_attr("control_mask")(), bool)


class HoldControl(gym.Wrapper):
    """The dream's rhythm for any game: one step holds the control for the k frames of one latent.

    The observation is the last frame. `info` is the game's own plus

    | key | what |
    |---|---|
    | `frames` | uint8 [k, H, W, 3], all frames of the latent; at reset the one that is there, k times |
    | `rewards` | float32 [k], reward of each frame; their sum is the step's reward |
    | `carried_frames` | float32 [k, names], `info["carried"]` at each of them, of a game that has such numbers |
    | `frames_real` | how many of `frames` the game made: k, or fewer when it ended in mid-latent; 1 at reset |

    Shapes are the same at reset and in steps: Gymnasium's vector envs stack what is in `info`.

    When the game ends in mid-latent, its last frame is repeated to fill the latent, with reward 0.

    Args:
        env: a game at frame rhythm, observations uint8 [H, W, 3].
        k: frames per latent.
        name: of the game, where another one shall be made of it.
    """

    def __init__(self, env: gym.Env, k: int = 4, name: str | None = None):
        super().__init__(env)
        self.k, self.name = k, name
        self.carried = CarriedSpec.of(env)
        self._second: HoldControl | None = None
        self.frame_fps = max(1, round(env.metadata.get("render_fps") or 24))
        self.metadata = {**env.metadata, "render_fps": max(1, round(self.frame_fps / k))}

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        """Reset the game; `info["frames"]` holds its first frame, k times."""
        obs, info = self.env.reset(seed=seed, options=options)
        frames = np.repeat(np.array(obs)[None], self.k, axis=0)
        extra = {"frames": frames, "rewards": np.zeros(self.k, np.float32)}
        extra |= self._told([info])
        return np.array(obs), {**info, **extra, "frames_real": 1}

    def step(self, action):
        """Hold `action` for k frames, or until the game ends."""
        frames, rewards = [], np.zeros(self.k, np.float32)
        terminated = truncated = False
        info: dict = {}
        infos: list[dict] = []
        while len(frames) < self.k and not (terminated or truncated):
            obs, reward, terminated, truncated, info = self.env.step(action)
            rewards[len(frames)] = reward
            frames.append(np.array(obs))
            infos.append(info)
        real = len(frames)
        frames += [frames[-1]] * (self.k - real)
        extra = {"frames": np.stack(frames), "rewards": rewards, "frames_real": real}
        info = {**info, **extra, **self._told(infos)}
        return frames[-1], float(rewards.sum()), bool(terminated), bool(truncated), info

    def _told(self, infos: list[dict]) -> dict[str, np.ndarray]:
        """The numbers of k frames, the last ones repeated where there are fewer; nothing of a game without.

        Raises:
            ValueError: the game says that it has some, and they are not there, or are none.
        """
        if self.carried is None:
            return {}
        names, told = self.carried.names, []
        for info in infos:
            try:
                told.append(np.asarray(info["carried"], np.float32))
            except (KeyError, TypeError, ValueError):
                told.append(np.zeros(0, np.float32))
            if told[-1].shape != (len(names),) or not np.isfinite(told[-1]).all():
                raise ValueError(
                    f"the game has info['carried'] {info.get('carried')!r:.80}; expected finite numbers for {names}, "
                    "as its attribute `carried` says"
                )
        return {"carried_frames": np.stack(told + [told[-1]] * (self.k - len(told)))}

    def second(self) -> HoldControl:
        """The same game once more, for whoever plays in both: made when first asked for, closed with this one.

        Where a game says what its `smallest` size is, it has that; where it has a switch `drawn`, it draws nothing
        but its first frame, since whoever plays it sees its state.
        """
        if self._second is None:
            assert self.name is not None, "a game without a name cannot be made twice"
            height, width, _ = self.observation_space.shape or (64, 64, 3)
            smallest = getattr(self.unwrapped, "smallest", None)
            if isinstance(smallest, int):
                height = width = smallest
            game = make_game(self.name, height, width)
            if getattr(game.unwrapped, "drawn", None) is True:
                game.unwrapped.drawn = False
            self._second = HoldControl(game, self.k, self.name)
        return self._second

    def close(self) -> None:
        """Close the game, and the second one."""
        if self._second is not None:
            self._second.close()
        super().close()


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


def _first_line(thing: Any) -> str:
    return (thing.__doc__ or "").strip().partition("\n")[0]
