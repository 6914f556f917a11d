"""The generator: one forward pass, one latent (AAPT v2, section 2.1)."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn

from aapt_env.model.trunk import Trunk, TrunkConfig, modulate
from aapt_env.spec import ControlSpec

SURE = (
    0.003  # mean square by which carried numbers differ from what is expected of them, in the guess
)


class Generator(nn.Module):
    """Trunk and a linear head that gives the velocity v = noise - latent, as what it adds to a guess.

    The guess knows that the next latent is the last one and a step; without it the network has to cancel the noise and
    to copy the last latent through its norms, which it does badly enough that a dream standing still dissolves.
    """

    def __init__(self, config: TrunkConfig, control: ControlSpec):
        super().__init__()
        self.config = config
        self.trunk = Trunk(config, control)
        self.adjust = nn.Linear(config.dim, 2 * config.dim)
        self.leave = nn.Linear(config.dim, config.channels * config.patch**2)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(
        self,
        x: Tensor,
        previous: Tensor,
        controls: Tensor,
        t: Tensor,
        seen,
        features: list[Tensor] | None = None,
    ) -> Tensor:
        """The velocity at x; arguments as `Trunk.forward`.

        Args:
            features: a list to which what the velocity is read from is added, [B, T, N, D]: for the outcome head.

        Returns:
            [B, T, C, h, w] in the dtype of x.
        """
        previous, room = self.trunk.expected(previous, controls)
        tokens, condition, _ = self.trunk(x, previous, controls, t, seen)
        if features is not None:
            features.append(tokens)
        shift, scale = self.adjust(condition)[:, :, None].chunk(2, dim=-1)
        out = self.leave(modulate(tokens, shift, scale).to(self.leave.weight.dtype))
        out = out if room is None else self.within(out, room)
        return self.velocity(out, x, previous, t)

    def parallel(
        self, x: Tensor, previous: Tensor, controls: Tensor, t: Tensor, scene: Tensor
    ) -> Tensor:
        """The velocity at all positions of a clip in one masked pass; scene [B, attributes], the rest as `forward`.

        Training with real latents goes through here, and so does a rollout that is made once more with gradients.
        """
        return self(x, previous, controls, t, self.trunk.clip(scene, x.shape[1]))

    def velocity(self, out: Tensor, x: Tensor, previous: Tensor, t: Tensor) -> Tensor:
        """What the last layer gives [B, T, N, C * patch**2], as cells, and the guess; shapes as in `forward`."""
        v = lay(out, self.config.rows, self.config.patch)
        return v.to(x.dtype) + guess(x, previous, t, self.change())

    def within(self, out: Tensor, room: Tensor) -> Tensor:
        """What the last layer gives [B, T, N, C * patch**2], carried numbers in units of their room [B, T, numbers]."""
        cells = self.config.patch**2
        count = self.config.carries * cells
        scale = room.repeat_interleave(cells, dim=-1)[:, :, None].to(out.dtype)
        return torch.cat([out[..., :-count], out[..., -count:] * scale], dim=-1)

    def change(self) -> float | Tensor:
        """The guess's variance: one for all, or [C, 1, 1] where numbers are carried, which hardly surprise."""
        c = self.config
        if not c.carries or not c.change:
            return c.change
        change = self.leave.weight.new_full((c.channels, 1, 1), c.change, dtype=torch.float32)
        change[-c.carries :] = SURE
        return change


def lay(out: Tensor, rows: int, patch: int) -> Tensor:
    """Tokens of patches [B, T, N, C * patch**2] -> cells [B, T, C, h, w] with h = `rows`."""
    h, p = rows // patch, patch
    return rearrange(out, "b t (h w) (c p q) -> b t c (h p) (w q)", h=h, p=p, q=p)


def guess(x: Tensor, previous: Tensor, t: Tensor, change: float | Tensor) -> Tensor:
    """The mean velocity at x if latents were steps of independent normal numbers of variance `change`.

    With x = (1 - t) (previous + d) + t z, the mean of z - previous - d given x; at t = 1 it is x - previous, from
    which one pass makes the last latent again. Shapes as in `Generator.forward`.
    """
    if isinstance(change, float | int) and not change:
        return torch.zeros_like(x)
    t = t[..., None, None, None].to(x.dtype)
    left = 1 - t
    away = x - left * previous  # (1 - t) d + t z
    return away * (t - left * change) / (t.square() + left.square() * change) - previous.to(x.dtype)
