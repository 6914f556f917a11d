"""What a patch cannot say: convolutions over the cells of a latent, behind the trunk."""

from __future__ import annotations

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

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
        given: numbers of each cell that the trunk reads.
        made: channels that are corrected.
        dim: width of the tokens.
        patch: latent cells per token, each way.
        width: of the blocks.
        blocks: how many.
    """

    def __init__(self, given: int, made: int, dim: int, patch: int, width: int, blocks: int):
        super().__init__()
        self.patch = patch
        self.enter = conv(given, width)
        self.found = nn.Linear(dim, width * patch**2)
        self.blocks = nn.ModuleList(ResBlock(width) for _ in range(blocks))
        self.leave = conv(width, made, zero=True)

    def forward(self, cells: Tensor, tokens: Tensor) -> Tensor:
        """Of cells [B, T, given, h, w] and tokens [B, T, N, D]: [B, T, made, h, w]."""
        batch, rows = cells.shape[:2], cells.shape[-2]
        x = self.enter(cells.flatten(0, 1).to(self.enter.weight.dtype))
        x = x + lay(self.found(tokens), rows, self.patch).flatten(0, 1)
        for block in self.blocks:
            x = block(x)
        return self.leave(F.silu(x)).unflatten(0, batch)
