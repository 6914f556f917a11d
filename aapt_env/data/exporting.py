"""`aapt export`: a dataset of ours as one that Minari loads, written by Minari itself.

A transition is a frame, or a step of the dream's Env. Frames are those of the dataset's video and are stored as they
are, since Minari's default would be lossy JPEG.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from tqdm import tqdm

from aapt_env import __version__
from aapt_env.data.episodes import Episode, Episodes
from aapt_env.data.partial import all_or_nothing
from aapt_env.paths import folder_name

Rhythm = Literal["frame", "step"]
USUAL = "dream-driving-v0"
NEEDS = "an export to Minari needs minari: pip install 'aapt-env[minari]'"


def export(
    data: Path,
    name: str | None = None,
    out: Path | None = None,
    rhythm: Rhythm | None = None,
    progress: bool = True,
) -> Path:
    """Write a dataset as `minari.load_dataset(name)` finds it.

    Args:
        data: folder of a dataset of ours.
        name: Minari's id of it, NAME-v0; the game's by default.
        out: folder of Minari's datasets; by default `$MINARI_DATASETS_PATH`, or Minari's own.
        rhythm: what a transition is. "frame": each RGB frame, with the control that led to it. "step": each latent, as
            the dream's Env steps: its last frame, and the reward of all. By default step for a dream, frame for a game.
        progress: show a bar in episodes.

    Returns:
        The folder of the new dataset, OUT/NAME.

    Raises:
        ValueError: Minari is not installed, the name is none of its ids, it is taken, or `data` holds no episodes.
    """
    try:
        from minari.dataset.minari_dataset import parse_dataset_id
        from minari.dataset.minari_storage import MinariStorage
        from minari.storage.datasets_root_dir import get_dataset_path
    except ImportError as error:
        raise ValueError(NEEDS) from error
    episodes = Episodes.open(data)
    if not len(episodes):
        raise ValueError(f"{data} has no episodes yet; record some, then export it")
    name = name or f"{folder_name(episodes.spec.game)}-v0"
    try:
        parse_dataset_id(name)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"--name {name}: expected a name and a version, such as {USUAL}"
        ) from error
    place = (
        Path(out or get_dataset_path()).resolve() / name
    )  # Minari measures an absolute folder only
    if place.exists():
        raise ValueError(f"{place} is there already; give another --name, such as a next version")
    dream = episodes.spec.game.startswith("dream:")
    every: Rhythm = rhythm or ("step" if dream else "frame")
    spec, bar = episodes.spec, tqdm(total=len(episodes), unit="episode", disable=None)
    pictures = gym.spaces.Box(0, 255, (spec.height, spec.width, 3), np.uint8)
    place.parent.mkdir(parents=True, exist_ok=True)
    with all_or_nothing(place) as partial, bar:
        (partial / "data").mkdir(parents=True)
        storage = MinariStorage.new(
            partial / "data", pictures, spec.control.action_space(), env_spec(episodes, every), "hdf5",
            jpeg_encoding=False,
        )  # fmt: skip
        storage.update_metadata(_about(episodes, name, every))
        storage.update_episodes(_buffers(episodes, every, bar))
        storage.update_episode_metadata([_told(episode) for episode in episodes.index])
    return place


def env_spec(episodes: Episodes, rhythm: Rhythm) -> EnvSpec | None:
    """The environment whose steps are the transitions, for `recover_environment`; None where there is none.

    That is where the dataset was imported, and in frames of a dream, whose Env makes several in one step.
    """
    spec = episodes.spec
    kind, _, rest = spec.game.partition(":")
    if episodes.recipe is None:
        return None
    if kind == "dream":
        known = gym.spec("AAPT-World-v0")
        return dataclasses.replace(known, kwargs={"game": rest}) if rhythm == "step" else None
    size = {"name": spec.game, "height": spec.height, "width": spec.width}
    make = {"frame": ("make_game", size), "step": ("make_held", size | {"k": spec.k})}
    entry, kwargs = make[rhythm]
    return EnvSpec(
        f"{folder_name(spec.game)}-v0", entry_point=f"aapt_env.games:{entry}", kwargs=kwargs
    )


def _about(episodes: Episodes, name: str, rhythm: Rhythm) -> dict[str, Any]:
    """The dataset's metadata; `fps` is ours, transitions per second."""
    import minari

    spec, recipe = episodes.spec, episodes.recipe or {}
    policies = sorted({episode.policy for episode in episodes.index})
    by = f", by checkpoint {recipe['checkpoint']}" if "checkpoint" in recipe else ""
    return {
        "dataset_id": name,
        "minari_version": minari.__version__,
        "algorithm_name": "+".join(policies),
        "description": f"{spec.game}{by}: a transition per {rhythm}, frames as a near-lossless video has them",
        "requirements": [f"aapt-env>={__version__}"],
        "fps": spec.frame_fps if rhythm == "frame" else spec.steps_per_second,
    }


def _buffers(episodes: Episodes, rhythm: Rhythm, bar: tqdm) -> Iterator[Any]:
    """The episodes as Minari takes them, one at a time."""
    from minari.data_collector import EpisodeBuffer

    k = episodes.spec.k
    space = episodes.spec.control.action_space()
    for i, episode in enumerate(episodes.index):
        frames, rows, rewards = episodes.frames(i), episodes.controls(i), episodes.rewards(i)
        if rhythm == "step":
            frames, rows, rewards = frames[::k], rows[::k], rewards.reshape(-1, k).sum(1)
        else:  # a game that ended in mid-latent: what fills the latent is none of its frames
            steps = episode.frames_real - 1
            frames, rows, rewards = frames[: 1 + steps], rows[:steps], rewards[:steps]
        last = np.arange(len(rows)) == len(rows) - 1
        yield EpisodeBuffer(
            id=i,
            seed=episode.seed,
            observations=frames,
            actions=(rows if space.shape else rows[:, 0]).astype(space.dtype),
            rewards=rewards,
            terminations=last & episode.terminated,
            truncations=last & (not episode.terminated),
            infos={},
        )
        bar.update()


def _told(episode: Episode) -> dict[str, Any]:
    """What else is known of an episode, as attributes of numbers and texts."""
    told = {"policy": episode.policy, "scene": json.dumps(episode.scene), "number": episode.index}
    return told | {"extras": json.dumps(episode.extras)}
