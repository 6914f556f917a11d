"""Controls as classes, and how many of them were read back right.

Keys have two classes each, a Discrete control one per action, a Box three per element: low, middle, high.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aapt_env.spec import ControlSpec

THIRD = 1 / 3


def count(control: ControlSpec) -> int:
    """Classes per element."""
    return {"MultiBinary": 2, "Discrete": control.size, "Box": 3}[control.space]


def elements(control: ControlSpec) -> list[str]:
    """What is read, by name: keys, or a Box's elements; one entry for a Discrete control."""
    if control.space == "Discrete":
        return ["action"]
    return list(control.names) or [str(i) for i in range(control.size)]


def classes(control: ControlSpec, rows: np.ndarray) -> np.ndarray:
    """Controls [..., width] -> int8 [..., elements]."""
    if control.space == "MultiBinary":
        return (rows > 0.5).astype(np.int8)
    if control.space == "Discrete":
        return rows.astype(np.int8)
    return (1 + (rows > THIRD) - (rows < -THIRD)).astype(np.int8)


def read(control: ControlSpec, logits: Tensor) -> np.ndarray:
    """What an observer's logits [B, size] say: int8 [B, elements]."""
    if control.space == "MultiBinary":
        return (logits > 0).cpu().numpy().astype(np.int8)
    if control.space == "Discrete":
        return logits.argmax(dim=1, keepdim=True).cpu().numpy().astype(np.int8)
    return classes(control, logits.tanh().cpu().numpy())


def weights(control: ControlSpec, rows: np.ndarray) -> Tensor:
    """What each class counts in the loss, so that rare ones weigh as much as common ones: [elements, classes], <= 20.

    Args:
        control: what is read.
        rows: all controls of the training, [n, width].
    """
    found = classes(control, rows)
    share = np.stack([(found == c).mean(0) for c in range(count(control))], axis=1)
    return torch.from_numpy(1 / (count(control) * np.maximum(share, 0.05 / count(control)))).float()


def loss(control: ControlSpec, logits: Tensor, rows: Tensor, weight: Tensor) -> Tensor:
    """How badly logits [B, size] tell the controls rows [B, width]: squared error of a Box, distance of a pose."""
    if control.kind == "pose":
        return F.l1_loss(logits.tanh(), rows)
    if control.space == "Box":
        return F.mse_loss(logits.tanh(), rows)
    if control.space == "Discrete":
        return F.cross_entropy(logits, rows[:, 0].long(), weight[0])
    each = F.binary_cross_entropy_with_logits(logits, rows, reduction="none")
    return (each * torch.where(rows > 0.5, weight[:, 1], weight[:, 0])).mean()


def tally(truth: np.ndarray, seen: np.ndarray, kinds: int) -> np.ndarray:
    """How often each class was there and was read right.

    Args:
        truth: classes [n, m, elements].
        seen: what was read, the same shape.
        kinds: classes per element.

    Returns:
        [n, elements, classes, 2]: right, and all.
    """
    there = truth[..., None] == np.arange(kinds)
    right = there & (truth == seen)[..., None]
    return np.stack([right.sum(1), there.sum(1)], axis=-1).astype(np.float64)


def accuracy(tallies: np.ndarray) -> np.ndarray:
    """Share read right, every class counting alike: [..., elements, classes, 2] -> [..., elements].

    Guessing scores 1 / classes, so a world that never brakes gains nothing from brakes being rare. Classes that did not
    occur are left out.
    """
    right, total = tallies[..., 0], tallies[..., 1]
    share = np.divide(right, total, out=np.full(right.shape, np.nan), where=total > 0)
    known = ~np.isnan(share)
    return np.where(known, share, 0).sum(-1) / np.maximum(known.sum(-1), 1)


def varied(tallies: np.ndarray) -> np.ndarray:
    """Elements [elements] of which at least two classes occurred in tallies [n, elements, classes, 2]."""
    return (tallies[..., 1].sum(0) > 0).sum(-1) > 1
