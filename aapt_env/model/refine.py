"""What a patch cannot say: convolutions over the cells of a latent, behind the trunk."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from aapt_env.model.trunk import Trunk, TrunkConfig
from aapt_env.model.vae import ResBlock, conv


def lay(out: Tensor, rows: int, patch: int) -> Tensor:
    """Tokens of patches [B, T, N, C * patch**2] -> cells [B, T, C, h, w] with h = `rows`."""
    h, p = rows // patch, patch
    return rearrange(out, "b t (h w) (c p q) -> b t c (h p) (w q)", h=h, p=p, q=p)


class Refine(nn.Module):
    """Residual blocks over cells: what the trunk was given of each, and what it found there, to a correction.

    A picture that moves is the last one, moved by less than a cell: sums over neighbours, which a convolution learns
    from a hundredth of the clips that attention between patches needs for it. Begins at zero, so that it can be put
    behind a trained trunk.

    Args:
        given: numbers of each cell that it reads.
        made: channels that it gives.
        config: of the trunk.
    """

    def __init__(self, given: int, made: int, config: TrunkConfig):
        super().__init__()
        self.patch, width = config.patch, config.breadth
        self.turns = config.carries > 0
        self.enter = conv(given, width)
        self.found = nn.Linear(config.dim, width * self.patch**2)
        self.blocks = nn.ModuleList(ResBlock(width) for _ in range(config.refine))
        self.leave = conv(width, made, zero=True)

    def forward(self, cells: Tensor, before: Tensor, tokens: Tensor) -> Tensor:
        """One pass over latents, each by itself.

        Args:
            cells: [B, T, given, h, w], as the trunk read them.
            before: [B, T, C, h, w], the latents before as they were; read where the trunk has them turned.
            tokens: [B, T, N, D], normalised.

        Returns:
            [B, T, made, h, w].
        """
        batch, rows = cells.shape[:2], cells.shape[-2]
        cells = torch.cat([cells, before], dim=2) if self.turns else cells
        x = self.enter(cells.flatten(0, 1).to(self.enter.weight.dtype))
        x = x + lay(self.found(tokens.to(x.dtype)), rows, self.patch).flatten(0, 1)
        for block in self.blocks:
            x = block(x)
        return self.leave(F.silu(x)).unflatten(0, batch)


def refinement(trunk: Trunk, made: int) -> Refine | None:
    """Convolutions behind a trunk that give `made` channels, as its config asks for them; None of none."""
    config = trunk.config
    if not config.refine:
        return None
    return Refine(trunk.given + (config.channels if config.carries else 0), made, config)


def added(theirs: dict[str, Tensor], made: nn.Module) -> dict[str, Tensor]:
    """Weights to begin with, and where they have no convolutions, those that `made` has."""
    if any(name.startswith("refine.") for name in theirs):
        return theirs
    mine = made.state_dict().items()
    return theirs | {name: value for name, value in mine if name.startswith("refine.")}
