"""The video VAE: 8x in space, k frames to one latent, causal in time, decoded as a stream.

The paper's VAE is a causal 3D convolution network (AAPT v2, section 2.1); ours folds the k frames of a latent into
channels and keeps time causal with a memory of one latent per block, so that every convolution is 2D and the stream's
state is small.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

State = list[Tensor]  # one [B, width, h', w'] feature map per memory block; see `Decoder`


@dataclass(frozen=True, kw_only=True)
class VAEConfig:
    """Sizes of the VAE. The stride is `patch` times 2 per width after the first: 4 and two widths give 8."""

    k: int = 4  # frames per latent: 1, 2 or 4
    channels: int = 16  # latent channels C
    patch: int = 4  # pixels folded into channels, each way
    encoder: tuple[int, ...] = (128, 192)  # widths from 1/2 resolution down to 1/stride
    decoder: tuple[int, ...] = (128, 192)  # likewise; the decoder runs in play

    def __post_init__(self):
        object.__setattr__(self, "encoder", tuple(self.encoder))
        object.__setattr__(self, "decoder", tuple(self.decoder))
        if not all(
            type(v) is int and v > 0
            for v in (self.channels, self.patch, *self.encoder, *self.decoder)
        ):
            raise ValueError(
                f"{self.channels=}, {self.patch=}, {self.encoder=}, {self.decoder=}; expected whole numbers >= 1"
            )
        if self.k not in (1, 2, 4):
            raise ValueError(f"k={self.k}; expected 1, 2 or 4 frames per latent")
        if len(self.encoder) != len(self.decoder) or not self.encoder:
            raise ValueError(f"{self.encoder=} and {self.decoder=} must have equal length >= 1")

    @property
    def stride(self) -> int:
        """Pixels per latent cell, each way."""
        return self.patch * 2 ** (len(self.encoder) - 1)


def conv(c_in: int, c_out: int, stride: int = 1, zero: bool = False) -> nn.Conv2d:
    """A 3x3 convolution; `zero` starts it at zero, so that a residual branch begins as the identity."""
    layer = nn.Conv2d(c_in, c_out, 3, stride=stride, padding=1)
    if zero:
        nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class ResBlock(nn.Module):
    """x + conv(silu(conv(silu(x)))), without norms: fast on every device, exact in a stream."""

    def __init__(self, width: int, c_in: int | None = None):
        super().__init__()
        self.first = conv(c_in or width, width)
        self.second = conv(width, width, zero=True)

    def branch(self, x: Tensor) -> Tensor:
        """[n, c_in, h, w] -> [n, width, h, w]."""
        return self.second(F.silu(self.first(F.silu(x))))

    def forward(self, x: Tensor) -> Tensor:
        """[n, width, h, w] -> the same shape."""
        return x + self.branch(x)


class MemoryBlock(ResBlock):
    """A residual block that also sees its own input one latent earlier: a causal convolution of length 2 over time."""

    def __init__(self, width: int):
        super().__init__(width, 2 * width)

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Of x [B, T, width, h, w], past [B, width, h, w] (the input at T = -1) -> (output, next past).

        Joined with channels last, as they lie in memory: whole pixels are copied.
        """
        now = x.movedim(2, -1)
        earlier = torch.cat([past.movedim(1, -1)[:, None], now[:, :-1]], dim=1)
        both = torch.cat([now, earlier], dim=-1).flatten(0, 1).movedim(-1, 1)
        return x + self.branch(both).unflatten(0, x.shape[:2]), x[:, -1]


