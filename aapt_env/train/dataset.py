"""The dataset of a run: opened, or recorded first; split in two; its frames decoded once."""

from __future__ import annotations

import gc
import time
from pathlib import Path

import numpy as np

from aapt_env.data.episodes import HELD, Episodes, cores, load_frames
from aapt_env.data.files import OtherDatasetError
from aapt_env.train.folder import RunFolder
from aapt_env.train.recipes import Recipe


class Dataset:
    """Episodes that train, and those that are held out.

    Args:
        episodes: all of them.
        k: frames per latent.
    """

    def __init__(self, episodes: Episodes, k: int):
        self.episodes = episodes
        train, held = split(episodes, k)
        self.indices = {"train": train, "held": held}
        self.frames: dict[str, list[np.ndarray]] = {}

    def decoded(self, part: str) -> list[np.ndarray]:
        """The frames of the "train" or "held" episodes, each [F, H, W, 3] uint8, decoded once."""
        if part not in self.frames:
            self.frames[part] = load_frames(self.episodes, self.indices[part])
        return self.frames[part]

    def pixels(self, index: int) -> np.ndarray:
        """The frames of one episode, which is not decoded again."""
        for part, frames in self.frames.items():
            if index in self.indices[part]:
                return frames[self.indices[part].index(index)]
        return self.episodes.frames(index)

    def forget(self) -> None:
        """Free the decoded frames, also those of a stage that is over: it and its turns hold each other."""
        self.frames.clear()
        gc.collect()

    @property
    def unseen(self) -> list[int]:
        """Held-out episodes; where none is, those that train."""
        return self.indices["held"] or self.indices["train"]


def open_dataset(folder: RunFolder, data: Path, deadline: float) -> Dataset | None:
    """Open a run's dataset, recording it first when there is none.

    Args:
        folder: the run's.
        data: the dataset's folder.
        deadline: `time.monotonic()` at which recording stops.

    Returns:
        None when it is not complete by then.

    Raises:
        ValueError: frames of another size than the recipe's, or too few to train on.
    """
    if not _recorded(folder, data, deadline):
        return None
    episodes = Episodes.open(data)
    _check(episodes, data, folder.recipe)
    return Dataset(episodes, folder.recipe.k)


def _recorded(folder: RunFolder, data: Path, deadline: float) -> bool:
    """Record where there is no dataset, or where the run stopped recording. Returns whether there is enough now."""
    r, mark = folder.recipe, folder.recording
    where, asked = str(data.resolve()), f"{r.frame} {r.k} {r.max_seconds}"
    said, _, begun = mark.read_text().partition("\n") if mark.is_file() else ("", "", "")
    if said != where and (data / "meta" / "aapt.json").is_file():
        return True
    from aapt_env.data.record import record

    mark.write_text(f"{where}\n{begun if said == where else asked}")
    left = deadline - time.monotonic()
    try:
        made = record(
            game=folder.game, out=data, frames=r.frames, height=r.frame[0], width=r.frame[1], k=r.k,
            max_seconds=r.max_seconds, workers=min(cores(), 1 + r.frames // 10_000),
            time_limit=None if left == float("inf") else max(left, 1.0),
        )  # fmt: skip
    except OtherDatasetError:
        if said == where and begun != asked:  # the run's own, begun with other settings
            raise
        mark.unlink()  # since the recording was stopped somebody made one of their own here
        return True
    if made.frames < r.frames:
        return False
    mark.unlink()
    return True


def _check(episodes: Episodes, data: Path, r: Recipe) -> None:
    """Raise ValueError for a dataset that a recipe cannot train on."""
    spec = episodes.spec
    if (spec.height, spec.width, spec.k) != (*r.frame, r.k):
        raise ValueError(
            f"{data} has frames of {spec.height}x{spec.width} with k={spec.k}; recipe {r.name!r} wants "
            f"{r.frame[0]}x{r.frame[1]} with k={r.k}: record again, or choose another recipe (auto takes any)"
        )
    if len(episodes) < 2:
        raise ValueError(
            f"{data} has {len(episodes)} episodes; training needs 2 or more, one of them held out: "
            "record on, or import more"
        )
    if max(episodes.index[i].length for i in split(episodes, r.k)[0]) < 1 + 2 * r.k:
        raise ValueError(
            f"{data}: no episode to train on has two latents of {r.k} frames; record with --k 1 and train with "
            "--recipe auto, or take a game that is not over as soon"
        )


def split(episodes: Episodes, k: int) -> tuple[list[int], list[int]]:
    """(train, held-out) episodes; of very short ones more are held out, so that windows fit in."""
    share, needed = 0.05, 1 + HELD * k
    parts = episodes.split(share)
    while share < 0.4 and sum(episodes.index[i].length for i in parts[1]) < needed:
        share *= 2
        parts = episodes.split(share)
    return parts
