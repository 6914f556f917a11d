"""The meter on disk and at work: an observer with what it was trained on and how well it reads held-out real frames.

    meter.safetensors       weights in bf16, the mask, features of real frames
    meter.json              sizes, control, accuracy on held-out frames, a sha256

Loading runs no code: JSON with known keys, and safetensors.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from aapt_env.evaluate import reading
from aapt_env.model.observer import Observer, ObserverConfig
from aapt_env.paths import checkpoint_dirs, folder_name, run_dir
from aapt_env.spec import ControlSpec, WorldSpec
from aapt_env.strict import strict
from aapt_env.tensors import half, put, read_tensors, sha256, write_tensors

FORMAT = 2
WEIGHTS, ABOUT = "meter.safetensors", "meter.json"
BATCH = 256  # stacks looked at in one go
Obeyed = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True, kw_only=True)
class About:
    """What meter.json holds."""

    format: int
    game: str
    sizes: dict  # of ObserverConfig
    control: dict  # of ControlSpec
    sha256: str  # of the weights
    accuracy: dict[str, float]  # on held-out real frames, per element; 1 / classes is guessing
    training: dict  # steps, frames, seed


@dataclass(frozen=True)
class Seen:
    """What an observer makes of clips of T latents. The first and last few cannot be read: -1 and NaN there."""

    reading: np.ndarray  # [n, T, elements] int8 classes
    value: np.ndarray  # [n, T, size] float32; of a Box, the control itself, -1 to 1
    features: np.ndarray  # [n, T, d] float32, standardised; learned ones, then PLAIN
    distance: np.ndarray  # [n, T] float32, to the nearest real features
    strangeness: np.ndarray  # [n, T] float32, of patches: `Observer.strangeness`


@dataclass(frozen=True)
class Meter:
    """A loaded observer."""

    observer: Observer
    about: About
    hash: str  # sha256 of meter.json, which holds that of the weights

    @property
    def far(self) -> float:
        """Distance from all real frames at which a frame is broken: twice the held-out 99.9th percentile."""
        return 2 * float(self.observer.far)

    @property
    def torn(self) -> float:
        """Strangeness above which a frame is torn: the held-out 99.9th percentile."""
        return float(self.observer.torn)

    @property
    def mask(self) -> np.ndarray:
        """[H, W] bool, the pixels it does not see."""
        return self.observer.mask.cpu().numpy()

    def check(self, spec: WorldSpec) -> None:
        """Raises ValueError where it was made for frames or controls other than a world's."""
        c, control = self.observer.config, self.observer.control
        mine = (c.height, c.width, c.k, control.space, control.size)
        other = (spec.height, spec.width, spec.k, spec.control.space, spec.control.size)
        if mine != other:
            raise ValueError(
                f"the meter reads (height, width, k, controls) = {mine}, this world is {other}; "
                f"train one for it with 'aapt meter {spec.game}'"
            )

    def watch(self, clips: np.ndarray) -> Seen:
        """Look at clips uint8 [n, 1 + T*k, H, W, 3], frame 0 being the one before the first latent."""
        return watch(self.observer, clips)


@torch.inference_mode()
def watch(observer: Observer, clips: np.ndarray) -> Seen:
    """Read every latent of clips that has enough frames on both sides; see `Meter.watch`."""
    c, device = observer.config, observer.mean.device
    n, latents = len(clips), (clips.shape[1] - 1) // c.k
    seen = Seen(
        np.full((n, latents, len(reading.elements(observer.control))), -1, np.int8),
        np.full((n, latents, observer.control.size), np.nan, np.float32),
        np.full((n, latents, c.seen), np.nan, np.float32),
        np.full((n, latents), np.nan, np.float32),
        np.full((n, latents), np.nan, np.float32),
    )
    places = [(i, t) for i in range(n) for t in range(c.before, latents - c.after)]
    for begin in range(0, len(places), BATCH):
        part = places[begin : begin + BATCH]
        firsts = [(i, (t - c.before) * c.k) for i, t in part]
        stacks = np.stack([clips[i, f : f + c.span] for i, f in firsts])
        frames = torch.from_numpy(stacks).to(device)
        logits, features = observer(frames)
        at = tuple(np.array(part).T)
        seen.reading[at] = reading.read(observer.control, logits)
        seen.value[at] = logits.tanh().cpu().numpy()
        seen.features[at] = features.cpu().numpy()
        seen.distance[at] = observer.distance(features).cpu().numpy()
        seen.strangeness[at] = observer.strangeness(frames).cpu().numpy()
    return seen


