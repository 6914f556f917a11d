"""A loaded world being stepped: checkpoint + ring cache + streaming decoder, batched."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aapt_env.carried import laid, read
from aapt_env.checkpoint import Checkpoint
from aapt_env.controls import held
from aapt_env.device import current, fast_bf16
from aapt_env.fast import AUTO, Fast, ways
from aapt_env.fast.fit import fit
from aapt_env.model.ahead import NoiseAhead
from aapt_env.model.cache import FP8, RingCache
from aapt_env.model.rollout import noise_at, step
from aapt_env.starts import Start

GROUP = 8  # rows whose episodes can begin in one pass


@dataclass(frozen=True)
class Beginning:
    """A start as the networks know it; on the device."""

    latents: Tensor  # [1 + n, C, h, w]
    controls: Tensor  # [n, k, width], those between the latents
    scene: Tensor  # [attributes] int64
    decoder: list[Tensor]  # its state after the start
    shown: np.ndarray  # uint8 [1, H, W, 3], the last frame as decoded


class World:
    """`batch` dreams side by side; a row depends on nothing but its own start, seed and controls.

    Args:
        checkpoint: a loaded world; its networks are copied, so that several worlds can share it.
        batch: number of rows.
        device: where to run.
        bf16: run the networks in bf16; None: where that is fast.
        share: use the checkpoint's own networks, which then are this world's alone, and not copies.
        fast: how the step is run; frames are the same to rounding. By default CUDA graphs on a GPU; on a CPU weights
            laid out for it (`model.packed`) and noise made ahead.

    Attributes:
        passes: forward passes of the generator so far, those over prefixes left out. One per latent.
        outcome: the head that reads reward and termination; None in a world that has not learned them.
        reward: float32 [B], what the last step paid, summed over its k frames; zeros without `outcome`.
        ending: float32 [B], the probability that the episode ended with it; zeros without `outcome`.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        batch: int = 1,
        device: torch.device | None = None,
        bf16: bool | None = None,
        share: bool = False,
        fast: Fast = AUTO,
    ):
        self.device = device or torch.device("cpu")
        dtype = (
            torch.bfloat16 if (fast_bf16(self.device) if bf16 is None else bf16) else torch.float32
        )
        self.spec, self.starts, self.batch, self.dtype = (
            checkpoint.spec,
            checkpoint.starts,
            batch,
            dtype,
        )
        networks = checkpoint.generator, checkpoint.vae, checkpoint.outcome
        self.generator, self.vae, self.outcome = networks if share else copy.deepcopy(networks)
        self.generator.to(self.device, dtype)
        for network in (self.generator, self.vae, self.outcome):
            if network is not None:
                network.to(self.device).eval().requires_grad_(False)
        self.vae.decoder.to(dtype)
        self.way = ways.choose(fast, self.device)
        self.ahead = fast.way == "auto" and self.device.type == "cpu"
        self.kept = FP8 if fast.cache == "fp8" else None  # dtype of keys and values
        self.noise_at = fit(fast, self.generator, self.vae, self.device)
        self.noise = NoiseAhead(self.spec.latent_shape)
        self.passes = 0
        self.cache = self.empty(batch)
        self.previous = torch.zeros(batch, *self.spec.latent_shape, device=self.device)
        self.decoder = self.vae.start(batch, *self.spec.latent_shape[1:])
        self.seeds = torch.zeros(batch, dtype=torch.int64, device=self.device)
        self.reward = self.ending = torch.zeros(batch, device=self.device)
        self.beginnings: dict[int, tuple[Start, Beginning]] = {}

    @property
    def ran(self) -> str:
        """How steps are run, in words for a report: what was asked for, or what had to do instead."""
        way = "weights laid out once" if self.ahead else self.way.name
        return way if self.noise_at is noise_at else f"{way}, kernels"

    @torch.inference_mode()
    def empty(self, batch: int) -> RingCache:
        """A ring cache of age 0 with a scene that is still to be set."""
        scene = torch.zeros(batch, len(self.spec.scenes), dtype=torch.int64, device=self.device)
        return self.ring(scene)

    def ring(self, scene: Tensor) -> RingCache:
        """A fresh cache for scene [B, attributes]."""
        trunk = self.generator.trunk
        window = self.generator.config.window
        return RingCache(trunk.rope, trunk.scene(scene), window, self.kept)

    def reset(self, row: int, start: Start, seed: int) -> np.ndarray:
        """Begin an episode in one row; see `reset_rows`. Returns uint8 [1, H, W, 3]."""
        return self.reset_rows([row], [start], [seed])[0]

    @torch.inference_mode()
    def reset_rows(self, rows: list[int], starts: list[Start], seeds: list[int]) -> np.ndarray:
        """Begin an episode in each of `rows`; no other row changes, and a row's bits depend on no other.

        A start's frames run through cache and decoder. Their latents are real; a pass each writes what the generator
        would remember of them. Rows r and s share these passes where r // 8 == s // 8: each has its own place in a
        batch of always the same size, so that its bits are the same however many begin at once.

        Args:
            rows: different ones out of 0 ... batch - 1.
            starts: one per row, from `starts`, or a user's picture as a start of one frame.
            seeds: of the noise, one per row; 0 ... 2**62 - 1.

        Returns:
            The last frame of each as the decoder gives it, uint8 [n, 1, H, W, 3].

        Raises:
            ValueError: a start's frames are of another size, or its scene is not this world's.
        """
        with current(self.device):
            found = [self.beginning(start) for start in starts]
            self.begin_together(rows, found, seeds)
        return np.stack([each.shown for each in found])

    def begin_together(self, rows: list[int], found: list[Beginning], seeds: list[int]) -> None:
        """Begin episodes, those of one group and of equally long starts in one go."""
        together: dict[tuple[int, int], list[int]] = {}
        for i, row in enumerate(rows):
            together.setdefault((row // GROUP, len(found[i].controls)), []).append(i)
        for some in together.values():
            self.begin([rows[i] for i in some], [found[i] for i in some], [seeds[i] for i in some])

    def beginning(self, start: Start) -> Beginning:
        """Encode and decode a start; once for each of the world's own.

        Raises:
            ValueError: as `reset_rows`.
        """
        known = self.beginnings.get(id(start))
        if known is not None and known[0] is start:
            return known[1]
        spec = self.spec
        start.check(spec)
        frames = torch.from_numpy(start.frames.copy())[None].to(self.device)
        latents = self.vae.encode(frames)  # [1, 1 + n, C, h, w], of the picture
        count = latents.shape[1] - 1
        last = start.controls[len(start.controls) - count * spec.k :].astype(np.float32)
        controls = torch.from_numpy(last).to(self.device).view(count, spec.k, spec.control.width)
        scene = torch.from_numpy(spec.scene_row(start.scene)).to(self.device)
        shown, decoder = self.vae.decode(latents)
        memory = [state[0] for state in decoder]
        whole = self.carrying(start, latents[0])
        made = Beginning(whole, controls, scene, memory, shown[0, -1, -1:].cpu().numpy())
        if any(start is mine for mine in self.starts):
            self.beginnings[id(start)] = start, made
        return made

    def carrying(self, start: Start, latents: Tensor) -> Tensor:
        """Latents [1 + n, C, h, w] of a start's frames with its carried numbers, in a world that has some.

        A picture of which they are not known takes those of the own start that looks most like it.
        """
        carrier = self.generator.trunk.carrier
        if carrier is None:
            return latents
        told = start.carried
        if told is None:
            known = [own for own in self.starts if own.carried is not None]
            likes = torch.from_numpy(np.stack([own.frames[-1] for own in known])).to(self.device)
            away = (self.vae.encode_alone(likes) - latents[-1]).square().mean((1, 2, 3))
            nearest = known[int(away.argmin())].carried
            assert nearest is not None
            told = nearest[-1:].repeat(len(latents), axis=0)
        numbers = laid(told, carrier, latents.shape[-2:])
        return torch.cat([latents, numbers.to(latents)], dim=1)

    @property
    def carried(self) -> Tensor | None:
        """float32 [B, names], the numbers of the game that the latest latents carry; None in a world without."""
        trunk = self.generator.trunk
        if trunk.carrier is None:
            return None
        return trunk.carrier.decode(read(self.previous.float(), trunk.config.carries))

    def begin(self, rows: list[int], found: list[Beginning], seeds: list[int]) -> None:
        """Begin episodes in rows of one group, whose starts have equally many latents."""
        size = min(GROUP, self.batch)
        places = [row % size for row in rows]

        def placed(parts: list[Tensor]) -> Tensor:
            out = parts[0].new_zeros(size, *parts[0].shape)
            out[places] = torch.stack(parts)
            return out

        latents, controls = placed([b.latents for b in found]), placed([b.controls for b in found])
        seeds_at = placed([torch.tensor(seed, device=self.device) for seed in seeds])
        cache = self.ring(placed([b.scene for b in found]))
        for i in range(controls.shape[1]):
            noise = noise_at(seeds_at, cache.age + 1, self.spec.latent_shape)
            step(self.generator, latents[:, i], controls[:, i], noise, cache)
        self.cache.put(rows, cache, places)
        self.previous[rows], self.seeds[rows] = latents[places, -1], seeds_at[places]
        for i, mine in enumerate(self.decoder):
            mine[rows] = torch.stack([b.decoder[i] for b in found])

    @torch.inference_mode()
    def step(self, rows: np.ndarray | Tensor) -> Tensor:
        """Advance every row by one latent: one forward pass, one decode.

        Args:
            rows: [B, width] controls as `ControlSpec.to_row` gives them, each held for k frames.

        Returns:
            uint8 [B, k, H, W, 3] on the device.

        Raises:
            ValueError: the controls are of another shape.
        """
        self.advance(rows)
        return self.show()

    @torch.inference_mode()
    def advance(self, rows: np.ndarray | Tensor) -> None:
        """The generator's part of a step: one forward pass; arguments as `step`."""
        controls = torch.as_tensor(rows, dtype=torch.float32)
        if controls.shape != (self.batch, self.spec.control.width):
            raise ValueError(
                f"controls {tuple(controls.shape)}; expected [B, width] = {(self.batch, self.spec.control.width)}"
            )
        with current(self.device):
            self.way.advance(self, controls)
        self.passes += 1

    def make(self, controls: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Controls [B, width] on the device -> the next latent [B, C, h, w], reward [B], probability of an end [B]."""
        noise = self.noise_now()
        control = held(controls, self.spec.k)[:, 0]
        features: list[Tensor] = []
        latent = step(self.generator, self.previous, control, noise, self.cache, features)
        if self.outcome is None:
            return latent, self.reward, self.ending
        reward, ending = self.outcome(features[0])
        return latent, reward[:, 0], ending[:, 0]

    def noise_now(self) -> Tensor:
        """The coming position's noise [B, C, h, w]."""
        if self.ahead:
            return self.noise.at(self.seeds, self.cache.age)
        return self.noise_at(self.seeds, self.cache.age + 1, self.spec.latent_shape)

    @torch.inference_mode()
    def show(self) -> Tensor:
        """The decoder's part of a step: the latest latent as `step` returns it; once for each `advance`."""
        with current(self.device):
            return self.way.show(self)

    def decode(self) -> tuple[Tensor, list[Tensor]]:
        """The latest latent's frames [B, k, H, W, 3], and the decoder's state after them."""
        picture = self.previous[:, None, : self.vae.config.channels]
        frames, after = self.vae.decode(picture, self.decoder)
        return frames[:, 0], after

    @torch.inference_mode()
    def fork(self, rows: list[int]) -> World:
        """A world of copies of `rows`, repeats allowed; it shares the networks, and nothing else."""
        other, picks = copy.copy(self), torch.tensor(rows, device=self.device)
        other.batch, other.passes, other.cache = len(rows), 0, self.cache.select(picks)
        other.noise, other.way = NoiseAhead(self.spec.latent_shape), self.way.fresh()
        other.previous, other.seeds = self.previous[picks], self.seeds[picks]  # indexing copies
        other.decoder = [memory[picks] for memory in self.decoder]
        other.reward, other.ending = self.reward[picks], self.ending[picks]
        return other

    def parts(self) -> dict[str, Tensor]:
        """All that the future depends on, by name; not copied."""
        cache = self.cache
        found = {f"cache/{name}": getattr(cache, name) for name in cache.STATE}
        found |= {f"decoder/{i}": value for i, value in enumerate(self.decoder)}
        return found | {"previous": self.previous, "seeds": self.seeds}

    @torch.inference_mode()
    def state(self) -> dict[str, Tensor]:
        """A copy of all that the future depends on: cache, position, previous latent, decoder, seeds."""
        return {name: value.clone() for name, value in self.parts().items()}

    @torch.inference_mode()
    def load(self, state: dict[str, Tensor]) -> None:
        """Go back to what `state()` gave; the frames that follow are the same to the bit on a CPU.

        Raises:
            ValueError: a part is missing or of another shape or type: another batch size, precision, or world.
        """
        for name, mine in self.parts().items():
            value = state.get(name)
            if value is None or value.shape != mine.shape or value.dtype != mine.dtype:
                got = None if value is None else f"{tuple(value.shape)} {value.dtype}"
                raise ValueError(
                    f"state {name}: expected {tuple(mine.shape)} {mine.dtype}, got {got}; is it of "
                    "another world, precision, or cache=?"
                )
        self.cache.load(
            {n.removeprefix("cache/"): v for n, v in state.items() if n.startswith("cache/")}
        )
        mine = {n: v for n, v in self.parts().items() if not n.startswith("cache/")}
        new = {name: torch.empty_like(value).copy_(state[name]) for name, value in mine.items()}
        self.previous, self.seeds = new.pop("previous"), new.pop("seeds")
        self.decoder = list(new.values())
