"""The block-causal diffusion transformer that generator and critic share (AAPT v2, sections 2.1 and 2.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from aapt_env import carried
from aapt_env.controls import check_maps, encoder
from aapt_env.model.cache import KV, Clip, KeyValue, Parallel, Scene, Turns, asked, join
from aapt_env.model.rope import Rope
from aapt_env.spec import CarriedSpec, ControlSpec
from aapt_env.strict import strict


@dataclass(frozen=True, kw_only=True)
class TrunkConfig:
    """Sizes of the transformer."""

    channels: int = 16  # latent channels C
    rows: int = 8  # latent grid h
    columns: int = 8  # latent grid w
    patch: int = 2  # latent cells per token, each way
    dim: int = 256  # width D
    depth: int = 6  # blocks
    heads: int = 4
    window: int = 12  # W: latents seen before the current one, besides the sink
    scenes: tuple[int, ...] = ()  # values per scene attribute; one scene token each
    change: float = 0.0  # mean square from one latent to the next that the generator's guess expects; 0: it has none
    carried: CarriedSpec | None = None  # what the last channels are, where they are no picture

    def __post_init__(self):
        object.__setattr__(self, "scenes", tuple(self.scenes))
        if not isinstance(self.carried, (CarriedSpec, type(None))):
            object.__setattr__(self, "carried", strict(CarriedSpec, self.carried, "carried"))
        sizes = {
            n: getattr(self, n)
            for n in ("channels", "rows", "columns", "patch", "dim", "depth", "heads", "window")
        }
        wrong = {n: v for n, v in sizes.items() if type(v) is not int or v < 1}
        if wrong or not all(type(v) is int and v > 0 for v in self.scenes):
            raise ValueError(f"sizes {wrong or self.scenes}; expected whole numbers >= 1")
        if (
            isinstance(self.change, bool)
            or not isinstance(self.change, (int, float))
            or not 0 <= self.change <= 100
        ):
            raise ValueError(f"change {self.change!r}; expected a number from 0 to 100")
        if self.carried is not None and not self.change:
            raise ValueError("change 0 with carried numbers, which need a guess; expected above 0")
        if self.dim % self.heads:
            raise ValueError(f"{self.dim=} must be divisible by {self.heads=}")
        if self.rows % self.patch or self.columns % self.patch:
            raise ValueError(f"grid {self.rows}x{self.columns} must be divisible by {self.patch=}")

    @property
    def carries(self) -> int:
        """Channels of a latent that are carried numbers."""
        return self.carried.channels if self.carried else 0

    @property
    def tokens(self) -> int:
        """Tokens per latent N."""
        return self.rows * self.columns // self.patch**2


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    """Attention of q [B, heads, n, e] over k [B, heads, m, e], v [B, heads, m, d] with an additive bias.

    The scale is that of d: e is d, or 2 d where each feature stands there turned in two ways (`segment.Segment`).
    On a CPU the fused kernel wins in bf16 without gradients, twice over; plain products win elsewhere.
    """
    scale = v.shape[-1] ** -0.5
    if q.device.type != "cpu" or (q.dtype == torch.bfloat16 and not torch.is_grad_enabled()):
        bias = None if bias is None else bias.to(q.dtype)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=scale)
    scores = (q * scale) @ k.transpose(-1, -2)
    if bias is not None:
        scores = scores + bias.to(scores.dtype)
    return scores.softmax(dim=-1) @ v


class Block(nn.Module):
    """Attention and MLP, each shifted, scaled and gated by adaLN; queries and keys are normalised."""

    def __init__(self, dim: int, heads: int, layer: int):
        super().__init__()
        self.heads, self.layer = heads, layer
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.query_norm, self.key_norm = nn.RMSNorm(dim // heads), nn.RMSNorm(dim // heads)
        self.up, self.down = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)
        self.table = nn.Parameter(torch.zeros(6, dim))  # this block's own part of adaLN

    def forward(self, x: Tensor, modulation: Tensor, seen) -> Tensor:
        """Of x [B, T, n, D], modulation [B, T, 6, D], seen: one of the roads of cache.py."""
        if isinstance(seen, Parallel):
            return self.masked(x, modulation, *seen.at(self.layer))
        before, after = self.parts(modulation)
        return self.settle(x, self.attention(x, *before, seen), *after)

    def attention(self, x: Tensor, shift: Tensor, scale: Tensor, seen) -> Tensor:
        """What is found on a road: [B, heads, T*n, d]."""
        q, k, v = self.project(x, shift, scale)
        keys, values, bias = seen.append(self.layer, k, v)
        return attend(seen.ask(q), keys, values, bias)

    def masked(
        self, x: Tensor, modulation: Tensor, ahead: KeyValue, turns: Turns, bias: Tensor | None
    ) -> Tensor:
        """`forward` over a clip, of tensors alone: the unit that `train --compile` compiles, once for all blocks."""
        before, after = self.parts(modulation)
        q, k, v = self.project(x, *before)
        keys, values = join(ahead, turns, k, v)
        return self.settle(x, attend(asked(q, turns), keys, values, bias), *after)

    def parts(self, modulation: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """[B, T, 6, D] -> (shift, scale) before attention; gate after it, shift, scale and gate of the MLP."""
        parts = (modulation + self.table.to(modulation.dtype))[:, :, :, None].unbind(2)
        return parts[:2], parts[2:]

    def project(self, x: Tensor, shift: Tensor, scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values [B, heads, T*n, d] of x [B, T, n, D]; not turned yet."""
        qkv = self.qkv(modulate(x, shift, scale).to(self.table.dtype))
        qkv = rearrange(qkv, "b t n (three h d) -> three b h (t n) d", three=3, h=self.heads)
        q, k, v = qkv.unbind(0)
        return rms(q, self.query_norm.weight), rms(k, self.key_norm.weight), v

    def settle(
        self, x: Tensor, y: Tensor, gate: Tensor, shift: Tensor, scale: Tensor, last: Tensor
    ) -> Tensor:
        """Add what attention found, y [B, heads, T*n, d], and then the MLP to x [B, T, n, D]."""
        x = x + gate * self.out(rearrange(y, "b h (t n) d -> b t n (h d)", t=x.shape[1]))
        hidden = modulate(x, shift, scale).to(self.table.dtype)
        hidden = F.gelu(self.up(hidden))
        return x + last * self.down(hidden)


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """LayerNorm without weights, then scale and shift, in their dtype."""
    return F.layer_norm(x, x.shape[-1:]).to(scale.dtype) * (1 + scale) + shift


