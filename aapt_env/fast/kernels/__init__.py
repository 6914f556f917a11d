"""Fused Triton kernels for the step on a GPU. Each has a plain twin in `twins`, of the same arguments and results.

`norm` adaLN, `ring` QK-norm, RoPE and cache write, `attention` over the filled part of the ring, `epilogue` the
velocity, `pixels` what lies between the decoder's convolutions, `noise` the normal numbers of a position. Modules other
than `twins` need Triton when they are imported.
"""
