"""What a game tells of itself in numbers, and a dream carries along with the picture.

A latent of such a world is the picture's channels and, behind them, a channel for each number, the same in every cell.
They are recycled, kept and dreamt as the picture is; the VAE knows nothing of them. A game says which they are by its
attribute `carried` and has them in `info["carried"]`; a dream has its own there.

A kind of numbers is a module that answers

    encode(values [..., names]) -> [..., channels], of about unit spread
    decode(numbers [..., channels]) -> [..., names]
    expected(numbers [..., channels], controls [..., k, width]) -> what the controls would make of them
    room(before [..., channels], expected [..., channels]) -> how far the generator can put each from what is expected
    turned(latents [..., C, h, w], before, expected) -> the latents before, as they would look from there
    maps(numbers [..., channels]) -> [..., map_channels, h, w], further input of the networks; None for none
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from aapt_env.carried.numbers import Numbers
from aapt_env.carried.place import Place
from aapt_env.carried.walk import Walk
from aapt_env.spec import CarriedSpec, ControlSpec

KINDS: dict[str, type[Numbers]] = {"numbers": Numbers, "place": Place, "walk": Walk}


def carrier(spec: CarriedSpec, control: ControlSpec, grid: tuple[int, int]) -> Numbers:
    """The module of a kind of numbers. Raises ValueError: there is none of that kind."""
    if spec.kind not in KINDS:
        raise ValueError(f"no kind of carried numbers {spec.kind!r}; there are {sorted(KINDS)}")
    return KINDS[spec.kind](spec, control, grid)


def laid(values: np.ndarray, made: Numbers, grid: tuple[int, int]) -> Tensor:
    """A game's numbers [T, names] as the last channels of T latents: float32 [T, channels, h, w]."""
    numbers = made.encode(torch.from_numpy(np.asarray(values, np.float32)))
    return numbers[..., None, None].expand(*numbers.shape, *grid)


def read(latents: Tensor, channels: int) -> Tensor:
    """The numbers in latents [..., C, h, w], each the mean of its channel: [..., channels]."""
    return latents[..., -channels:, :, :].mean((-1, -2))


def put(latents: Tensor, numbers: Tensor) -> Tensor:
    """Latents [..., C, h, w] with `numbers` [..., channels] in the place of theirs."""
    cells = numbers[..., None, None].expand(*numbers.shape, *latents.shape[-2:])
    return torch.cat([latents[..., : -numbers.shape[-1], :, :], cells.to(latents)], dim=-3)


def corrected(made: Tensor, real: Tensor, channels: int) -> Tensor:
    """Latents [..., C, h, w] whose last `channels` are those of `real`, the same shape; without any, `made` itself."""
    if not channels:
        return made
    both = made[..., :-channels, :, :], real[..., -channels:, :, :].to(made)
    return torch.cat(both, dim=-3)


def apart(error: Tensor, channels: int) -> tuple[Tensor, Tensor]:
    """Means of squared errors [..., C, h, w] over the picture's channels, and over the last `channels`; 0 of none."""
    if not channels:
        return error.mean(), error.new_zeros(())
    return error[..., :-channels, :, :].mean(), error[..., -channels:, :, :].mean()
