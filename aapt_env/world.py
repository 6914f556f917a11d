"""A loaded world being stepped: checkpoint + ring cache + streaming decoder, batched."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor

from aapt_env.checkpoint import Checkpoint
from aapt_env.controls import held
from aapt_env.device import fast_bf16
from aapt_env.model.cache import RingCache
from aapt_env.model.rollout import noise_at, step
from aapt_env.starts import Start


class World:
    """`batch` dreams side by side; a row depends on nothing but its own start, seed and controls.

    Args:
        checkpoint: a loaded world; its networks are copied, so that several worlds can share it.
        batch: number of rows.
        device: where to run.
        bf16: run the networks in bf16; None: where that is fast.

    Attributes:
        passes: forward passes of the generator so far, those over prefixes left out. One per latent.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        batch: int = 1,
        device: torch.device | None = None,
        bf16: bool | None = None,
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
        self.generator = copy.deepcopy(checkpoint.generator).to(self.device, dtype)
        self.vae = copy.deepcopy(checkpoint.vae).to(self.device)
        for network in (self.generator, self.vae):
            network.eval().requires_grad_(False)
        self.vae.decoder.to(dtype)
        self.passes = 0
        self.cache = self.empty(batch)
        self.previous = torch.zeros(batch, *self.spec.latent_shape, device=self.device)
        self.decoder = self.vae.start(batch, *self.spec.latent_shape[1:])
        self.seeds = torch.zeros(batch, dtype=torch.int64, device=self.device)

    @torch.inference_mode()
    def empty(self, batch: int) -> RingCache:
        """A ring cache of age 0 with a scene that is still to be set."""
        scene = torch.zeros(batch, len(self.spec.scenes), dtype=torch.int64, device=self.device)
        return self.ring(scene)

    def ring(self, scene: Tensor) -> RingCache:
        """A fresh cache for scene [B, attributes]."""
        trunk = self.generator.trunk
        return RingCache(trunk.rope, trunk.scene(scene), self.generator.config.window)

    @torch.inference_mode()
    def reset(self, row: int, start: Start, seed: int) -> np.ndarray:
        """Begin an episode in one row; no other row changes, and the row's bits depend on no other.

        The start's frames run through cache and decoder. Their latents are real; a pass each writes what the generator
        would remember of them.

        Args:
            row: 0 ... batch - 1.
            start: from `starts`, or a user's picture as a start of one frame.
            seed: of the noise; 0 ... 2**62 - 1.

        Returns:
            The last frame as the decoder gives it, uint8 [1, H, W, 3].

        Raises:
            ValueError: the start's frames are of another size, or its scene is not this world's.
        """
        spec = self.spec
        start.check(spec)
        scene = torch.from_numpy(spec.scene_row(start.scene))[None].to(self.device)
        frames = torch.from_numpy(start.frames.copy())[None].to(self.device)
        latents = self.vae.encode(frames)  # [1, 1 + n, C, h, w]
        cache, seeds = self.ring(scene), torch.tensor([seed], device=self.device)
        count = latents.shape[1] - 1
        last = start.controls[len(start.controls) - count * spec.k :].astype(np.float32)
        controls = torch.from_numpy(last).to(self.device)
        for i in range(count):
            control = controls[i * spec.k : (i + 1) * spec.k][None]
            noise = noise_at(seeds, cache.age + 1, spec.latent_shape)
            step(self.generator, latents[:, i], control, noise, cache)
        shown, decoder = self.vae.decode(latents)
        self.cache.put(row, cache)
        self.previous[row], self.seeds[row] = latents[0, -1], seed
        for mine, new in zip(self.decoder, decoder, strict=True):
            mine[row] = new[0]
        return shown[0, -1, -1:].cpu().numpy()

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
        controls = torch.as_tensor(rows, dtype=torch.float32, device=self.device)
        if controls.shape != (self.batch, self.spec.control.width):
            raise ValueError(
                f"controls {tuple(controls.shape)}; expected [B, width] = {(self.batch, self.spec.control.width)}"
            )
        noise = noise_at(self.seeds, self.cache.age + 1, self.spec.latent_shape)
        control = held(controls, self.spec.k)[:, 0]
        self.previous = step(self.generator, self.previous, control, noise, self.cache)
        self.passes += 1

    @torch.inference_mode()
    def show(self) -> Tensor:
        """The decoder's part of a step: the latest latent as `step` returns it; once for each `advance`."""
        frames, self.decoder = self.vae.decode(self.previous[:, None], self.decoder)
        return frames[:, 0]

    @torch.inference_mode()
    def state(self) -> dict[str, Tensor]:
        """A copy of all that the future depends on: cache, position, previous latent, decoder, seeds."""
        parts = {f"cache/{name}": value for name, value in self.cache.state().items()}
        parts |= {f"decoder/{i}": value.clone() for i, value in enumerate(self.decoder)}
        return parts | {"previous": self.previous.clone(), "seeds": self.seeds.clone()}

    @torch.inference_mode()
    def load(self, state: dict[str, Tensor]) -> None:
        """Go back to what `state()` gave; the frames that follow are the same to the bit on a CPU.

        Raises:
            ValueError: a part is missing or of another shape: another batch size, or another world.
        """
        for name, value in self.state().items():
            got = tuple(state[name].shape) if name in state else None
            if got != tuple(value.shape):
                raise ValueError(
                    f"state {name}: expected {tuple(value.shape)}, got {got}; is it of another world?"
                )
        self.cache.load(
            {n.removeprefix("cache/"): v for n, v in state.items() if n.startswith("cache/")}
        )
        mine = {f"decoder/{i}": value for i, value in enumerate(self.decoder)}
        mine |= {"previous": self.previous, "seeds": self.seeds}
        new = {name: torch.empty_like(value).copy_(state[name]) for name, value in mine.items()}
        self.previous, self.seeds = new.pop("previous"), new.pop("seeds")
        self.decoder = list(new.values())
