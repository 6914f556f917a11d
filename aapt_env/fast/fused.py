"""The networks on fused kernels: blocks, head and decoder with the same weights, which take other ways through them.

Needs Triton when it is imported. Passes that are no step over a ring (scenes, clips, training) stay as they are.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from aapt_env.fast.kernels.attention import attention
from aapt_env.fast.kernels.epilogue import velocity
from aapt_env.fast.kernels.norm import adaln
from aapt_env.fast.kernels.pixels import add_silu, pair_silu, pixels
from aapt_env.fast.kernels.ring import place
from aapt_env.model.cache import RingCache
from aapt_env.model.generator import Generator
from aapt_env.model.trunk import Block
from aapt_env.model.vae import VAE, Decoder, ResBlock, State


class FusedBlock(Block):
    """A block whose step over a ring is four products and what lies between them, each in one kernel."""

    def forward(self, x: Tensor, modulation: Tensor, seen) -> Tensor:
        """As `Block.forward`; x [B, 1, N, D] over a ring."""
        if not isinstance(seen, RingCache):
            return super().forward(x, modulation, seen)
        parts = (modulation + self.table.to(modulation.dtype))[:, 0]  # [B, 6, D]
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = parts.unbind(1)
        x, hidden = adaln(x[:, 0], shift_a, scale_a)
        x, hidden = adaln(x, shift_m, scale_m, gate_a, self.look(hidden, seen))
        hidden = self.down(F.gelu(self.up(hidden)))
        return (x + gate_m[:, None] * hidden)[:, None]

    def look(self, x: Tensor, seen: RingCache) -> Tensor:
        """[B, N, D] -> the same shape: attention over the ring, which is written first."""
        weights = self.query_norm.weight, self.key_norm.weight
        q = place(self.qkv(x), *weights, seen, self.layer)
        keys, values = seen.keys[self.layer], seen.values[self.layer]
        return self.out(attention(q, keys, values, seen.filled))


class FusedGenerator(Generator):
    """A generator whose velocity is laid out and guessed in one kernel."""

    def velocity(self, out: Tensor, x: Tensor, previous: Tensor, t: Tensor) -> Tensor:
        """As `Generator.velocity`."""
        return velocity(out, x, previous, t, self.config.patch, self.config.change)


class FusedDecoder(Decoder):
    """A decoder of one latent at a time, whose activations are made where sums and memories are read."""

    def last(self, z: Tensor, state: State) -> tuple[Tensor, State]:
        """As `Decoder.last`."""
        if z.shape[1] != 1:
            return super().last(z, state)
        x = active = self.enter(z[:, 0].contiguous(memory_format=torch.channels_last))
        after = []
        for i, past in enumerate(state):
            after.append(x)
            memory, refine = self.memory[i], self.refine[i]
            x, active = add_silu(x, rest(memory, pair_silu(x, past.to(x.dtype))))
            x, active = add_silu(x, rest(refine, active))
            if i < len(self.grow):
                x = self.grow[i](F.interpolate(x, scale_factor=2, mode="nearest"))
        return self.leave(active)[:, None], after


def rest(block: ResBlock, active: Tensor) -> Tensor:
    """A residual block's branch from behind its first activation."""
    return block.second(F.silu(block.first(active), inplace=True))


class FusedVAE(VAE):
    """A VAE whose frames are made from the decoder's last layer in one kernel."""

    def frames(self, x: Tensor) -> Tensor:
        """As `VAE.frames`."""
        made = pixels(x.flatten(0, 1), self.config.k, self.config.patch)
        return made.unflatten(0, x.shape[:2])


SWAPS = {Block: FusedBlock, Generator: FusedGenerator, Decoder: FusedDecoder, VAE: FusedVAE}


def swap(*networks: torch.nn.Module) -> None:
    """Put networks on the kernels, weights and names as they were."""
    for network in networks:
        for module in network.modules():
            module.__class__ = SWAPS.get(type(module), type(module))
