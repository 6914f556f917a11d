"""Write episodes: one video, one table and one sidecar each, the sidecar last."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import safetensors.numpy as safetensors

from aapt_env.data import files, lerobot, video
from aapt_env.data.episodes import Episode, read_digested, read_head, read_index
from aapt_env.spec import WorldSpec


class EpisodeWriter:
    """Appends episodes to a dataset, new or begun before.

    An episode's files are written whole, its sidecar last: whatever kills the process, a reader sees complete episodes
    only. `close` (or leaving a `with` block) gathers the metadata other tools read.

    Example:
        >>> with EpisodeWriter("data/mine", spec) as writer:  # doctest: +SKIP
        ...     writer.add(frames, controls, rewards, terminated=True, seed=7)

    Args:
        out: folder of the dataset.
        spec: what its frames and controls are.
        recipe: how it is recorded, where the same command shall continue it.
        gather_every: gather the metadata after so many episodes; 0 for only at `close`; None for never, where
            several processes write and another one gathers.

    Raises:
        ValueError: the folder holds a dataset of another spec or recipe, or something else.
        DatasetWriteError: the folder cannot be written.
    """

    def __init__(
        self,
        out: str | os.PathLike,
        spec: WorldSpec,
        *,
        recipe: dict | None = None,
        gather_every: int | None = 50,
    ):
        self.path, self.spec = Path(out), spec
        self._gather_every = gather_every
        self._next, self._added = 0, 0
        self._open(recipe)

    def add(
        self,
        frames: np.ndarray,
        controls: np.ndarray,
        rewards: np.ndarray,
        terminated: bool = False,
        truncated: bool = False,
        seed: int = 0,
        scene: dict[str, str] | None = None,
        policy: str = "",
        *,
        index: int | None = None,
        frames_real: int | None = None,
        latents: np.ndarray | None = None,
        carried: np.ndarray | None = None,
        **extras,
    ) -> int:
        """Write one episode.

        Args:
            frames: uint8 [F, H, W, 3], F = 1 + n k: the start frame and n whole latents.
            controls: float32 [F-1, width], rows of `ControlSpec.to_row`; row t led from frame t to frame t + 1.
            rewards: float32 [F-1].
            terminated: the game ended the episode.
            truncated: the clock did.
            seed: the game's seed.
            scene: the scene's attributes.
            policy: who played.
            index: its number in the dataset; the next free one by default.
            frames_real: frames the game made, where the last latent is filled by repeating its last frame.
            latents: float16 [1 + n, C, h, w] of a dream, kept where they are given.
            carried: float32 [F, names], what the game told of itself at each frame, where the spec has such numbers.
            extras: anything else worth keeping, in JSON types.

        Returns:
            The episode's number in the dataset.

        Raises:
            ValueError: a shape does not fit the spec, a reward is no finite number, or `extras` are not JSON.
            DatasetWriteError: disk full or folder unwritable; nothing written before is lost.
        """
        index = self._next if index is None else index
        controls, rewards = np.asarray(controls, np.float32), np.asarray(rewards, np.float32)
        self._check(frames, controls, rewards, carried)
        episode = Episode(
            index=index,
            length=len(frames),
            frames_real=frames_real or len(frames),
            seed=int(seed),
            scene=dict(scene or {}),
            policy=policy,
            terminated=bool(terminated),
            truncated=bool(truncated),
            total_reward=float(rewards.sum()),
            extras=extras,
            stats=lerobot.episode_stats(frames, controls, rewards, carried),
        )
        self._next = max(self._next, index + 1)
        self._write(episode, frames, controls, rewards, latents, carried)
        return index

    def gather(self) -> None:
        """Rewrite the metadata that covers all episodes."""
        lerobot.gather(self.path, self.spec, read_index(self.path))

    def close(self) -> None:
        """Gather the metadata; the dataset is then complete for other tools."""
        if self._gather_every is not None:
            self.gather()

    def abandon(self) -> None:
        """Take a dataset back that was begun here and has no episode; one that has any stays."""
        if self._began and not read_index(self.path):
            files.clear(self.path)

    def __len__(self) -> int:
        """One more than the greatest number of an episode there is."""
        return self._next

    def __enter__(self) -> EpisodeWriter:
        return self

    def __exit__(self, *error) -> None:
        self.close()

    def _write(
        self,
        episode: Episode,
        frames: np.ndarray,
        controls: np.ndarray,
        rewards: np.ndarray,
        latents: np.ndarray | None,
        carried: np.ndarray | None,
    ) -> None:
        """Write an episode's files, the sidecar last: until it is there, the episode is not."""
        sidecar = _as_json(episode)
        digests = video.digests(frames) if self._digested else None
        parts = {"digests": digests, "carried": carried}
        table = lerobot.rows(episode, controls, rewards, self.spec, **parts)
        video_file, data_file, record = (
            files.place(self.path, pattern, episode.index)
            for pattern in (files.VIDEO, files.DATA, files.RECORD)
        )
        record.unlink(missing_ok=True)
        files.write(video_file, video.encode(frames, self.spec.frame_fps))
        files.write(data_file, lerobot.parquet(table))
        if latents is not None:
            place = files.place(self.path, files.LATENTS, episode.index)
            files.write(place, safetensors.save({"latents": latents}))
        files.write(record, sidecar)
        self._added += 1
        if self._gather_every and self._added % self._gather_every == 0:
            self.gather()

    def _open(self, recipe: dict | None) -> None:
        """Begin the dataset, or check that the one there is the same."""
        self._began = not (self.path / files.DATASET).exists()
        if self._began:
            files.vacant(self.path)
            head = {"format": files.FORMAT, "spec": self.spec.to_dict(), "recipe": recipe}
            files.write_json(self.path / files.DATASET, head | {"digests": True})
            self._digested = True
            return
        spec, before = read_head(self.path)
        self._digested = read_digested(self.path)
        wanted, got = _essence(self.spec), _essence(spec)
        if recipe is not None:
            wanted, got = wanted | recipe, got | (before or {})
        differ = [n for n in wanted | got if wanted.get(n) != got.get(n)]
        if differ:
            said = "; ".join(f"{n} {got.get(n)!r}, asked {wanted.get(n)!r}" for n in differ)
            raise files.OtherDatasetError(
                f"{self.path} holds another dataset ({said}); "
                "continue it with the same settings, or give another folder"
            )
        if self._gather_every is None:
            return
        files.sweep(self.path)
        index = read_index(self.path)
        self._next = index[-1].index + 1 if index else 0
        if lerobot.stale(self.path, index):
            lerobot.gather(self.path, self.spec, index)

    def _check(self, frames, controls, rewards, carried) -> None:
        """Raises ValueError where a shape does not fit the spec, or a number cannot be learned from."""
        spec, steps = self.spec, len(frames) - 1
        if frames.dtype != np.uint8 or frames.shape[1:] != (spec.height, spec.width, 3):
            raise ValueError(
                f"frames {frames.dtype} {frames.shape}; expected uint8 [F, {spec.height}, {spec.width}, 3]"
            )
        if steps < spec.k or steps % spec.k:
            raise ValueError(f"{len(frames)} frames; expected 1 + n * {spec.k}, n at least 1")
        if np.shape(controls) != (steps, spec.control.width):
            raise ValueError(
                f"controls {np.shape(controls)}; expected ({steps}, {spec.control.width})"
            )
        if np.shape(rewards) != (steps,):
            raise ValueError(f"rewards {np.shape(rewards)}; expected ({steps},)")
        for step in np.flatnonzero(~np.isfinite(rewards))[:1]:
            raise ValueError(
                f"the reward of frame {step + 1} is {rewards[step]}; expected a finite number"
            )
        told = None if spec.carried is None else (len(frames), len(spec.carried.names))
        got = None if carried is None else np.shape(carried)
        if got != told:
            raise ValueError(f"carried {got}; expected {told}, the numbers of every frame")
        if carried is not None and not np.isfinite(carried).all():
            raise ValueError(
                "carried numbers that are not finite; expected what the game tells of itself"
            )


def _as_json(episode: Episode) -> bytes:
    try:
        return json.dumps(dataclasses.asdict(episode)).encode()
    except TypeError as error:
        raise ValueError(f"extras {episode.extras}: {error}; expected JSON types") from error


def _essence(spec: WorldSpec) -> dict:
    """What two recordings must share; keys and the VAE's sizes may differ."""
    control = {n: getattr(spec.control, n) for n in ("kind", "space", "size", "names")}
    frame = {n: getattr(spec, n) for n in ("game", "height", "width", "frame_fps", "k", "scenes")}
    if spec.carried is not None:
        frame["carried"] = dataclasses.asdict(spec.carried)
    return frame | {f"control {n}": value for n, value in control.items()}