def rms(x: Tensor, weight: Tensor) -> Tensor:
    """RMSNorm over the last axis with its weight in the dtype of x."""
    return F.rms_norm(x, x.shape[-1:], weight.to(x.dtype), 1e-6)


def wave(t: Tensor, size: int = 128) -> Tensor:
    """Sinusoidal features of a diffusion time in [0, 1]: [...] -> [..., size]."""
    t = t.to(torch.promote_types(t.dtype, torch.float32))
    steps = torch.arange(size // 2, device=t.device, dtype=t.dtype)
    speed = torch.exp(-math.log(10_000) * steps / (size // 2))
    angle = t[..., None] * 1000 * speed
    return torch.cat([angle.cos(), angle.sin()], dim=-1)


class Trunk(nn.Module):
    """Tokens of latents in, features out.

    Position i reads `[x_i | latent_{i-1} | control maps_i]` on channels, the control vector and the time step through
    adaLN, and the scene as a prefix of tokens that see only themselves.
    """

    def __init__(self, config: TrunkConfig, control: ControlSpec):
        super().__init__()
        self.config = config
        dim = config.dim
        self.control = encoder(control, dim, (config.rows, config.columns))
        self.carrier = None
        if config.carried is not None:
            self.carrier = carried.carrier(config.carried, control, (config.rows, config.columns))
        where = self.carrier.map_channels if self.carrier is not None else 0
        channels = 2 * config.channels + self.control.map_channels + where
        self.enter = nn.Linear(channels * config.patch**2, dim)
        self.time = nn.Sequential(nn.Linear(128, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.modulation = nn.Linear(dim, 6 * dim)
        self.scene_table = nn.Embedding(sum(config.scenes), dim) if config.scenes else None
        self.scene_modulation = nn.Parameter(torch.zeros(6, dim))
        blocks = [Block(dim, config.heads, i) for i in range(config.depth)]
        self.blocks = nn.ModuleList(blocks)
        patches = config.rows // config.patch, config.columns // config.patch
        self.rope = Rope(dim // config.heads, *patches)
        offsets = torch.tensor((0, *config.scenes[:-1]), dtype=torch.int64).cumsum(0)
        self.register_buffer("offsets", offsets[: len(config.scenes)], persistent=False)
        nn.init.normal_(self.modulation.weight, std=0.02)
        nn.init.zeros_(self.modulation.bias)

    def scene(self, scene: Tensor) -> KV:
        """Keys and values of the scene, once per episode: scene [B, attributes] int64 -> per layer [B, heads, S, d]."""
        if self.scene_table is None:
            x = self.enter.weight.new_zeros(scene.shape[0], 1, 0, self.config.dim)
        else:
            x = self.scene_table(scene + self.offsets)[:, None]  # [B, 1, S, D]
        seen = Scene()
        for block in self.blocks:
            x = block(x, self.scene_modulation[None, None], seen)
        return seen.kv

    def clip(self, scene: Tensor, length: int, causal: bool = True) -> Clip:
        """The context of a masked parallel pass over `length` latents, at most W + 2."""
        if length > self.config.window + 2:
            raise ValueError(
                f"a parallel pass sees at most W + 2 = {self.config.window + 2} latents, got {length}"
            )
        return Clip(self.rope, self.scene(scene), length, causal)

    def expected(self, previous: Tensor, controls: Tensor) -> tuple[Tensor, Tensor | None]:
        """The latents before as the controls would have them, and how far carried numbers can be from that.

        The picture turns with the heading, where that is carried: what a turn does to a latent need not be learned.

        Shapes as `forward`, and [B, T, numbers]; None where none are carried.
        """
        if self.carrier is None:
            return previous, None
        before = carried.read(previous.float(), self.config.carries)
        numbers = self.carrier.expected(before, controls)
        seen = self.carrier.turned(previous, before, numbers)
        return carried.put(seen, numbers), self.carrier.room(before, numbers)

    def where(self, previous: Tensor) -> Tensor | None:
        """What carried numbers look like to the networks: [B, T, M, h, w], or None."""
        if self.carrier is None:
            return None
        return self.carrier.maps(previous[:, :, -self.config.carries :, 0, 0].float())

    def forward(
        self,
        x: Tensor,
        previous: Tensor,
        controls: Tensor,
        t: Tensor,
        seen,
        taps: tuple[int, ...] = (),
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """One pass.

        Args:
            x: [B, T, C, h, w] noise, noisy latents, or (critic) clean latents.
            previous: [B, T, C, h, w] the latent before each, as `expected` gives it.
            controls: [B, T, k, width].
            t: [B, T] diffusion time in [0, 1].
            seen: a Clip, GrowingCache, RingCache or Segment.
            taps: blocks after which features are also wanted.

        Returns:
            features [B, T, N, D], condition [B, T, D], features at the taps.
        """
        vector, maps = self.control(controls)
        check_maps(maps, self.control.map_channels, (self.config.rows, self.config.columns))
        inputs = [x, previous, maps, self.where(previous)]
        inputs = [each for each in inputs if each is not None]
        p = self.config.patch
        patches = rearrange(
            torch.cat(inputs, dim=2), "b t c (h p) (w q) -> b t (h w) (c p q)", p=p, q=p
        )
        tokens = self.enter(patches.to(self.enter.weight.dtype))
        tokens = tokens.to(torch.promote_types(tokens.dtype, torch.float32))  # the residual stream
        condition = self.time(wave(t).to(self.enter.weight.dtype))
        condition = F.silu(condition if vector is None else condition + vector)
        modulation = self.modulation(condition).unflatten(-1, (6, -1))
        tapped = []
        for i, block in enumerate(self.blocks):
            tokens = block(tokens, modulation, seen)
            if i in taps:
                tapped.append(tokens)
        return tokens, condition, tapped
