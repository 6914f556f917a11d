"""Which device, and whether bf16 is fast on it."""

from __future__ import annotations

import torch


def pick(name: str = "auto") -> torch.device:
    """A torch device.

    Raises:
        ValueError: CUDA is asked for and there is none, or the name is unknown.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"--device {name}: torch {torch.__version__} sees no CUDA GPU; use --device cpu")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"device {name!r}; expected auto, cpu, cuda or cuda:N") from error


def fast_bf16(device: torch.device) -> bool:
    """Whether matrices in bf16 are faster than in float32: every recent GPU, CPUs with AMX or AVX512-BF16."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
