"""The networks. No training code here.

One alphabet of shapes: `B` batch, `F` RGB frames, `T` latents, `C` latent channels, `H W` pixels, `h w` latent grid,
`N` tokens per latent, `D` width, `k` frames per latent, `S` scene tokens, `W` the attention window in latents.
"""
