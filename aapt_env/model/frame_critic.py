"""The critic of frames: the VAE's encoder with a logit at every place instead of a latent."""

from __future__ import annotations

import copy

import torch
from einops import rearrange
from torch import Tensor, nn

from aapt_env.model.vae import VAE, ResBlock, conv


class FrameCritic(nn.Module):
    """Judges k frames in a row, patch by patch (PatchGAN, arXiv 1611.07004) and at every scale of the encoder.

    It begins with the weights of the encoder, which knows what frames are made of, as the critic of latents begins with
    those of the generator. Windows overlap by one frame and so lie anywhere to the latents: what jumps from one latent
    to the next is seen as what stands within one is.
    """

    def __init__(self, vae: VAE):
        super().__init__()
        self.k = vae.config.k
        self.layers = copy.deepcopy(vae.encoder.layers[:-2])  # without what makes the latent
        self.logits = nn.ModuleDict()
        for i, layer in enumerate(self.layers):
            if isinstance(layer, ResBlock):
                self.logits[str(i)] = logit = conv(layer.second.out_channels, 1)
                nn.init.normal_(logit.weight, std=0.02)
        self.requires_grad_(True)

    def forward(self, frames: Tensor) -> dict[str, Tensor]:
        """Logits of a clip.

        Args:
            frames: [B, F, 3, H, W] around [-1, 1], F at least k.

        Returns:
            {layer: [n, 1, h', w']}, one logit per patch and scale of each of the n windows.
        """
        windows = frames.unfold(1, self.k, max(1, self.k - 1))
        x = rearrange(windows, "b n c h w k -> (b n) (k c) h w")
        x, logits = x.contiguous(memory_format=torch.channels_last), {}
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if str(i) in self.logits:
                logits[str(i)] = self.logits[str(i)](x).float()
        return logits
