"""Choices that the dice make, for places and for who plays in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def one_of(rng: np.random.Generator, choices: Sequence[T]) -> T:
    """One of some choices, all alike; one draw."""
    return choices[int(rng.integers(len(choices)))]


def by_share(rng: np.random.Generator, shares: Mapping[str, float]) -> str:
    """One of the names, as often as its share says; one draw."""
    names, share = list(shares), np.array(list(shares.values()))
    return names[int(rng.choice(len(names), p=share / share.sum()))]
