"""Reward and termination of a latent, read from the features of the very pass that makes it: no pass of its own."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from aapt_env.model.trunk import TrunkConfig

GRID = 4  # tokens are pooled to a grid of so many cells each way, so that the head's size is that of no picture


def symlog(x: Tensor) -> Tensor:
    """Logarithm of both signs: fine around zero, coarse far from it."""
    return x.sign() * x.abs().log1p()


def symexp(x: Tensor) -> Tensor:
    """The inverse of `symlog`."""
    return x.sign() * x.abs().expm1()


class OutcomeHead(nn.Module):
    """Features of a step -> expected reward of its latent, and the probability that the episode ends with it.

    Reward is a distribution over `values`, so that a rare crash does not drag the common case along, and what is given
    out is its mean.

    Attributes:
        values: [bins] rewards, ascending; set once from recorded ones by `span`.
        threshold: the probability from which a dream ends, chosen on recorded endings.
    """

    def __init__(self, trunk: TrunkConfig, width: int = 64, bins: int = 41):
        super().__init__()
        self.rows, self.columns = trunk.rows // trunk.patch, trunk.columns // trunk.patch
        self.read = nn.Linear(trunk.dim, width)
        self.mix = nn.Linear(width * GRID**2, 2 * width)
        self.reward, self.end = nn.Linear(2 * width, bins), nn.Linear(2 * width, 1)
        self.register_buffer("values", torch.linspace(-1, 1, bins))
        self.register_buffer("threshold", torch.tensor(0.5))
        for layer, bias in ((self.reward, 0.0), (self.end, -5.0)):
            nn.init.zeros_(layer.weight)
            nn.init.constant_(layer.bias, bias)

    def span(self, rewards: Tensor) -> None:
        """Lay `values` from the least to the greatest of recorded rewards [n], dense around zero."""
        scale = rewards.abs().mean().clamp(min=1e-6)
        low, high = symlog(rewards.min() / scale), symlog(rewards.max() / scale)
        if high - low < 1e-3:
            low, high = low - 1, high + 1
        steps = torch.linspace(0, 1, len(self.values), device=self.values.device)
        self.values.copy_(scale * symexp(low + (high - low) * steps))

    def logits(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, T, N, D] -> logits of `values` [B, T, bins], and of an end [B, T]."""
        x = F.layer_norm(features.to(self.read.weight.dtype), features.shape[-1:])
        batch = x.shape[:2]
        x = rearrange(self.read(x), "b t (h w) d -> (b t) d h w", h=self.rows, w=self.columns)
        x = F.silu(F.adaptive_avg_pool2d(x, GRID).flatten(1))
        x = F.silu(self.mix(x)).unflatten(0, batch)
        return self.reward(x), self.end(x)[..., 0]

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, T, N, D] -> reward [B, T], summed over the latent's frames, and probability of an end [B, T]."""
        reward, end = self.logits(features)
        return (reward.softmax(-1) * self.values).sum(-1), end.sigmoid()

    def losses(self, features: Tensor, rewards: Tensor, ended: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropies of recorded rewards [B, T] and endings [B, T] bool: two of [B, T]."""
        reward, end = (x.float() for x in self.logits(features))
        two_hot = -(self.shares(rewards) * reward.log_softmax(-1)).sum(-1)
        return two_hot, F.binary_cross_entropy_with_logits(end, ended.float(), reduction="none")

    def shares(self, rewards: Tensor) -> Tensor:
        """[...] -> [..., bins]: weight on the two values around each reward, whose mean is the reward."""
        rewards = rewards.clamp(self.values[0], self.values[-1])
        above = torch.searchsorted(self.values, rewards.contiguous()).clamp(1, len(self.values) - 1)
        low, high = self.values[above - 1], self.values[above]
        weight = ((rewards - low) / (high - low))[..., None]
        shares = rewards.new_zeros(*rewards.shape, len(self.values))
        shares.scatter_(-1, above[..., None] - 1, 1 - weight)
        return shares.scatter_(-1, above[..., None], weight)
