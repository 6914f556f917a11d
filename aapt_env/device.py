"""Which device, and whether bf16 is fast on it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import torch

if hasattr(
    os, "register_at_fork"
):  # a forked process has no threads but its own: one that waits for others hangs
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


def pick(name: str | torch.device = "auto") -> torch.device:
    """A torch device: auto, cpu, cuda or cuda:N. A GPU comes with its number, as in what tensors on it say.

    Raises:
        ValueError: CUDA is asked for and there is none of that number, or the name is unknown.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"device {name!r}; expected auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"device {name!r}; expected auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device {name}: torch {torch.__version__} sees no CUDA GPU; use cpu or auto"
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device {name}: there are {torch.cuda.device_count()} GPUs, counted from cuda:0"
        )
    return numbered(device)


def numbered(device: torch.device) -> torch.device:
    """The same; of "cuda" the one that torch would take. Not woken for that: a forked process could not use it."""
    if device.type != "cuda" or device.index is not None:
        return device
    return torch.device("cuda", torch.cuda.current_device() if torch.cuda.is_initialized() else 0)


def current(device: torch.device) -> contextlib.AbstractContextManager:
    """Makes a GPU the current one, which Triton's kernels and CUDA graphs run on whatever their tensors' device is."""
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()


@contextlib.contextmanager
def fixed_shapes(device: torch.device) -> Iterator[None]:
    """On a GPU, cuDNN tries its ways once per shape and keeps the fastest: for work whose shapes come again."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = before or device.type == "cuda"
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def fast_bf16(device: torch.device) -> bool:
    """Whether matrices in bf16 are faster than in float32: every recent GPU, CPUs with AMX or AVX512-BF16."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    probes = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")  # private: may not be there
    return any(bool(getattr(torch.cpu, probe, bool)()) for probe in probes)
