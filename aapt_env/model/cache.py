"""What a latent's tokens can see: three roads, one answer.

`Clip` is the masked parallel pass over a clip; `GrowingCache` steps with gradients (training); `RingCache` steps in
fixed memory (play). The caches have `ask(queries)` and `append(layer, keys, values) -> (keys, values, bias)`; a
parallel pass is read `at(layer)`, as tensors alone. A fourth road, the parallel pass that goes on from a ring, is in
segment.py. Tokens of position p see:

    [ scene | position 1: the sink, for ever | positions p-W ... p-1 | position p ]

never the sink twice. Scene and sink (the prefix) never turn farther away than they can be in a training clip of W + 2
positions: beyond that they move along with the query. So endless play stays within the trained range of distances
(AAPT v2, section 2.1).
"""

from __future__ import annotations

import torch
from torch import Tensor

from aapt_env.model.rope import Rope, Turn, rotate, turn

KeyValue = tuple[Tensor, Tensor]  # keys (not rotated), values [B, heads, n, d]
KV = list[KeyValue]  # per layer
# Of queries: towards their own pass, and towards what stands before it where that differs.
Turns = tuple[Turn, ...]
Seen = tuple[Tensor, Tensor, Tensor | None]  # keys, values [B, heads, n, d], additive bias or None
FP8 = torch.float8_e4m3fn
MOST = 448.0  # the largest number that FP8 has; beyond it there is only NaN
OLDEST = 2**40  # positions; a dream of that age has run for thousands of years


def stored(x: Tensor, kind: torch.dtype) -> Tensor:
    """As a memory of dtype `kind` holds it."""
    return x.clamp(-MOST, MOST).to(kind) if kind == FP8 else x.to(kind)


def bits(memory: Tensor) -> Tensor:
    """The same memory as something that can be indexed: fp8 numbers as bytes."""
    return memory.view(torch.uint8) if memory.dtype == FP8 else memory


class Road:
    """What a block needs of a road: how its queries turn, and `append`."""

    turn: Turn

    def ask(self, q: Tensor) -> Tensor:
        """Queries [B, heads, n, d] as they meet the keys that `append` returns."""
        return rotate(q, self.turn)


class Scene(Road):
    """The scene tokens' own pass: they see only themselves, and their keys and values are collected."""

    def __init__(self):
        self.kv: KV = []

    def ask(self, q: Tensor) -> Tensor:
        """As given: among themselves they stand at one place."""
        return q

    def append(self, layer: int, k: Tensor, v: Tensor) -> Seen:
        """Collect and return as given."""
        self.kv.append((k, v))
        return k, v, None


class Parallel:
    """All positions of a clip in one masked pass."""

    turns: Turns
    bias: Tensor | None  # [T*N, m + T*N]: 0 where a token may look, -inf where it may not

    def ahead(self, layer: int) -> KeyValue:
        """Keys as they are met, and values, of the m tokens that stand before the clip in a layer."""
        raise NotImplementedError

    def at(self, layer: int) -> tuple[KeyValue, Turns, Tensor | None]:
        """What a block reads in a layer; see `Block.masked`."""
        return self.ahead(layer), self.turns, self.bias


class Clip(Parallel):
    """The masked parallel pass over positions 1 ... T, T at most W + 2, where no distance is clipped."""

    def __init__(self, rope: Rope, scene: KV, length: int, causal: bool = True):
        position = torch.arange(1, length + 1, device=rope.grid.device, dtype=torch.float32)
        if scene[0][0].dtype == torch.float64:
            position = position.double()
        self.turns = (turn(rope.tokens(position).flatten(0, 1)),)  # [T*N, d/2]
        self.scene_turn = turn(rope.scene(torch.zeros_like(position[:1]))[0])
        self.scene = scene
        self.bias = self.mask(length, rope.grid.shape[0], position) if causal else None

    def mask(self, length: int, tokens: int, like: Tensor) -> Tensor:
        """[T*N, S + T*N]: 0 where a token may look, -inf where it may not."""
        block = torch.arange(length, device=like.device).repeat_interleave(tokens)
        hidden = block[:, None] < block[None, :]
        hidden = torch.nn.functional.pad(hidden, (self.scene[0][0].shape[2], 0))
        return torch.zeros(hidden.shape, device=like.device).masked_fill(hidden, -torch.inf)

    def ahead(self, layer: int) -> KeyValue:
        """The scene's, [B, heads, S, d] each."""
        keys, values = self.scene[layer]
        return rotate(keys, self.scene_turn), values


def join(ahead: KeyValue, turns: Turns, k: Tensor, v: Tensor) -> KeyValue:
    """Keys, turned, and values of what stands before a clip and then of the clip: [B, heads, m + T*N, ...] each.

    Keys of the clip are met by a query's first turn alone: where there are others they are zero.
    """
    keys = rotate(k, turns[0])
    if len(turns) > 1:
        keys = torch.nn.functional.pad(keys, (0, (len(turns) - 1) * k.shape[-1]))
    parts = [torch.cat([a.to(b.dtype), b], dim=2) for a, b in zip(ahead, (keys, v), strict=True)]
    return parts[0], parts[1]


