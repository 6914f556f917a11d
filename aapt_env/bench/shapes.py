"""Named shapes: the work of larger worlds and of peers, at our network's sizes, with random weights.

A shape measures and counts speed only. What it takes over from the model it is named after, and what it does not, is
in `assumes`, which every report of it prints.
"""

from __future__ import annotations

from dataclasses import dataclass

from aapt_env import sizes
from aapt_env.model.trunk import TrunkConfig
from aapt_env.model.vae import VAEConfig
from aapt_env.spec import ControlSpec, WorldSpec


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes of one."""

    about: str  # one line for --help and the report
    assumes: tuple[str, ...]  # what is taken over, what is ours
    height: int  # pixels
    width: int  # pixels
    k: int  # frames per latent
    frame_fps: int  # of real time
    dim: int
    depth: int
    heads: int
    window: int  # latents seen before the current one, besides the sink
    patch: int = 2  # latent cells per token, each way
    channels: int = 16  # of a latent
    fold: int  # pixels the decoder folds into channels, each way
    decoder: tuple[int, ...]  # widths from the finest scale down
    control: ControlSpec

    def sizes(self, name: str) -> tuple[WorldSpec, TrunkConfig, VAEConfig]:
        """Spec and sizes, as those of a checkpoint. The encoder is thin: it only makes a start."""
        coder = VAEConfig(
            k=self.k,
            channels=self.channels,
            patch=self.fold,
            encoder=(8,) * len(self.decoder),
            decoder=self.decoder,
        )
        spec = WorldSpec(
            game=name, height=self.height, width=self.width, control=self.control, frame_fps=self.frame_fps, k=self.k,
            stride=coder.stride, channels=self.channels,
        )  # fmt: skip
        spec, trunk = sizes.fit(
            spec, coder, patch=self.patch, dim=self.dim, depth=self.depth, heads=self.heads, window=self.window,
        )  # fmt: skip
        return spec, trunk, coder


SHAPES = {
    "paper-8b": Shape(
        about="the generator of the AAPT paper: 8B, 736x416",
        assumes=(
            "36 blocks of width 4096 with 32 heads, window 30, 4 frames per latent, the light decoder's widths 64-512",
            "our reading: patch 2 and 16 channels (1,196 tokens per latent), MLP of 4 widths, no text tokens",
            "the decoder is ours: the 4 frames of a latent are folded into channels, so it does less than theirs",
        ),
        height=416, width=736, k=4, frame_fps=24,
        dim=4096, depth=36, heads=32, window=30,
        fold=1, decoder=(64, 128, 256, 512),
        control=ControlSpec(kind="vector", space="Box", size=6),
    ),
    "open-oasis": Shape(
        about="open-oasis: 0.5B, 640x360, Minecraft",
        assumes=(
            "latents of 18x32 in 144 tokens, width 1024 with 16 heads, a memory of 32 frames, one frame per latent",
            "32 blocks of ours for its 16 of a spatial and a temporal half each; all tokens of the window are seen",
            "one pass per frame where theirs makes 10 over all 32; the decoder is ours, convolutions from 1/5 up",
        ),
        height=360, width=640, k=1, frame_fps=20,
        dim=1024, depth=32, heads=16, window=30,
        fold=5, decoder=(128, 256, 512),
        control=ControlSpec(kind="vector", space="Box", size=25),
    ),
    "wan-1.3b": Shape(
        about="Wan 2.1 1.3B, 832x480, as its causal one-step descendants use it",
        assumes=(
            "30 blocks of width 1536 with 12 heads, 1,560 tokens per latent, 4 frames per latent, 21 latents of memory",
            "an MLP of 4 widths (theirs: 5.8) and no attention to text: 0.87B of its 1.3B weights",
            "the decoder is ours, of the widths of the paper's light one",
        ),
        height=480, width=832, k=4, frame_fps=16,
        dim=1536, depth=30, heads=12, window=19,
        fold=1, decoder=(64, 128, 256, 512),
        control=ControlSpec(kind="vector", space="Box", size=6),
    ),
    "diamond-64": Shape(
        about="DIAMOND's Atari world: 4.4M weights, 64x64, 4 frames of memory",
        assumes=(
            "64x64, one frame per step, 18 buttons, 4 frames of memory, about as many weights as its U-Net",
            "tokens of latents and a decoder where theirs is a U-Net over pixels, and one pass where theirs makes 3",
        ),
        height=64, width=64, k=1, frame_fps=15,
        dim=256, depth=4, heads=4, window=3,
        fold=4, decoder=(64, 96),
        control=ControlSpec(space="Discrete", size=18),
    ),
}  # fmt: skip


def shape(name: str) -> Shape:
    """A shape by its name.

    Raises:
        ValueError: there is none of that name; says which there are.
    """
    if name not in SHAPES:
        raise ValueError(f"unknown shape {name!r}; there are {', '.join(SHAPES)}")
    return SHAPES[name]
