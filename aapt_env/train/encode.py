"""After the VAE: every episode is encoded once, to files that a kill can only leave whole."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from safetensors.torch import load_file
from tqdm import tqdm

from aapt_env.carried import carrier, laid
from aapt_env.data.episodes import Episodes, cores
from aapt_env.model.vae import VAE
from aapt_env.spec import CarriedSpec
from aapt_env.train import state
from aapt_env.train.clips import EncodedEpisode

MARK = "vae.json"  # whose latents a folder holds
AHEAD = 2  # episodes per core that are decoded, or being decoded, before their turn
BATCH = {"cpu": 64, "cuda": 128}  # latents encoded at once

Item = TypeVar("Item")
Result = TypeVar("Result")


def fingerprint(vae: VAE) -> str:
    """A hash of the weights, so that latents of another VAE are never mixed in."""
    digest = hashlib.sha256()
    for value in vae.state_dict().values():
        digest.update(value.detach().cpu().float().numpy().tobytes())
    return digest.hexdigest()


@torch.no_grad()
def encode_frames(
    vae: VAE, frames: np.ndarray, bf16: bool, batch: int | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """uint8 [1 + nk, H, W, 3] -> latents and alone latents, float16 [1 + n, C, h, w] each."""
    device, k = vae.scale.device, vae.config.k
    batch = batch or BATCH[device.type]
    whole = torch.from_numpy(frames[: 1 + (len(frames) - 1) // k * k]).to(device)
    x, ends = vae.groups(whole[None])[0], whole[0::k]
    count = len(x)
    if device.type == "cuda":  # for every new shape cuDNN would look for its ways again
        x, ends = (filled(each, batch) for each in (x, ends))
    latents, alone = [], []
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        for i in range(0, len(x), batch):
            latents.append(vae.normalise(vae.encoder(x[i : i + batch])[0]).half())
            alone.append(vae.encode_alone(ends[i : i + batch]).half())
    both = torch.cat(latents)[:count], torch.cat(alone)[:count]
    return both[0].cpu().contiguous(), both[1].cpu().contiguous()


def filled(rows: torch.Tensor, batch: int) -> torch.Tensor:
    """Rows of zeros after those of x [n, ...], up to a multiple of `batch`."""
    missing = -len(rows) % batch
    return torch.cat([rows, rows.new_zeros(missing, *rows.shape[1:])])


def ahead(
    work: Callable[[Item], Result], items: Iterable[Item], workers: int, most: int
) -> Iterator[Result]:
    """What `work` makes of each item, in order; threads work ahead of who takes it.

    Args:
        work: f(item), in one of the threads.
        items: what it is called with.
        workers: threads.
        most: results at once that are being made, or wait to be taken.
    """
    left, pool = iter(items), ThreadPoolExecutor(workers)
    try:
        waiting = deque(pool.submit(work, item) for item in islice(left, most))
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(pool.submit(work, item) for item in islice(left, 1))
            yield result
    finally:
        pool.shutdown(cancel_futures=True)


def encode_all(
    vae: VAE,
    episodes: Episodes,
    indices: list[int],
    frames: Callable[[int], np.ndarray],
    folder: Path,
    bf16: bool,
    carried: CarriedSpec | None = None,
) -> list[EncodedEpisode]:
    """Encode the episodes that `folder` does not hold yet, and return all.

    Args:
        vae: the trained one.
        episodes: the dataset.
        indices: the wanted episodes.
        frames: f(index) -> an episode's frames; asked for what must be encoded only, in several threads at once.
        folder: of the latents.
        bf16: whether the encoder runs in it.
        carried: numbers of the game that become the last channels of the latents; files hold the picture alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / MARK
    stamp = json.dumps({"vae": fingerprint(vae)})
    if not mark.is_file() or mark.read_text() != stamp:
        for old in folder.glob("*.safetensors"):
            old.unlink()
        mark.write_text(stamp)

    def look(index: int) -> tuple[Path, str, np.ndarray | None]:
        """The file of an episode, what was played, and its frames where the file does not have their latents."""
        path = folder / f"episode-{index:06d}.safetensors"
        played = hashlib.sha256(episodes.controls(index).tobytes()).hexdigest()
        return path, played, None if holds(path, played) else frames(index)

    out, bar = [], tqdm(indices, desc="encode", unit="episode")
    looked = ahead(look, indices, cores(), AHEAD * cores())
    for index, (path, played, pixels) in zip(bar, looked, strict=True):
        if pixels is not None:
            latents, alone = encode_frames(vae, pixels, bf16)
            state.write(path, {"latents": latents, "alone": alone}, {"controls": played})
        out.append(episode(episodes, index, load_file(path), carried))
    return out


def holds(path: Path, played: str) -> bool:
    """Whether `path` has the latents of an episode under these controls, and not of one recorded before it."""
    if not path.is_file():
        return False
    with state.opened(path) as file:
        return (file.metadata() or {}).get("controls") == played


def episode(
    episodes: Episodes,
    index: int,
    tensors: dict[str, torch.Tensor],
    carried: CarriedSpec | None = None,
) -> EncodedEpisode:
    """Latents, with the numbers they carry, beside the controls that made them, and what these were paid."""
    k, count = episodes.spec.k, len(tensors["latents"]) - 1
    if carried is not None:
        told, grid = episodes.carried(index), tensors["latents"].shape[-2:]
        assert told is not None, "a world carries what its dataset has"
        made = carrier(carried, episodes.spec.control, grid)
        numbers = laid(told[: 1 + count * k : k], made, grid).half()
        if not (numbers.abs() <= 2 * max(carried.reach) + 2).all():
            raise ValueError(
                f"{episodes.path}, episode {episodes.index[index].index}: carried numbers {carried.names} far beyond "
                f"the reach of {carried.reach} spreads that the game states; mend its attribute `carried`"
            )
        tensors = {name: torch.cat([each, numbers], dim=1) for name, each in tensors.items()}
    controls = torch.from_numpy(np.ascontiguousarray(episodes.controls(index)[: count * k]))
    scene = torch.from_numpy(episodes.spec.scene_row(episodes.index[index].scene))
    paid = torch.from_numpy(np.ascontiguousarray(episodes.rewards(index)[: count * k]))
    return EncodedEpisode(
        tensors["latents"],
        tensors["alone"],
        controls.unflatten(0, (count, k)).float(),
        scene,
        paid.unflatten(0, (count, k)).sum(1),
        episodes.terminated(index),
    )
