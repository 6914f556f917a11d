"""The fourth road: a masked parallel pass that goes on from where a ring is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aapt_env.model.cache import KeyValue, Parallel, RingCache
from aapt_env.model.rope import Rope, rotate, turn


@dataclass(frozen=True)
class Memory:
    """What a ring holds at one moment, without history; all rows at one age."""

    age: int  # latents so far, 1 or more
    window: int
    prefix: Tensor  # [layers, B, heads, S + N, d] scene and sink, keys as they were made
    keys: Tensor  # [layers, B, heads, S + (W+2)N, d] turned
    values: Tensor  # likewise

    @classmethod
    def of(cls, ring: RingCache, age: int) -> Memory:
        """A copy of a ring whose rows all have this age: to look at it would wait for a GPU."""
        parts = (part.clone() for part in (ring.prefix, ring.keys, ring.values))
        return cls(age, ring.window, *parts)


class Segment(Parallel):
    """Positions age + 1 ... age + T in one masked pass, over what a ring remembers of those before.

    So the end of a rollout carries gradients in one graph: what T steps of a growing cache would give whose past is
    detached (AAPT v2, section 2.3).

    Scene and sink move along with a query once it is W + 2 beyond them. So a query at position p turns by min(p, W + 2)
    where it looks at them, and by p where it looks at the others. Both turns stand side by side in its features, and
    keys are zero where they are not meant: one product gives both kinds of scores.
    """

    def __init__(self, rope: Rope, memory: Memory, length: int):
        self.memory = memory
        age, reach, tokens = memory.age, memory.window, rope.grid.shape[0]
        device, kind = rope.grid.device, memory.keys.dtype
        self.scenes = memory.prefix.shape[3] - tokens
        # made on the device: in a recorded pass nothing can be copied there
        self.recent = torch.arange(max(2, age + 1 - reach), age + 1, device=device)  # in the ring
        self.slots = (self.recent - 2) % (reach + 1)
        exact = torch.float64 if kind == torch.float64 else torch.float32
        coming = torch.arange(age + 1, age + 1 + length, device=device, dtype=exact)
        positions = (
            coming,
            coming.clamp(max=reach + 2),
        )  # as the ring's keys see them, and the prefix's
        self.turns = tuple(turn(rope.tokens(each).flatten(0, 1)) for each in positions)
        start = torch.zeros(1, device=device, dtype=exact)
        at = [rope.scene(start)[0].expand(self.scenes, -1), rope.tokens(start + 1)[0]]
        self.stand = turn(torch.cat(at))
        self.bias = self.mask(coming, tokens)

    def mask(self, coming: Tensor, tokens: int) -> Tensor:
        """[T*N, S + N + (n + T)*N]: 0 where a token may look, -inf where it may not."""
        held = torch.cat([self.recent.to(coming.dtype), coming]).repeat_interleave(tokens)
        behind = coming.repeat_interleave(tokens)[:, None] - held
        hidden = (behind < 0) | (behind > self.memory.window)
        hidden = torch.nn.functional.pad(hidden, (self.scenes + tokens, 0))
        return torch.zeros(hidden.shape, device=coming.device).masked_fill(hidden, -torch.inf)

    def ahead(self, layer: int) -> KeyValue:
        """The ring's memory: keys [B, heads, S + N + n*N, 2d], values of d."""
        keys, values = self.memory.keys[layer], self.memory.values[layer]
        prefix = rotate(self.memory.prefix[layer], self.stand)
        met = torch.cat([prefix_half(prefix), window_half(self.ring(keys))], dim=2)
        return met, torch.cat([values[:, :, : prefix.shape[2]], self.ring(values)], dim=2)

    def ring(self, held: Tensor) -> Tensor:
        """[B, heads, S + (W+2)N, d] -> the recent positions, oldest first: [B, heads, n*N, d]."""
        blocks = held[:, :, self.scenes :].unflatten(2, (self.memory.window + 2, -1))[:, :, 1:]
        return blocks.index_select(2, self.slots).flatten(2, 3)


def window_half(keys: Tensor) -> Tensor:
    """Keys [..., d] that meet a query's own turn: [..., 2d]."""
    return torch.cat([keys, torch.zeros_like(keys)], dim=-1)


def prefix_half(keys: Tensor) -> Tensor:
    """Keys [..., d] that meet a query's turn towards the prefix: [..., 2d]."""
    return torch.cat([torch.zeros_like(keys), keys], dim=-1)