def asked(q: Tensor, turns: Turns) -> Tensor:
    """Queries [B, heads, n, d], turned in each way, side by side: [B, heads, n, len(turns) * d]."""
    each = [rotate(q, by) for by in turns]
    return each[0] if len(each) == 1 else torch.cat(each, dim=-1)


class GrowingCache(Road):
    """Grows by concatenation, so gradients flow through it; forgets exactly what the ring forgets.

    Memory per layer: [ scene | position 1 | positions p-W ... p ], all rows of the batch at one age.
    """

    def __init__(self, rope: Rope, scene: KV, window: int):
        self.rope, self.scene, self.window = rope, scene, window
        self.age = 0  # latents generated so far
        self.blocks: list[list[tuple[Tensor, Tensor]]] = [[] for _ in scene]
        self.prepare()

    def prepare(self) -> None:
        """The turns of the coming position: its own, and the prefix's, moved along once it is W + 2 behind."""
        k = self.scene[0][0]
        kind = torch.float64 if k.dtype == torch.float64 else torch.float32
        position = torch.full((), self.age + 1, device=k.device, dtype=kind)
        moved = (position - (self.window + 2)).clamp(min=0)
        self.turn = turn(self.rope.tokens(position))
        self.scene_turn = turn(self.rope.scene(moved))
        self.sink_turn = turn(self.rope.tokens(moved + 1))

    def append(self, layer: int, k: Tensor, v: Tensor) -> Seen:
        """Add the coming position's keys and values to `layer`; return all that it sees."""
        scene_k, scene_v = self.scene[layer]
        blocks = self.blocks[layer]
        blocks.append((k if self.age == 0 else rotate(k, self.turn), v))
        if len(blocks) > self.window + 2:
            del blocks[1]
        prefix = [rotate(scene_k, self.scene_turn), rotate(blocks[0][0], self.sink_turn)]
        keys = torch.cat(prefix + [b[0] for b in blocks[1:]], dim=2)
        return keys, torch.cat([scene_v] + [b[1] for b in blocks], dim=2), None

    def advance(self) -> None:
        """The position is complete in all layers."""
        self.age += 1
        self.prepare()

    def detach(self) -> GrowingCache:
        """The same memory without its history: between two segments of a long video (AAPT v2, section 2.3)."""
        other = GrowingCache(
            self.rope, [(k.detach(), v.detach()) for k, v in self.scene], self.window
        )
        other.blocks = [[(k.detach(), v.detach()) for k, v in layer] for layer in self.blocks]
        other.age = self.age
        other.prepare()
        return other


