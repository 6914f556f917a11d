"""Any Gymnasium environment as a game: RGB frames of one size, and one flat control.

Frames of any size and aspect are resized to fill the frame, unless that would stretch one side by more than 1.5 times
the other: then the picture keeps its aspect, and black fills the rest.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import load_env_creator

from aapt_env import keymap
from aapt_env.guard import guarded
from aapt_env.hold import reward_of

STRETCH = 1.5  # one side against the other, beyond which a picture keeps its aspect
LEAST = 8  # pixels: what is smaller is a table of numbers, not a picture (MiniGrid's 7x7x3)
OLD = "Gymnasium's API is expected: wrap the environment, or convert an old gym one with shimmy"


HOMES = {  # what to import for ids that are registered outside of Gymnasium
    "ALE": "ale_py",
    "MiniGrid": "minigrid",
    "BabyAI": "minigrid",
}

# package -> why it cannot draw in this process; asked again, MuJoCo would end it
FATAL: dict[str, str] = {}

SHOWN = {"CarRacing": 0.875}  # ids whose frames show the controls below that share of the height


def make(env_id: str, height: int, width: int) -> gym.Env:
    """An environment by its Gymnasium id, as a game.

    Raises:
        ValueError: Gymnasium cannot make it, it fails, or it shows no pixels; says why.
    """
    try:
        with guarded(f"gym:{env_id}", "when it was made", passing=(gym.error.Error, ImportError)):
            if package := home(env_id):
                importlib.import_module(package)  # importing it registers its environments
            env = _make_rendering(env_id)
    except (gym.error.Error, ImportError) as error:
        raise ValueError(
            f"gym:{env_id}: Gymnasium cannot make it: {error}; an id that a package registers is written "
            "gym:PACKAGE:ID"
        ) from error
    with guarded(f"gym:{env_id}", "when it was asked what it is", passing=(ValueError,)):
        return PixelView(env, height, width)


def home(env_id: str) -> str | None:
    """The package that registers an id, where we know it."""
    return HOMES.get(env_id.split("-")[0].split("/")[0])


def _make_rendering(env_id: str) -> gym.Env:
    """Make an environment so that it renders RGB arrays; without, where it does not know of rendering."""
    about = getattr(_maker(env_id), "metadata", None)  # of a wrapper's class, a property
    modes = about.get("render_modes") if isinstance(about, dict) else None
    if modes is not None and "rgb_array" not in modes:
        return gym.make(env_id, disable_env_checker=True)
    try:
        return gym.make(env_id, render_mode="rgb_array", disable_env_checker=True)
    except TypeError as error:
        if "render_mode" not in str(error):
            raise
        return gym.make(env_id, disable_env_checker=True)


def _maker(env_id: str) -> Any:
    """What makes an environment: its class, where it is registered with one."""
    module, colon, name = env_id.rpartition(":")
    if colon:
        importlib.import_module(module)
    entry = gym.spec(name).entry_point
    return load_env_creator(entry) if isinstance(entry, str) else entry


class PixelView(gym.Wrapper):
    """Any environment as a game: RGB frames of one size for observations, Box controls in [-1, 1].

    Frames are the observations where those are RGB images, else what `render()` draws, else grey or RGBA observations,
    else the one image in a dict of observations. Floats, other integers, grey, RGBA and channels-first are converted. A
    Box control is scaled by its largest bound, so that 0 stays 0, and clipped into the Box. Discrete ones count from 0.

    Args:
        env: made with `render_mode="rgb_array"` where it has that.
        height: pixels of a frame.
        width: pixels of a frame.

    Raises:
        ValueError: it shows no pixels, or has an unbounded Box of controls; later, where a frame is no picture.
    """

    def __init__(self, env: gym.Env, height: int, width: int):
        super().__init__(env)
        self.height, self.width = height, width
        self.observation_space = gym.spaces.Box(0, 255, (height, width, 3), np.uint8)
        self._look, self._white = _source(env)
        self.action_space, self._act = _flat(env)
        self.control_names = keymap.names_of(env)
        self.keymap = keymap.of_env(env, self.control_names)

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        """Reset the environment and show its first frame."""
        try:
            got = self.env.reset(seed=seed, options=options)
        except TypeError as error:
            if "argument" not in str(error):
                raise
            raise ValueError(
                f"{self.env}: reset takes no seed and options ({error}); {OLD}"
            ) from error
        if not (isinstance(got, tuple) and len(got) == 2 and isinstance(got[1], dict)):
            raise ValueError(f"{self.env}: reset gives no (observation, info); {OLD}")
        return self._frame(got[0]), got[1]

    def step(self, action):
        """Step the environment and show its frame."""
        got = self.env.step(self._act(action))
        if len(got) != 5:
            raise ValueError(f"{self.env}: step gives {len(got)} values, expected 5; {OLD}")
        obs, reward, terminated, truncated, info = got
        return self._frame(obs), reward_of(reward), bool(terminated), bool(truncated), info

    def control_mask(self) -> np.ndarray:
        """[height, width] bool: pixels that display the control, where we know the environment."""
        if self.env.has_wrapper_attr("control_mask"):
            import cv2

            mask = np.asarray(self.env.get_wrapper_attr("control_mask")(), np.uint8)
            size = self.width, self.height
            return cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST).astype(bool)
        mask = np.zeros((self.height, self.width), bool)
        name = self.env.spec.id.split("-")[0] if self.env.spec else ""
        mask[int(SHOWN.get(name, 1.0) * self.height) :] = True
        return mask

    def _frame(self, obs: Any) -> np.ndarray:
        """uint8 [height, width, 3] of what there is to see; a copy."""
        image = self._drawn(obs)
        if isinstance(image, (list, tuple)) and image:
            image = image[-1]  # some render a list of frames
        try:
            image = np.asarray(image)
            if image.dtype.kind == "f" and self._white is None and image.size and image.max() > 1:
                self._white = 255.0  # floats of a range that nobody stated, and not [0, 1]
            return fit(
                rgb(image, self._white or (1.0 if image.dtype.kind in "fb" else 255.0)),
                self.height,
                self.width,
            )
        except ValueError as error:
            raise ValueError(f"{self.env}: {error}") from error

    def _drawn(self, obs: Any) -> Any:
        """What the environment draws; drawing may need what is not here."""
        if FATAL:
            parts = {p for c in type(self.unwrapped).__mro__ for p in c.__module__.split(".")}
            for package in parts & FATAL.keys():
                raise self._undrawn(FATAL[package])
        try:
            return self._look(obs)
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            if type(error).__name__ == "FatalError":
                FATAL[type(error).__module__.partition(".")[0]] = why
            raise self._undrawn(why) from error

    def _undrawn(self, why: str) -> ValueError:
        """The sentence that says so."""
        return ValueError(
            f"{self.env} cannot draw its frames here: {why}; MuJoCo without a display wants MUJOCO_GL=egl (with a GPU) "
            "or MUJOCO_GL=osmesa, set before the process begins"
        )


def rgb(image: np.ndarray, white: float = 255.0) -> np.ndarray:
    """A picture as uint8 RGB.

    Args:
        image: [H, W], [H, W, 1 | 3 | 4] or [1 | 3, H, W], of bool, whole numbers or floats from 0 to `white`.
        white: the value of white, where the picture is not uint8.

    Returns:
        uint8 [H, W, 3]; it may share memory with `image`.

    Raises:
        ValueError: another shape or type, or values out of range.
    """
    shape = image.shape
    if image.ndim == 3 and shape[2] not in (1, 3, 4) and shape[0] in (1, 3):
        image = np.moveaxis(image, 0, 2)
    if image.ndim == 2:
        image = image[..., None]
    fits = image.ndim == 3 and image.shape[2] in (1, 3, 4) and image.size
    if not fits or image.dtype.kind not in "buif":
        raise ValueError(
            f"a frame is {image.dtype} {shape}; expected a picture: [H, W] or [H, W, 1, 3 or 4]"
        )
    if image.dtype != np.uint8:
        scaled = image.astype(np.float32) * np.float32(255 / white)
        if not np.isfinite(scaled).all() or scaled.min() < 0 or scaled.max() > 255.5:
            raise ValueError(
                f"a frame has values from {image.min()} to {image.max()}; expected 0 to {white:g}"
            )
        image = np.rint(scaled).astype(np.uint8)
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image[..., :3]


def fit(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bring a picture to a size by the rule above: uint8 [H', W', 3] -> [height, width, 3], always a copy."""
    import cv2  # here, so that importing this module stays quick

    if image.shape[:2] == (height, width):
        return image.copy()
    down, across = height / image.shape[0], width / image.shape[1]
    size = (width, height)
    if max(down, across) > STRETCH * min(down, across) * (1 + 1e-6):
        zoom = min(down, across)
        size = (max(1, round(image.shape[1] * zoom)), max(1, round(image.shape[0] * zoom)))
    how = cv2.INTER_AREA if min(down, across) < 1 else cv2.INTER_NEAREST
    small = cv2.resize(np.ascontiguousarray(image), size, interpolation=how)
    if small.shape[:2] == (height, width):
        return small
    out = np.zeros((height, width, 3), np.uint8)
    top, left = (height - small.shape[0]) // 2, (width - small.shape[1]) // 2
    out[top : top + small.shape[0], left : left + small.shape[1]] = small
    return out


