"""The generator: one forward pass, one latent (AAPT v2, section 2.1)."""

from __future__ import annotations

from einops import rearrange
from torch import Tensor, nn

from aapt_env.model.trunk import Trunk, TrunkConfig, modulate
from aapt_env.spec import ControlSpec


class Generator(nn.Module):
    """Trunk and a linear head that gives the velocity v = noise - latent."""

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
        tokens, condition, _ = self.trunk(x, previous, controls, t, seen)
        if features is not None:
            features.append(tokens)
        shift, scale = self.adjust(condition)[:, :, None].chunk(2, dim=-1)
        out = self.leave(modulate(tokens, shift, scale).to(self.leave.weight.dtype))
        p, rows = self.config.patch, self.config.rows // self.config.patch
        v = rearrange(out, "b t (h w) (c p q) -> b t c (h p) (w q)", h=rows, p=p, q=p)
        return v.to(x.dtype)
