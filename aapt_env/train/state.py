"""A stage's whole state as one safetensors file: modules, optimizers, step. Written atomically, read without pickle."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from torch.optim import Optimizer


def save(
    path: Path,
    modules: dict[str, nn.Module],
    optimizers: dict[str, Optimizer],
    meta: dict[str, int | str],
) -> None:
    """Write `path` so that a kill at any moment leaves the old file or the new one."""
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
    partial = path.with_suffix(".partial")
    save_file(tensors, partial, metadata={key: str(value) for key, value in meta.items()})
    os.replace(partial, path)


def read_meta(path: Path) -> dict[str, str]:
    """The step, the fixed number of steps and the stage of a saved state."""
    with opened(path) as file:
        return file.metadata() or {}


def load(
    path: Path, modules: dict[str, nn.Module], optimizers: dict[str, Optimizer]
) -> dict[str, str]:
    """Put a saved state back; strict on every key.

    Raises:
        ValueError: the file is damaged, or was saved by a stage of another shape.
    """
    with opened(path) as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        meta = file.metadata() or {}
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
        state: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in tensors.items():
            parts = key.split("/")
            if parts[0] == "optimizer" and parts[1] == name:
                state.setdefault(int(parts[2]), {})[parts[3]] = value
        optimizer.load_state_dict(
            {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
        )
    return meta


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
