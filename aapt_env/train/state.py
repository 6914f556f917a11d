"""A stage's whole state as one safetensors file: modules, optimizers, step. Written atomically, read without pickle."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer


def save(
    path: Path,
    modules: dict[str, nn.Module],
    optimizers: dict[str, Optimizer],
    meta: dict[str, int | str],
) -> None:
    """Write a stage's state so that a kill at any moment leaves the old file or the new one."""
    tensors = {
        f"module/{name}/{key}": value
        for name, module in modules.items()
        for key, value in module.state_dict().items()
    }
    for name, optimizer in optimizers.items():
        for index, entries in optimizer.state_dict()["state"].items():
            for key, value in entries.items():
                tensors[f"optimizer/{name}/{index}/{key}"] = torch.as_tensor(value)
    tensors = {key: value.detach().cpu().clone().contiguous() for key, value in tensors.items()}
    write(path, tensors, {key: str(value) for key, value in meta.items()})


def write(path: Path, tensors: dict[str, Tensor], meta: dict[str, str] | None = None) -> None:
    """Write a safetensors file in one stroke.

    Raises:
        OSError: no room, or the folder cannot be written to.
    """
    partial = path.with_suffix(".partial")
    try:
        save_file(tensors, partial, metadata=meta)
    except SafetensorError as error:
        partial.unlink(missing_ok=True)
        raise OSError(f"{path} could not be written: {error}") from error
    os.replace(partial, path)


def read_meta(path: Path) -> dict[str, str]:
    """The step, the fixed number of steps and the stage of a saved state. Raises ValueError: it is none."""
    with opened(path) as file:
        meta = file.metadata() or {}
    if not meta.get("step", "").isdigit() or not meta.get("steps", "").isdigit():
        raise ValueError(
            f"{path} was not written by a training: it tells no step; remove it to start over"
        )
    return meta


def load(
    path: Path, modules: dict[str, nn.Module], optimizers: dict[str, Optimizer]
) -> dict[str, str]:
    """Put a saved state back; strict on every key.

    Raises:
        ValueError: the file is damaged, or was saved by a stage of another shape.
    """
    meta, wanted = read_meta(path), [f"module/{name}/" for name in modules]
    wanted += [f"optimizer/{name}/" for name in optimizers]
    with opened(path) as file:
        keys = [key for key in file.keys() if key.startswith(tuple(wanted))]  # noqa: SIM118
        tensors = {key: file.get_tensor(key) for key in keys}
    for name, module in modules.items():
        prefix = f"module/{name}/"
        part = {
            key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)
        }
        try:
            module.load_state_dict(part)
        except RuntimeError as error:
            raise ValueError(
                f"{path} does not fit {name}: {str(error).splitlines()[-1].strip()}; "
                "train with the same recipe, or choose another --out"
            ) from error
    for name, optimizer in optimizers.items():
        prefix = f"optimizer/{name}/"
        load_optimizer(
            optimizer,
            {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)},
            path,
        )
    return meta


def load_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor], path: Path) -> None:
    """Put moments back in the memory layout of their parameters: the fused step walks both in memory order."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    entries: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, key = name.split("/")
        if int(index) >= len(parameters) or value.shape not in ((), parameters[int(index)].shape):
            raise ValueError(f"{path} was saved by another optimizer; remove it to start over")
        if value.ndim:
            value = torch.empty_like(parameters[int(index)], dtype=value.dtype, device="cpu").copy_(
                value
            )
        entries.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict(
        {"state": entries, "param_groups": optimizer.state_dict()["param_groups"]}
    )


def load_module(path: Path, name: str, module: nn.Module) -> None:
    """Take one module out of a saved state, for the stage that starts from it."""
    if not path.is_file():
        raise ValueError(
            f"{path} is missing: the stage before has not been trained; leave out --stage"
        )
    load(path, {name: module}, {})


def opened(path: Path):
    """safe_open with one clear sentence when the file is damaged."""
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{path} is not a readable training state ({error}); remove it to start over"
        ) from error
