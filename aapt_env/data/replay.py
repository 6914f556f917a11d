"""Play recorded episodes once more, from their seeds and controls, and compare: games and dreams alike.

The video of a dataset is lossy, so frames are compared by their digests, which were taken before encoding; what differs
is then measured against the video, and a video that cannot be read differs. A dataset made before there were digests is
compared with its video alone.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from aapt_env import games
from aapt_env.data import video
from aapt_env.data.episodes import Episode, Episodes, read_digested
from aapt_env.data.player import options, paid
from aapt_env.spec import ControlSpec

LIKE = 40.0  # dB between a frame and its video above which they count as equal where there are no digests


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Where a replay leaves the recording."""

    frame: int  # of the episode, from 0
    what: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What replaying one episode found."""

    index: int  # its number in the dataset
    frames: int
    difference: Difference | None

    def __str__(self):
        if self.difference is None:
            return f"episode {self.index}: {self.frames:,} frames, all equal"
        return f"episode {self.index}: frame {self.difference.frame} is the first that differs: {self.difference.what}"


def replay(
    data: str | os.PathLike,
    checkpoint: str | None = None,
    game: str | None = None,
    numbers: Sequence[int] = (),
) -> Iterator[Verdict]:
    """Replay a dataset, episode by episode.

    Args:
        data: its folder.
        checkpoint: of a dream: the folder of the checkpoint that dreamt it; by default it is looked up by name.
        game: the recorded game's name, said by whoever trusts it; needed where making the game imports a package that
            the dataset chose.
        numbers: which episodes; none for all.

    Yields:
        A verdict per episode, as each is done.

    Raises:
        ValueError: no seeds in it, another checkpoint, a game that is not there, an unknown episode; says what to do.
            All of that is known before the first verdict.
    """
    episodes = Episodes.open(data)
    spec, dreamt_by = episodes.spec, _checkpoint(episodes)
    picked = _picked(episodes, numbers)
    name = _name(spec.game, checkpoint, game)
    device = _device(episodes.index[picked[0]])
    with contextlib.closing(games.make_held(name, spec.height, spec.width, spec.k, device)) as env:
        _same_world(env, episodes, dreamt_by)
        if not read_digested(episodes.path):
            print(
                f"no digests in {episodes.path}: held against its video, which is lossy, to {LIKE:g} dB"
            )
        said = ""
        for i in picked:
            episode, told = episodes.index[i], _otherwise(env, episodes.index[i])
            if told not in ("", said):
                print(told)
            said = told
            found = _first_difference(env, episodes, i)
            yield Verdict(index=episode.index, frames=episode.length, difference=found)


def _checkpoint(episodes: Episodes) -> str | None:
    """Hash of the checkpoint that dreamt it; None of a game.

    Raises:
        ValueError: not recorded by `aapt record`, or a dream by a version that kept no hash.
    """
    if not isinstance(episodes.recipe, dict):
        raise ValueError(
            f"{episodes.path} has no seeds: it was imported, or written by a program of one's own; "
            "expected a dataset of 'aapt record', which can be played again"
        )
    found, game = episodes.recipe.get("checkpoint"), episodes.spec.game
    if game.startswith("dream:") and found is None:
        raise ValueError(
            f"{episodes.path} does not say which checkpoint dreamt it, an older version recorded it; "
            f"record it again with 'aapt record {game}'"
        )
    return found


def _picked(episodes: Episodes, numbers: Sequence[int]) -> list[int]:
    """Places in the index. Raises ValueError: an episode that is not there, or none at all."""
    place = {episode.index: i for i, episode in enumerate(episodes.index)}
    lacking = [number for number in numbers if number not in place]
    if lacking or not place:
        has = f"{min(place)} to {max(place)}" if place else "none"
        raise ValueError(f"{episodes.path} has no episodes {lacking or ''}; there are {has}")
    return [place[number] for number in numbers] or list(place.values())


def _name(recorded: str, checkpoint: str | None, game: str | None) -> str:
    """What `make_held` shall make. Raises ValueError: a game that only its user may name, or another one."""
    if game not in (None, recorded):
        raise ValueError(f"--game {game}: the dataset is of {recorded}; give that, or leave it out")
    if recorded.startswith("dream:"):
        return recorded if checkpoint is None else f"dream:{checkpoint}"
    if checkpoint is not None:
        raise ValueError(f"--checkpoint is for dreams, the dataset is of the game {recorded}")
    if game is None and not games.replayable(recorded):
        raise ValueError(
            f"the dataset is of {recorded!r}, which is not installed here or is of a package that would be "
            f"imported because the dataset says so; if you trust it, say so with --game {recorded}"
        )
    return recorded


def _dreamt(episode: Episode) -> dict:
    """How an episode was dreamt, as its sidecar tells; empty of a game's."""
    told = episode.extras.get("dream") if isinstance(episode.extras, dict) else None
    return told if isinstance(told, dict) else {}


def _device(episode: Episode) -> str:
    """The device that dreamt an episode, where it is here; else auto."""
    device = _dreamt(episode).get("device")
    if device is None:
        return "auto"
    import torch  # here: replaying a game needs none

    there = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    return device if device in there else "auto"


