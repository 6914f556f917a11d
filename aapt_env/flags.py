"""What the command lines share: kinds of flags, how a default is named in --help, and how an error is said."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from typing import Annotated, Any

from tyro.conf import Positional, UseAppendAction, arg
from tyro.constructors import PrimitiveConstructorSpec

UNITS = {"": 1, "k": 1_000, "m": 1_000_000, "b": 1_000_000_000}
LARGEST = 4096  # pixels of a frame's side


def parse_count(text: str) -> int:
    """`5000`, `200k`, `1.5M` -> a whole number >= 1.

    Raises:
        ValueError: anything else; says what was expected.
    """
    match = re.fullmatch(r"(\d[\d_]*(?:\.\d+)?)([kmb]?)", text.strip().lower())
    value = float(match[1].replace("_", "")) * UNITS[match[2]] if match else 0.0
    if value < 1 or abs(value - round(value)) > 1e-6:
        raise ValueError(f"expected a whole number >= 1 such as 5000, 200k or 1.5M, got {text!r}")
    return round(value)


def parse_seconds(text: str) -> float:
    """`90s`, `9m`, `2h`, `1h30m` -> seconds, above 0.

    Raises:
        ValueError: anything else; says what was expected.
    """
    number = r"(\d+(?:\.\d+)?)"
    match = re.fullmatch(f"(?:{number}h)?(?:{number}m)?(?:{number}s)?", text.strip().lower())
    hours, minutes, seconds = (float(part or 0) for part in match.groups()) if match else (0, 0, 0)
    total = 3600 * hours + 60 * minutes + seconds
    if total <= 0:
        raise ValueError(
            f"expected a time with its unit such as 90s, 9m, 2h or 1h30m, got {text!r}"
        )
    return total


Words = Annotated[tuple[tuple[str, ...], ...], UseAppendAction]  # those after each --scene


def parse_scene(words: tuple[tuple[str, ...], ...]) -> dict[str, str]:
    """`--scene time=night weather=rain --scene road=gravel`: {"time": "night", "weather": "rain", "road": "gravel"}.

    Raises:
        ValueError: a word that is not NAME=VALUE, or two values for one name.
    """
    scene: dict[str, str] = {}
    for word in (word for after in words for word in after):
        name, equals, value = word.partition("=")
        if not (name and equals and value):
            raise ValueError(f"--scene {word!r}: expected NAME=VALUE such as time=night")
        if scene.setdefault(name, value) != value:
            raise ValueError(f"--scene {name}={scene[name]} and {word}: give one of them")
    return scene


def _read_by(parse: Callable[[str], Any], metavar: str) -> PrimitiveConstructorSpec:
    """Tell tyro to read one word with `parse`; its ValueError becomes the message under the flag."""
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=lambda words: parse(words[0]),
        is_instance=lambda value: value is None or isinstance(value, (int, float)),
        str_from_instance=lambda value: ["" if value is None else f"{value:g}"],
    )


Count = Annotated[int, _read_by(parse_count, "COUNT")]
Seconds = Annotated[float, _read_by(parse_seconds, "TIME")]
# Read as one kind rather than as "None or a time", whose messages name what tyro tried in between.
MaybeCount = Annotated[int | None, _read_by(parse_count, "COUNT")]
MaybeSeconds = Annotated[float | None, _read_by(parse_seconds, "TIME")]
Game = Annotated[Positional[str], arg(metavar="GAME")]


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


def check_size(height: int, width: int) -> None:
    """Raises ValueError for pixels of a frame that no world can have, or no machine can hold."""
    if not all(8 <= side <= LARGEST and side % 8 == 0 for side in (height, width)):
        raise ValueError(
            f"frames of {height}x{width} pixels: expected multiples of 8, and at most {LARGEST}"
        )


def load(module: str) -> Any:
    """The module that does a verb's work, loaded when the verb is used."""
    return importlib.import_module(module)