def _source(env: gym.Env) -> tuple[Callable[[Any], Any], float | None]:
    """Where frames come from, and the value of white where the space tells it."""
    space = env.observation_space
    if _channels(space) == 3:
        return lambda obs: obs, _white(space)
    if env.render_mode == "rgb_array":
        return lambda obs: env.render(), None
    if _channels(space):
        return lambda obs: obs, _white(space)
    if isinstance(space, gym.spaces.Dict):
        kinds = {name: _channels(part) for name, part in space.items()}
        found = [name for name in kinds if kinds[name] in (1, 3)] or [n for n in kinds if kinds[n]]
        if len(found) == 1:
            return lambda obs: obs[found[0]], _white(space[found[0]])
    raise ValueError(
        f"{env} has neither image observations nor an rgb_array render mode: its observations are "
        f"{' '.join(str(space).split()):.120}; wrap it so that it shows pixels"
    )


def _channels(space: gym.Space) -> int:
    """3 for RGB images, 1 for grey ones, 4 for RGBA, 0 for what is no image."""
    shape = space.shape or ()
    if not isinstance(space, gym.spaces.Box) or len(shape) not in (2, 3):
        return 0
    if len(shape) == 3 and shape[0] in (1, 3) and shape[2] not in (1, 3, 4):
        shape = (*shape[1:], shape[0])
    ranged = space.dtype == np.uint8 or (space.low.min() == 0 and space.high.max() in (1, 255))
    if not ranged or min(shape[:2]) < LEAST or (len(shape) == 3 and shape[2] not in (1, 3, 4)):
        return 0
    return shape[2] if len(shape) == 3 else 1


