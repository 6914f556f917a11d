"""Recording: the latents on screen become episodes of a dataset, written beside the play."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from aapt_env.paths import folder_name, writable
from aapt_env.play.session import Latent
from aapt_env.spec import WorldSpec

LONGEST = 1440  # frames of one episode; longer play goes on in the next, so that memory stays small


def recording_place(folder: Path, game: str) -> Path:
    """`recordings/driving-20250131-174502`: a place of its own for each recording.

    Raises:
        ValueError: the folder cannot be written; says why and what to do.
    """
    writable(folder, "--out DIR")
    stem = f"{folder_name(game)}-{time.strftime('%Y%m%d-%H%M%S')}"
    place, n = folder / stem, 1
    while list(folder.glob(f"{place.name}*")):
        place, n = folder / f"{stem}-{n}", n + 1
    return place


class Recorder:
    """Collects latents while it is on; episodes are encoded and written on a thread of their own.

    Whatever cannot be written raises OSError or ValueError; `give_up` then ends the recording, and play goes on.

    Args:
        folder: where recordings go; each gets a dataset folder of its own, made at its first episode.
        spec: the world's spec, stored with the dataset; its game names the folder.
        extras: stored with each episode, in JSON types.
    """

    def __init__(self, folder: Path, spec: WorldSpec, **extras):
        self.folder, self.spec, self.extras = folder, spec, extras
        self.on = False
        self.frames = 0  # recorded since it was switched on
        self.place: Path | None = None
        self.saved: list[Path] = []
        self.error: Exception | None = None  # the last failure to write
        self._latents: list[Latent] = []
        self._writer = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="recorder")
        self._jobs: list[Future] = []

    def toggle(self, last: Latent | None) -> str:
        """Start with the frame on screen, or stop and save; returns what to tell the player."""
        if self.on:
            return self.stop()
        self.place = recording_place(self.folder, self.spec.game)
        self.on, self.frames = True, 0
        if last is not None and not last.over:
            self._latents = [last]
        return f"Recording to {self.place}"

    def add(self, latent: Latent) -> None:
        """Take one more latent; a reset or an end closes the episode."""
        if not self.on:
            return
        if latent.number == 0:
            self._flush()
        self._latents.append(latent)
        self.frames += len(latent.frames)
        if latent.over:
            self._flush()
            self._latents = []
        elif sum(len(x.frames) for x in self._latents) >= LONGEST:
            self._flush()
            self._latents = [latent]

    def stop(self) -> str:
        """Save what is not saved yet and finish the dataset; waits for the files."""
        if not self.on:
            return "Not recording"
        self._flush()
        self.on, self._latents = False, []
        if self._writer is not None:
            self._jobs.append(self._thread.submit(self._writer.close))
        for job in self._jobs:
            job.result()
        wrote, self._jobs, self._writer = self._writer is not None, [], None
        if not wrote:
            return "Nothing was recorded"
        assert self.place is not None
        self.saved.append(self.place)
        return f"Saved {self.frames} frames to {self.place}"

    def close(self) -> None:
        """Stop recording and end the thread."""
        try:
            self.stop()
        except (OSError, ValueError) as error:
            self.give_up(error)
            raise
        finally:
            self._thread.shutdown()

    def give_up(self, error: Exception) -> None:
        """End a recording that cannot be written; the episodes that are whole stay."""
        self.error = error
        if self.place is not None and any(self.place.glob("meta/aapt/*/*.json")):
            self.saved = [*dict.fromkeys([*self.saved, self.place])]
        self.on, self._latents, self._jobs, self._writer = False, [], [], None

    def _flush(self) -> None:
        latents, self._latents = self._latents, []
        if len(latents) < 2:
            return
        for job in self._jobs:
            if job.done():
                job.result()
        if self._writer is None:
            from aapt_env.data.writer import EpisodeWriter

            assert self.place is not None
            self._writer = EpisodeWriter(self.place, self.spec)
        self._jobs.append(self._thread.submit(_write, self._writer, latents, self.extras))


def _write(writer, latents: list[Latent], extras: dict) -> None:
    """One episode: the last frame before it, then the frames, controls and rewards of each latent."""
    first, steps = latents[0], latents[1:]
    unmade = len(steps[-1].frames) - steps[-1].real
    frames = np.concatenate([first.frames[-1:], *(x.frames for x in steps)])
    told = [x.carried for x in latents if x.carried is not None]
    writer.add(
        frames,
        np.concatenate([np.repeat(x.row[None], len(x.frames), axis=0) for x in steps]),
        np.concatenate([x.rewards for x in steps]),
        terminated=steps[-1].terminated,
        truncated=steps[-1].truncated,
        seed=first.seed,
        scene=first.scene,
        policy="+".join(sorted({x.by for x in steps})),
        frames_real=len(frames) - unmade,
        carried=np.concatenate([told[0][-1:], *told[1:]]) if told else None,
        **extras,
        first_latent=first.number,  # of the episode that was played; 0 when recorded from its start
    )