def _same_world(env: gym.Env, episodes: Episodes, checkpoint: str | None) -> None:
    """Raises ValueError: another checkpoint, or a game whose frames or controls are no longer those."""
    now = getattr(env.unwrapped, "checkpoint_hash", None)
    if now != checkpoint:
        folder = getattr(env.unwrapped, "folder", "")
        raise ValueError(
            f"{episodes.path} was dreamt by checkpoint {checkpoint}, and {folder} is {now}; "
            "give the folder of the former with --checkpoint, or record again with the latter"
        )
    had = episodes.spec
    spec = games.world_spec(env, had.game, had.k)
    for name in ("height", "width", "frame_fps"):
        if getattr(spec, name) != getattr(had, name):
            raise ValueError(_changed(had.game, name, getattr(had, name), getattr(spec, name)))
    for name in ("space", "size"):
        before, after = getattr(had.control, name), getattr(spec.control, name)
        if before != after:
            raise ValueError(_changed(had.game, f"control {name}", before, after))


def _changed(game: str, name: str, before: Any, after: Any) -> str:
    return f"{game} has another {name} now, {after!r}, and had {before!r} when it was recorded; record it again"


def _otherwise(env: gym.Env, episode: Episode) -> str:
    """A line about what was otherwise when an episode was dreamt; "" where nothing was, or it is a game's."""
    now, then = getattr(env.unwrapped, "making", {}), _dreamt(episode)
    differ = [f"{n} {then[n]}, now {now[n]}" for n in now if n in then and then[n] != now[n]]
    if not differ:
        return ""
    return f"dreamt with {'; '.join(differ)}: rounding can make other frames of it"


def _first_difference(env: gym.Env, episodes: Episodes, i: int) -> Difference | None:
    """Play an episode until it leaves the recording, or to its end."""
    episode, control, k = episodes.index[i], episodes.spec.control, episodes.spec.k
    rows, stored = episodes.controls(i), Stored(episodes, i)
    assert isinstance(episodes.recipe, dict)
    _, info = env.reset(seed=episode.seed, options=options(episodes.recipe.get("scene")))
    found = stored.frames(0, info["frames"][-1:])
    for first in range(1, episode.length, k):
        if found is not None:
            break
        some = rows[first - 1 : first - 1 + k]
        action = _action(some, control)
        if action is None:
            return Difference(
                frame=first, what=f"its controls {some.tolist()} are none of this world"
            )
        _, reward, terminated, truncated, info = env.step(action)
        found = stored.frames(first, info["frames"]) or stored.rewards(first, paid(reward, info, k))
        found = found or _ending(episode, first + k - 1, terminated, truncated)
    return found or stored.unreadable()


def _action(rows: np.ndarray, control: ControlSpec) -> Any:
    """The action that float32 rows [k, width] held for a latent; None where they are none."""
    action = control.from_row(rows[0])
    try:
        held = (rows == control.to_row(action)).all()
    except ValueError:
        return None
    return action if held else None


def _ending(episode: Episode, last: int, terminated: bool, truncated: bool) -> Difference | None:
    """Whether the step that made frame `last` ended the episode as it did when recorded."""
    ends = last == episode.length - 1
    if (terminated or truncated) and not ends:
        return Difference(
            frame=last, what=f"here it ends, the recorded one has {episode.length} frames"
        )
    if ends and terminated != episode.terminated:
        now, then = ("goes on" if not each else "ends" for each in (terminated, episode.terminated))
        return Difference(frame=last, what=f"the game {now} after it, the recorded one {then}")
    return None


class Stored:
    """An episode as it was recorded, to hold what is played against."""

    def __init__(self, episodes: Episodes, i: int):
        self.episodes, self.i = episodes, i
        self.digests, self.paid = episodes.digests(i), episodes.rewards(i)
        self.shown = episodes.frames(i) if self.digests is None else None
        self.before: np.ndarray | None = None  # the last frame that was equal

    def unreadable(self) -> Difference | None:
        """What is wrong with the video, of which digests say nothing; trainings read it."""
        try:
            self.episodes.frames(self.i)
        except ValueError as error:
            return Difference(frame=0, what=f"as recorded, but not what is kept: {error}")
        return None

    def frames(self, first: int, frames: np.ndarray) -> Difference | None:
        """The first of `frames` uint8 [n, H, W, 3] that is not the recorded one; `first` is the number of frames[0]."""
        for t, frame in enumerate(frames, first):
            if not self._equal(t, frame):
                return Difference(frame=t, what=self._by(t, frame))
            self.before = frame
        return None

    def rewards(self, first: int, rewards: np.ndarray) -> Difference | None:
        """The first of `rewards` float32 [k], of the steps to frames `first` and on, that is not the recorded one."""
        had = self.paid[first - 1 : first - 1 + len(rewards)]
        off = np.flatnonzero(rewards != had)
        if not len(off):
            return None
        j = int(off[0])
        return Difference(frame=first + j, what=f"it pays {rewards[j]:g}, and paid {had[j]:g}")

    def _equal(self, t: int, frame: np.ndarray) -> bool:
        """Whether a frame is the recorded one: to the bit, or without digests as far as the video can tell."""
        if self.digests is not None:
            return bool(video.digests(frame[None])[0] == self.digests[t])
        error = np.square(frame.astype(np.float64) - self._shown(t)).mean()
        return bool(error <= 255**2 / 10 ** (LIKE / 10))

    def _by(self, t: int, frame: np.ndarray) -> str:
        """How far a frame is from the recorded one, of which the video is left."""
        off = np.abs(frame - self._shown(t))
        own = ""
        if self.before is not None and t > 0:
            lost = np.abs(self.before - self._shown(t - 1)).mean()
            own = f", which is off by {lost:.2f} itself in the frame before"
        return f"{off.mean():.2f} grey levels on average and {off.max():.0f} at most from the video{own}"

    def _shown(self, t: int) -> np.ndarray:
        """Frame t of the video, float64 [H, W, 3]."""
        shown = self.episodes.frames(self.i, t, t + 1)[0] if self.shown is None else self.shown[t]
        return shown.astype(np.float64)