def _white(space: Any) -> float:
    return 255.0 if space.dtype == np.uint8 else float(space.high.max())


def _flat(env: gym.Env) -> tuple[gym.Space, Callable[[Any], Any]]:
    """One flat control space, and the way back to the environment's own action."""
    space: Any = env.action_space
    if isinstance(space, gym.spaces.Discrete):
        return gym.spaces.Discrete(int(space.n)), lambda action: int(action) + int(space.start)
    if isinstance(space, gym.spaces.MultiBinary):
        flat = gym.spaces.MultiBinary(int(np.prod(space.shape)))
        return flat, lambda action: np.asarray(action, np.int8).reshape(space.shape)
    if not isinstance(space, gym.spaces.Box):
        return space, lambda action: action
    if not space.is_bounded():
        raise ValueError(f"{env}: controls {space}; expected finite bounds: clip them")
    scale = np.maximum(np.abs(space.low), np.abs(space.high))

    def act(action):
        wanted = np.asarray(action, np.float64).reshape(space.shape) * scale
        wanted = wanted if space.dtype.kind == "f" else np.rint(wanted)
        return np.clip(wanted, space.low, space.high).astype(space.dtype)

    return gym.spaces.Box(-1.0, 1.0, (int(np.prod(space.shape)),), np.float32), act
