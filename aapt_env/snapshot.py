"""A moment of a dream, all that its future depends on: kept in memory or as a safetensors file, never as a pickle."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from aapt_env.tensors import write_tensors

FORMAT = "aapt_env snapshot 2"


@dataclass(frozen=True)
class Snapshot:
    """What `clone_state` gives and `restore_state` takes.

    Attributes:
        checkpoint: hash of the world it is of.
        tensors: by name; rows of the batch along the axis that the world has them on.
        rngs: states of the generators that choose later episodes, one per row; empty when they were left out.
        weights: of the world it was cloned in: full or fp8.
    """

    checkpoint: str
    tensors: dict[str, Tensor]
    rngs: list[dict[str, Any]]
    weights: str = "full"

    @property
    def rows(self) -> int:
        """Episodes side by side."""
        return len(self.tensors["shown"])

    def save(self, path: str | os.PathLike) -> None:
        """Write it to a file, in one stroke.

        Raises:
            OSError: no room, the folder cannot be written to, or `path` is a folder.
        """
        path = Path(path)
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a folder; expected the name of a file to write")
        about = {
            "format": FORMAT, "checkpoint": self.checkpoint, "weights": self.weights,
            "rngs": json.dumps(self.rngs),
        }  # fmt: skip
        tensors = {name: value.cpu().contiguous() for name, value in self.tensors.items()}
        about["sha256"] = digest(tensors, about)
        write_tensors(path.parent, {path.name: tensors}, about)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Snapshot:
        """Read one from a file.

        Raises:
            ValueError: it is missing, damaged, or no snapshot.
        """
        try:
            with safe_open(path, framework="pt") as file:
                about = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if about["format"] != FORMAT or "shown" not in tensors:
                raise ValueError(f"expected {FORMAT!r}, got {about['format']!r}")
            if digest(tensors, about) != about["sha256"]:
                raise ValueError("its sha256 is another than the one in it: it was changed")
            rngs = json.loads(about["rngs"])
            if not isinstance(rngs, list):
                raise ValueError("its generators are no list")
            return cls(about["checkpoint"], tensors, rngs, about.get("weights", "full"))
        except (SafetensorError, OSError, ValueError, KeyError, RecursionError) as error:
            raise ValueError(
                f"{os.fspath(path)} is no whole snapshot ({' '.join(str(error).split()):.120}); "
                "expected a file that clone_state().save(path) wrote: save it again"
            ) from error


def digest(tensors: dict[str, Tensor], about: dict[str, str]) -> str:
    """sha256 of all that a file holds, but for the digest itself."""
    found = hashlib.sha256(
        json.dumps(sorted((k, v) for k, v in about.items() if k != "sha256")).encode()
    )
    for name, value in sorted(tensors.items()):
        found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        found.update(value.contiguous().reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()


def check(state: Any, checkpoint: str, rows: int, weights: str) -> None:
    """Raises ValueError unless `state` is a snapshot of that checkpoint with so many rows and such weights."""
    if not isinstance(state, Snapshot):
        raise ValueError(
            f"state {state!r:.80}; expected what clone_state() gave, or Snapshot.load(path)"
        )
    if state.checkpoint != checkpoint:
        raise ValueError(
            f"the state is of checkpoint {state.checkpoint:.12}, this world is {checkpoint:.12}; "
            "restore it in an env of the checkpoint that it was cloned from"
        )
    if state.weights != weights:
        raise ValueError(
            f"the state was made with {state.weights} weights, this env has {weights}; restore it in an env made "
            f"with weights={state.weights!r}"
        )
    if "shown" not in state.tensors or not state.tensors["shown"].ndim:
        raise ValueError("the state lacks shown, its last frames; clone or save it again")
    if state.rows != rows:
        raise ValueError(
            f"the state has {state.rows} rows, this env {rows}; restore it in an env with num_envs={state.rows}, "
            "or fork it to as many rows as you want"
        )
    for name, value in state.tensors.items():
        if not value.is_floating_point():
            continue
        wide = value.float() if value.dtype.itemsize == 1 else value  # fp8 cannot be asked
        if not torch.isfinite(wide).all():
            raise ValueError(f"state {name} has values that are not finite; clone or save it again")


def generator_of(state: dict[str, Any]) -> np.random.Generator:
    """A numpy generator in a stored state. Raises ValueError: it is none."""
    bits = np.random.PCG64()
    try:
        bits.state = state
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise ValueError(f"the state's generator is damaged ({error}); save it again") from error
    return np.random.Generator(bits)