class RingCache(Road):
    """Fixed memory for endless play; every row of the batch has its own age.

    Memory per layer, in blocks of N tokens after S scene tokens:

        [ scene | sink | ring of W + 1: position p >= 2 sits in ring block (p - 2) mod (W + 1) ]

    Keys are stored turned, ready to be seen. Those of scene and sink turn anew at each step; `prefix` holds them as
    they were made.

    Args:
        rope: turns.
        scene: keys and values of the scene tokens, per layer.
        window: positions that are remembered beside scene and sink.
        kind: dtype of keys and values; None: the scene's. FP8 takes half the bytes of bf16 (e4m3 without scales: keys
            are normed), is read back in the scene's dtype, and costs some quality.
    """

    STATE = ("keys", "values", "prefix", "age")

    def __init__(self, rope: Rope, scene: KV, window: int, kind: torch.dtype | None = None):
        k = scene[0][0]
        batch, heads, self.scenes, dim = k.shape
        self.rope, self.window, self.tokens = rope, window, rope.grid.shape[0]
        shape = (len(scene), batch, heads, self.scenes + (window + 2) * self.tokens, dim)
        self.keys, self.values = (k.new_zeros(shape, dtype=kind or k.dtype) for _ in range(2))
        self.prefix = k.new_zeros(*shape[:3], self.scenes + self.tokens, dim)
        self.age = torch.zeros(batch, dtype=torch.int64, device=k.device)
        self.rows = torch.arange(batch, device=k.device)
        self.put_scene(self.rows, scene)
        self.prepare()

    def put_scene(self, rows: Tensor, scene: KV) -> None:
        """Write scene keys and values [n, heads, S, d] of `rows` [n]."""
        for layer, (k, v) in enumerate(scene):
            self.prefix[layer, rows, :, : self.scenes] = k
            values = bits(self.values[layer])
            values[rows, :, : self.scenes] = bits(stored(v, self.values.dtype))

    def prepare(self) -> None:
        """Per row: where the coming position goes, its turn, the prefix turned, and which blocks are filled."""
        age, w = self.age, self.window
        kind = torch.float64 if self.prefix.dtype == torch.float64 else torch.float32
        position = (age + 1).to(kind)
        moved = (position - (w + 2)).clamp(min=0)
        self.turn = turn(self.rope.tokens(position)[:, None])  # [B, 1, N, d/2]
        scene = self.rope.scene(moved).expand(-1, self.scenes, -1)
        angles = torch.cat([scene, self.rope.tokens(moved + 1)], dim=1)[:, None]
        turned = stored(rotate(self.prefix, turn(angles)), self.keys.dtype)
        self.keys[:, :, :, : self.prefix.shape[3]] = turned
        self.slot = torch.where(age == 0, 0, 1 + (age - 1) % (w + 1))
        self.first = (age == 0)[:, None, None, None]
        self.filled = (age + 1).clamp(max=w + 2) * self.tokens + self.scenes  # [B]
        column = torch.arange(self.keys.shape[3], device=age.device)
        hidden = column[None, :] >= self.filled[:, None]
        self.bias = self.prefix.new_zeros(hidden.shape)
        self.bias = self.bias.masked_fill(hidden, -torch.inf)[:, None, None]  # [B, 1, 1, slots]
        self.place = self.common()

    def common(self) -> slice | None:
        """The tokens where all rows put the coming position, if they share one and it is not the sink; CPU only.

        Looking at the ages waits for a GPU.
        """
        ages = self.age.tolist() if self.age.device.type == "cpu" else []
        if not ages or ages[0] == 0 or any(age != ages[0] for age in ages):
            return None
        first = self.scenes + (1 + (ages[0] - 1) % (self.window + 1)) * self.tokens
        return slice(first, first + self.tokens)

    def append(self, layer: int, k: Tensor, v: Tensor) -> Seen:
        """Write the coming position's keys and values into `layer`; return all that it sees.

        Raises:
            RuntimeError: gradients are being recorded; a ring overwrites what they would need.
        """
        if k.requires_grad:
            raise RuntimeError(
                "RingCache overwrites its memory: train with GrowingCache, play under no_grad"
            )
        keys, values = self.keys[layer], self.values[layer]
        if self.place is not None:
            keys[:, :, self.place] = stored(rotate(k, self.turn), keys.dtype)
            values[:, :, self.place] = stored(v, values.dtype)
            return self.read(keys, values)
        sink = self.prefix[layer, :, :, self.scenes :]
        sink.copy_(torch.where(self.first, k.to(sink.dtype), sink))
        turned = rotate(k, self.turn)
        for memory, made in ((keys, turned), (values, v)):
            self.blocks(bits(memory))[self.rows, :, self.slot] = bits(stored(made, memory.dtype))
        return self.read(keys, values)

    def read(self, keys: Tensor, values: Tensor) -> Seen:
        """A layer's memory as it is seen."""
        if keys.dtype == FP8:
            keys, values = keys.to(self.prefix.dtype), values.to(self.prefix.dtype)
        return keys, values, self.bias

    def blocks(self, memory: Tensor) -> Tensor:
        """[B, heads, S + (W+2)N, d] -> a view [B, heads, W+2, N, d] of what follows the scene."""
        return memory[:, :, self.scenes :].unflatten(2, (self.window + 2, self.tokens))

    def advance(self) -> None:
        """The position is complete in all layers."""
        self.age += 1
        self.prepare()

    @property
    def memory(self) -> tuple[Tensor, Tensor, Tensor]:
        """Keys, values and prefix, [layers, B, heads, ...] each."""
        return self.keys, self.values, self.prefix

    def put(self, rows: list[int], other: RingCache, picks: list[int]) -> None:
        """Make `rows` what rows `picks` of `other` are: new episodes begin there, and no other row changes."""
        there, here = (torch.tensor(some, device=self.age.device) for some in (rows, picks))
        for mine, theirs in zip(self.memory, other.memory, strict=True):
            for layer in range(len(mine)):  # one at a time: a copy of all layers may not fit
                bits(mine[layer])[there] = bits(theirs[layer])[here]
        self.age[there] = other.age[here]
        self.prepare()

    def select(self, rows: Tensor) -> RingCache:
        """A new cache of copies of `rows` [n], repeats allowed: fork."""
        other = object.__new__(RingCache)
        other.__dict__.update(self.__dict__)
        for name in ("keys", "values"):
            memory = getattr(self, name)
            setattr(other, name, bits(memory)[:, rows].view(memory.dtype))  # indexing copies
        other.prefix = self.prefix[:, rows]
        other.age, other.rows = self.age[rows], torch.arange(len(rows), device=rows.device)
        other.prepare()
        return other

    def state(self) -> dict[str, Tensor]:
        """A copy of all that the future depends on."""
        return {name: getattr(self, name).clone() for name in self.STATE}

    def load(self, state: dict[str, Tensor]) -> None:
        """Go back to what `state()` gave.

        Raises:
            ValueError: shapes differ, that is another batch size or another world; or an age that no dream reaches.
                Nothing has changed then.
        """
        for name in self.STATE:
            mine = getattr(self, name)
            if name not in state or state[name].shape != mine.shape:
                got = tuple(state[name].shape) if name in state else None
                raise ValueError(f"cache state {name}: expected {tuple(mine.shape)}, got {got}")
        ages = state["age"]
        if bool(((ages < 0) | (ages > OLDEST)).any()):
            raise ValueError(
                f"cache state age: expected 0 to {OLDEST}, got {ages.min()} to {ages.max()}"
            )
        for name in self.STATE:
            getattr(self, name).copy_(state[name])
        self.prepare()
