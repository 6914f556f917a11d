"""Windows of frames and of latents, drawn by the dice. All of a dataset's latents fit in memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aapt_env.train.dice import Dice


@dataclass(frozen=True)
class Clip:
    """A batch of windows. Each begins with an alone latent, as play does."""

    latents: Tensor  # [B, 1 + T, C, h, w]; the first is the alone-encoding of the frame before the window
    controls: Tensor  # [B, T, k, width]
    scene: Tensor  # [B, attributes] int64

    def head(self, length: int) -> Clip:
        """Its first `length` latents after the start latent."""
        return Clip(self.latents[:, : 1 + length], self.controls[:, :length], self.scene)


class FrameClips:
    """Windows of 1 + nk frames out of episodes held in memory: the GPU's where they fit, else the CPU's.

    Args:
        frames: of each episode, uint8 [F, H, W, 3].
        k: frames per latent.
        device: where windows are wanted.
        joined: whether all frames are copied into one tensor on the device; None: on a GPU where they take half of the
            free memory at most. Either way the same dice give the same windows.
    """

    def __init__(
        self,
        frames: list[np.ndarray],
        k: int,
        device: torch.device | str = "cpu",
        joined: bool | None = None,
    ):
        self.k, self.device = k, torch.device(device)
        self.lengths = np.array([len(f) for f in frames])
        self.first = np.concatenate([[0], self.lengths.cumsum()[:-1]])
        joined = _fit(frames, self.device) if joined is None else joined
        self.frames = _join(frames, self.device) if joined else frames

    def sample(self, dice: Dice, batch: int, latents: int) -> Tensor:
        """[B, 1 + latents*k, H, W, 3] uint8 on the device, uniform over all windows."""
        span = 1 + latents * self.k
        return self.at(*draw(dice, batch, self.lengths, span, "frames"), span)

    def at(self, episodes: np.ndarray, starts: np.ndarray, span: int) -> Tensor:
        """[B, span, H, W, 3] uint8 on the device: the windows that start at frame `starts` of `episodes`."""
        if isinstance(self.frames, Tensor):
            first = torch.from_numpy(self.first[episodes] + starts)
            return self.frames[(first[:, None] + torch.arange(span)).to(self.device)]
        cuts = [self._cut(self.frames, *at, span) for at in zip(episodes, starts, strict=True)]
        return torch.from_numpy(np.stack(cuts)).to(self.device)

    @staticmethod
    def _cut(frames: list[np.ndarray], episode: int, start: int, span: int) -> np.ndarray:
        """`span` frames; past the episode's end those of the next."""
        cut = frames[episode][start : start + span]
        while len(cut) < span:
            episode += 1
            cut = np.concatenate([cut, frames[episode][: span - len(cut)]])
        return cut


def sent(indices: Tensor, device: torch.device) -> Tensor:
    """Indices to where they are used; to a GPU without waiting for what it does now."""
    if device.type != "cuda":
        return indices
    return indices.pin_memory().to(device, non_blocking=True)


def _fit(frames: list[np.ndarray], device: torch.device) -> bool:
    """Whether frames take half of a GPU's free memory at most."""
    if device.type != "cuda":
        return False
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    free = torch.cuda.mem_get_info(device)[0] + kept
    return 0 < 2 * sum(f.nbytes for f in frames) <= free


def _join(frames: list[np.ndarray], device: torch.device) -> Tensor:
    """All frames as one tensor [total, H, W, 3]; copied episode by episode, never twice on the CPU."""
    total, shape = sum(map(len, frames)), frames[0].shape[1:]
    out = torch.empty(total, *shape, dtype=torch.uint8, device=device)
    for part, episode in zip(out.split([len(f) for f in frames]), frames, strict=True):
        part.copy_(torch.from_numpy(episode))
    return out