class Encoder(nn.Module):
    """k frames -> mean and log variance of one latent. Each latent is a function of its own k frames."""

    def __init__(self, config: VAEConfig):
        super().__init__()
        widths = config.encoder
        folded = 3 * config.patch**2 * config.k
        layers: list[nn.Module] = [nn.PixelUnshuffle(config.patch), conv(folded, widths[0])]
        for i, width in enumerate(widths):
            layers += [ResBlock(width)]
            if i + 1 < len(widths):
                layers += [conv(width, widths[i + 1], stride=2)]
        layers += [ResBlock(widths[-1]), nn.SiLU(), conv(widths[-1], 2 * config.channels)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[n, 3k, H, W] in [-1, 1] -> mean, log variance [n, C, h, w]."""
        x = x.contiguous(memory_format=torch.channels_last)
        mean, log_variance = self.layers(x).chunk(2, dim=1)
        return mean, log_variance.clamp(-12, 4)


class Decoder(nn.Module):
    """Latents -> frames, with a memory of one latent per scale.

    State: one feature map per scale, the input of its memory block at the previous latent; zeros before the first.
    """

    def __init__(self, config: VAEConfig):
        super().__init__()
        widths = config.decoder[::-1]
        self.k, self.patch, self.widths = config.k, config.patch, widths
        self.enter = conv(config.channels, widths[0])
        self.memory = nn.ModuleList(MemoryBlock(w) for w in widths)
        self.refine = nn.ModuleList(ResBlock(w) for w in widths)
        self.grow = nn.ModuleList(conv(a, b) for a, b in zip(widths, widths[1:], strict=False))
        self.leave = conv(widths[-1], 3 * config.patch**2 * config.k)

    def start(self, batch: int, h: int, w: int, like: Tensor) -> State:
        """The state before the first latent: zeros on the device and in the dtype of `like`."""
        return [like.new_zeros(batch, width, h << i, w << i) for i, width in enumerate(self.widths)]

    def forward(self, z: Tensor, state: State) -> tuple[Tensor, State]:
        """[B, T, C, h, w] unscaled latents -> ([B, T, k, 3, H, W], next state)."""
        x, after = self.last(z, state)
        return shuffle(x, self.k, self.patch), after

    def last(self, z: Tensor, state: State) -> tuple[Tensor, State]:
        """As `forward`, to what the last layer gives: [B, T, 3 * k * patch**2, H / patch, W / patch]."""
        batch = z.shape[:2]
        x = z.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        x, after = self.enter(x), []
        for i, (memory, refine) in enumerate(zip(self.memory, self.refine, strict=True)):
            x, past = memory(x.unflatten(0, batch), state[i].to(x.dtype))
            after.append(past)
            x = refine(x.flatten(0, 1))
            if i < len(self.grow):
                x = self.grow[i](F.interpolate(x, scale_factor=2, mode="nearest"))
        return self.leave(F.silu(x)).unflatten(0, batch), after


def shuffle(x: Tensor, k: int, patch: int) -> Tensor:
    """What the decoder's last layer gives [B, T, 3 * k * patch**2, h, w] -> pixels [B, T, k, 3, H, W]."""
    return F.pixel_shuffle(x, patch).unflatten(2, (k, 3))


def frames_of(x: Tensor, k: int, patch: int) -> Tensor:
    """What the decoder's last layer gives [B, T, 3 * k * patch**2, h, w] -> uint8 frames [B, T, k, H, W, 3].

    Bytes are made first and moved once: a quarter of the memory of moving what they are made from.
    """
    x = (x.float() * 127.5).add_(127.5).round_().clamp_(0, 255).to(torch.uint8)
    parts = "b t (k c p q) h w -> b t k (h p) (w q) c"
    return rearrange(x, parts, k=k, c=3, p=patch).contiguous()


class VAE(nn.Module):
    """Frames <-> latents of unit variance.

    Latent 0 is frame 0 alone (seen as k equal frames); latent i >= 1 is frames k(i-1)+1 ... ki.
    """

    def __init__(self, config: VAEConfig):
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.register_buffer("shift", torch.zeros(config.channels))
        self.register_buffer("scale", torch.ones(config.channels))
        self.to(memory_format=torch.channels_last)

    def groups(self, frames: Tensor) -> Tensor:
        """[B, 1 + nk, H, W, 3] uint8 -> [B, 1 + n, 3k, H, W] float in [-1, 1]; frame 0 stands k times.

        Raises:
            ValueError: frames are not 1 + n*k, not uint8 RGB, or no multiple of the stride.
        """
        k, stride = self.config.k, self.config.stride
        good = frames.ndim == 5 and frames.shape[-1] == 3 and frames.dtype == torch.uint8
        good = good and frames.shape[1] > 0 and (frames.shape[1] - 1) % k == 0
        if not good or frames.shape[2] % stride or frames.shape[3] % stride:
            raise ValueError(
                f"frames {tuple(frames.shape)} {frames.dtype}; expected uint8 [B, 1 + n*{k}, H, W, 3] "
                f"with H and W multiples of {stride}"
            )
        first = frames[:, :1].expand(-1, k, -1, -1, -1)
        x = torch.cat([first, frames[:, 1:]], dim=1)
        return rearrange(x, "b (t k) h w c -> b t (k c) h w", k=k).float() / 127.5 - 1

    def encode(self, frames: Tensor) -> Tensor:
        """[B, 1 + nk, H, W, 3] uint8 -> [B, 1 + n, C, h, w] latents of unit variance; the first is encoded alone."""
        x = self.groups(frames)
        mean, _ = self.encoder(x.flatten(0, 1))
        return self.normalise(mean).unflatten(0, x.shape[:2])

    def encode_alone(self, frames: Tensor) -> Tensor:
        """[n, H, W, 3] uint8 -> [n, C, h, w]: each frame as a latent 0, the way every window and every dream begins."""
        return self.encode(frames[:, None])[:, 0]

    def start(self, batch: int, h: int, w: int) -> State:
        """The decoder state before the first latent."""
        return self.decoder.start(batch, h, w, self.decoder.enter.weight)

    def decode(self, latents: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Decode a run of latents; in pieces or in one go gives the same frames to float tolerance.

        Args:
            latents: [B, T, C, h, w] of unit variance.
            state: what the last call returned; None before the first latent.

        Returns:
            ([B, T, k, H, W, 3] uint8, next state). Of a first latent, all k frames show frame 0.

        Raises:
            ValueError: latents of another shape.
        """
        if latents.ndim != 5 or latents.shape[2] != self.config.channels or not latents.shape[1]:
            raise ValueError(
                f"latents {tuple(latents.shape)}; expected [B, T, {self.config.channels}, h, w], T >= 1"
            )
        if state is None:
            state = self.start(latents.shape[0], *latents.shape[-2:])
        x, state = self.decoder.last(self.unscaled(latents), state)
        return self.frames(x), state

    def frames(self, x: Tensor) -> Tensor:
        """What the decoder's last layer gives -> uint8 [B, T, k, H, W, 3]."""
        return frames_of(x, self.config.k, self.config.patch)

    def decode_float(self, latents: Tensor, state: State) -> tuple[Tensor, State]:
        """As `decode`, to [B, T, k, 3, H, W] around [-1, 1]."""
        return self.decoder(self.unscaled(latents), state)

    def unscaled(self, latents: Tensor) -> Tensor:
        """As the decoder takes them."""
        z = latents * self.scale[:, None, None] + self.shift[:, None, None]
        return z.to(self.decoder.enter.weight.dtype)

    def normalise(self, mean: Tensor) -> Tensor:
        """[n, C, h, w] raw -> unit variance."""
        return (mean.float() - self.shift[:, None, None]) / self.scale[:, None, None]
