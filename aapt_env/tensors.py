"""Weights in files: safetensors that are written whole, held to their sha256 and loaded strictly."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor, nn


def write_tensors(
    folder: Path, files: dict[str, dict[str, Tensor]], about: dict[str, str] | None = None
) -> None:
    """Write safetensors files; all are complete before the first takes its place.

    Args:
        folder: where they go.
        files: {name: tensors}.
        about: what each file says of itself.

    Raises:
        OSError: no room, or the folder cannot be written to.
    """
    for name, tensors in files.items():
        try:
            save_file(tensors, folder / (name + ".partial"), about)
        except SafetensorError as error:
            for each in files:
                (folder / (each + ".partial")).unlink(missing_ok=True)
            why = str(error).replace(".partial", "").replace("Error while serializing: ", "")
            raise OSError(
                f"{folder / name} could not be written ({why}); expected a folder with write permission and free space"
            ) from error
    for name in files:
        (folder / (name + ".partial")).replace(folder / name)


def read_tensors(folder: Path, name: str, expected: str) -> dict[str, Tensor]:
    """One safetensors file, if its hash is the one in config.json.

    Raises:
        ValueError: missing, tampered with or truncated, not safetensors, or with a value that is not finite.
    """
    path = Path(folder) / name
    if not path.is_file():
        raise ValueError(f"{path} is missing; get the checkpoint again")
    raw = path.read_bytes()
    if sha256(raw) != expected:
        raise ValueError(
            f"{path} has sha256 {sha256(raw)[:12]}..., config.json says {expected[:12]}...: it is truncated or was "
            "changed; get the checkpoint again"
        )
    try:
        tensors = load(raw)
    except (SafetensorError, ValueError) as error:
        raise ValueError(
            f"{path} is not a safetensors file ({error}); get the checkpoint again"
        ) from error
    for key, value in tensors.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ValueError(
                f"{path}: {key} has values that are not finite; get or train the checkpoint again"
            )
    return tensors


def half(module: nn.Module) -> dict[str, Tensor]:
    """Parameters in bf16; buffers as they are."""
    parameters = {name for name, _ in module.named_parameters()}
    return {
        name: (value.detach().bfloat16() if name in parameters else value.detach())
        .cpu()
        .contiguous()
        for name, value in module.state_dict().items()
    }


def put(module: nn.Module, tensors: dict[str, Tensor], where: str) -> None:
    """Load weights strictly; one sentence when a key, a shape or a kind of number does not fit."""
    real = {name for name, value in module.state_dict().items() if value.is_floating_point()}
    whole = [name for name in real & set(tensors) if not tensors[name].is_floating_point()]
    if whole:
        raise ValueError(
            f"{where}: {whole[0]} is {tensors[whole[0]].dtype}, expected floating point; get the checkpoint again"
        )
    try:
        assign = any(value.is_meta for value in module.state_dict().values())
        module.load_state_dict(
            {name: value.float() for name, value in tensors.items()}, assign=assign
        )
    except RuntimeError as error:
        detail = " ".join(str(error).split("\n")[1].split()) if "\n" in str(error) else str(error)
        raise ValueError(
            f"{where} does not fit the sizes in config.json: {detail:.200}; get the checkpoint again"
        ) from error


def sha256(data: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(data).hexdigest()