def watcher(spec: WorldSpec, device: torch.device | None = None) -> Obeyed | None:
    """What a training asks now and then: how well are controls obeyed? None where the game has no fitting meter.

    Returns:
        f(clips uint8 [n, 1 + T*k, H, W, 3], rows [n, T, width]) -> share of controls read back right, classes alike.
    """
    folder = find(spec.game)
    if folder is None:
        return None
    try:
        meter = load(folder, device)
        meter.check(spec)
    except ValueError as error:
        print(f"control is not watched: {error}")
        return None

    def obeyed(clips: np.ndarray, rows: np.ndarray) -> float:
        seen = meter.watch(clips).reading
        known, control = seen[0, :, 0] >= 0, spec.control
        truth = reading.classes(control, rows)[:, known]
        tallies = reading.tally(truth, seen[:, known], reading.count(control))
        keep = reading.varied(tallies)
        return float(reading.accuracy(tallies.sum(0)[keep]).mean()) if keep.any() else 1.0

    return obeyed


def save(folder: Path, game: str, observer: Observer, accuracy: dict, training: dict) -> None:
    """Write a meter's two files; the JSON last."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = half(observer)
    tensors["bank"] = tensors["bank"].bfloat16()
    write_tensors(folder, {WEIGHTS: tensors})
    about = About(
        format=FORMAT,
        game=game,
        sizes=dataclasses.asdict(observer.config),
        control=dataclasses.asdict(observer.control),
        sha256=sha256((folder / WEIGHTS).read_bytes()),
        accuracy=accuracy,
        training=training,
    )
    partial = folder / (ABOUT + ".partial")
    partial.write_text(json.dumps(dataclasses.asdict(about), indent=1) + "\n")
    partial.replace(folder / ABOUT)


def load(folder: Path, device: torch.device | None = None) -> Meter:
    """Read a meter.

    Raises:
        ValueError: missing, damaged, changed or contradictory; says what.
    """
    path = Path(folder) / ABOUT
    if not path.is_file():
        raise ValueError(
            f"{folder} is no meter: it has no {ABOUT}; train one with 'aapt meter GAME'"
        )
    raw = path.read_bytes()
    try:
        about = strict(About, json.loads(raw), str(path))
        if about.format != FORMAT:
            raise ValueError(f"format {about.format}; this version reads {FORMAT}")
        control = strict(ControlSpec, about.control, "control")
        observer = Observer(strict(ObserverConfig, about.sizes, "sizes"), control)
    except (ValueError, TypeError, AttributeError, RuntimeError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({' '.join(str(error).split())})") from error
    put(observer, read_tensors(folder, WEIGHTS, about.sha256), str(path.with_name(WEIGHTS)))
    observer.eval().requires_grad_(False).to(device or torch.device("cpu"))
    return Meter(observer, about, sha256(raw))


def find(game: str, checkpoint: Path | None = None) -> Path | None:
    """A game's meter: beside the checkpoint, in checkpoints/GAME or in runs/GAME/meter; None without one."""
    places = [checkpoint] if checkpoint is not None else []
    places += [folder / folder_name(game) for folder in checkpoint_dirs()] + [home(game)]
    return next((place for place in places if (place / ABOUT).is_file()), None)


def home(game: str) -> Path:
    """Where a game's meter is trained."""
    return run_dir(game) / "meter"


def ship(source: Path, out: Path) -> Path:
    """Copy a meter to `out`/<game>, after reading it once to be sure that it is whole; returns the folder."""
    place = out / folder_name(load(source).about.game)
    place.mkdir(parents=True, exist_ok=True)
    (place / ABOUT).unlink(missing_ok=True)
    for name in (WEIGHTS, ABOUT):
        shutil.copyfile(Path(source) / name, place / name)
    return place