def draw(
    dice: Dice, batch: int, lengths: np.ndarray, span: int, unit: str
) -> tuple[np.ndarray, np.ndarray]:
    """Windows of `span`, uniform over all: their episodes and starts.

    Where most of what was recorded lies in episodes shorter than that, windows run over into the next one: a game of
    short episodes is learned with its new beginnings.

    Raises:
        ValueError: all episodes together are shorter.
    """
    room = np.maximum(lengths - span + 1, 0)
    if 2 * lengths[room > 0].sum() >= lengths.sum():
        episodes = dice.pick.choice(len(room), batch, p=room / room.sum())
        return episodes, np.array([int(dice.pick.integers(room[e])) for e in episodes])
    total, first = int(lengths.sum()), np.concatenate([[0], lengths.cumsum()[:-1]])
    if total < span:
        raise ValueError(
            f"all episodes together have {total} {unit}, fewer than {span}; record more"
        )
    places = dice.pick.integers(total - span + 1, size=batch)
    episodes = np.searchsorted(first, places, side="right") - 1
    return episodes, places - first[episodes]


@dataclass(frozen=True)
class EncodedEpisode:
    """One episode as the generator knows it."""

    latents: Tensor  # [T, C, h, w] float16; the first alone, the others in mid-stream
    alone: Tensor  # [T, C, h, w] float16; the last frame of each latent, encoded alone
    controls: Tensor  # [T - 1, k, width] float32; controls[i] made latents[i + 1]
    scene: Tensor  # [attributes] int64
    rewards: Tensor | None = (
        None  # [T - 1], rewards[i] was paid while latents[i + 1] was made; None: nothing was
    )
    ended: bool = False  # the game ended it, with its last latent


class LatentClips:
    """Windows of latents out of encoded episodes."""

    def __init__(self, episodes: list[EncodedEpisode], device: torch.device | str = "cpu"):
        self.latents = torch.cat([e.latents for e in episodes]).to(device)
        self.alone = torch.cat([e.alone for e in episodes]).to(device)
        # one row of padding per episode keeps controls on the index of the latent they made
        self.controls = torch.cat(
            [
                torch.cat([e.controls.new_zeros(1, *e.controls.shape[1:]), e.controls])
                for e in episodes
            ]
        ).to(device)
        self.scene = torch.stack([e.scene for e in episodes]).to(device)
        self.lengths = np.array([len(e.latents) for e in episodes])
        paid = [
            torch.zeros(len(e.latents) - 1) if e.rewards is None else e.rewards for e in episodes
        ]
        self.rewards = torch.cat([torch.nn.functional.pad(r, (1, 0)) for r in paid]).to(device)
        self.ended = np.array([e.ended for e in episodes])
        self.first = np.concatenate([[0], self.lengths.cumsum()[:-1]])
        ends = torch.zeros(len(self.latents), dtype=torch.bool)
        ends[self.first[self.ended] + self.lengths[self.ended] - 1] = True
        self.ends = ends.to(device)  # the latents that end an episode

    @property
    def longest(self) -> int:
        """Latents after the start latent of the longest episode."""
        return int(self.lengths.max()) - 1

    def sample(self, dice: Dice, batch: int, length: int) -> Clip:
        """Uniform over all windows of `length` latents after the start latent."""
        return self.at(*self.windows(dice, batch, length), length)

    def windows(self, dice: Dice, batch: int, length: int) -> tuple[np.ndarray, np.ndarray]:
        """Episodes and starts of `batch` such windows. Raises ValueError: there are not as many latents."""
        return draw(dice, batch, self.lengths, length + 1, "latents")

    def at(self, episodes: np.ndarray, starts: np.ndarray, length: int) -> Clip:
        """The windows that start at latent `starts` of `episodes`."""
        rows = self.rows(episodes, starts, length)
        latents = self.latents[rows]
        latents[:, 0] = self.alone[rows[:, 0]]
        scene = self.scene[sent(torch.from_numpy(episodes), rows.device)]
        return Clip(latents.float(), self.controls[rows[:, 1:]], scene)

    def rows(self, episodes: np.ndarray, starts: np.ndarray, length: int) -> Tensor:
        """[B, 1 + T] places of those windows in `latents`; past the last of all it comes again."""
        rows = torch.from_numpy(self.first[episodes] + starts)[:, None] + torch.arange(1 + length)
        return sent(rows.clamp(max=len(self.latents) - 1), self.latents.device)

    def outcomes(
        self, episodes: np.ndarray, starts: np.ndarray, length: int
    ) -> tuple[Tensor, Tensor]:
        """Rewards [B, T] and endings [B, T] bool of those windows."""
        rows = self.rows(episodes, starts, length)[:, 1:]
        return self.rewards[rows], self.ends[rows]
