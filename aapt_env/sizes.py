"""Sizes of a world's networks: made to fit its spec, and checked against each other and against weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from torch import Tensor

from aapt_env.model.trunk import TrunkConfig
from aapt_env.model.vae import VAEConfig
from aapt_env.spec import WorldSpec
from aapt_env.strict import strict

GRID = 2**22  # latent cells times blocks that any machine has memory for


def fit(spec: WorldSpec, coder: VAEConfig, **trunk: float) -> tuple[WorldSpec, TrunkConfig]:
    """The spec with the VAE's latents, and a trunk for them and for the spec's scenes.

    Args:
        spec: of the world; its channels and stride do not matter.
        coder: the VAE's sizes.
        trunk: patch, dim, depth, heads, window and change of the generator.
    """
    spec = replace(spec, channels=coder.channels, stride=coder.stride)
    channels, rows, columns = spec.latent_shape
    scenes = tuple(len(values) for values in spec.scenes.values())
    shape = {"channels": channels, "rows": rows, "columns": columns, "carried": spec.carried}
    return spec, TrunkConfig(**shape, scenes=scenes, **trunk)


class Named(Protocol):
    """What names sizes: a checkpoint's config."""

    spec: dict
    trunk: dict
    vae: dict


def check(spec: WorldSpec, trunk: TrunkConfig, vae: VAEConfig) -> None:
    """Raises ValueError where spec, generator and VAE disagree on a latent."""
    expected = (
        *spec.latent_shape,
        spec.k,
        spec.stride,
        tuple(len(v) for v in spec.scenes.values()),
    )
    generator = (trunk.channels, trunk.rows, trunk.columns, spec.k, spec.stride, trunk.scenes)
    extra = expected[0] - spec.channels
    coder = (vae.channels + extra, trunk.rows, trunk.columns, vae.k, vae.stride, trunk.scenes)
    for name, got in (("generator", generator), ("VAE", coder)):
        if got != expected:
            raise ValueError(
                f"the spec's (C, h, w, k, stride, scenes) is {expected}, the {name}'s is {got}"
            )
    if trunk.carried != spec.carried:
        raise ValueError(f"the spec carries {spec.carried}, the generator {trunk.carried}")


def room_for(config: Named, generator: dict[str, Tensor], vae: dict[str, Tensor]) -> bool:
    """Whether networks of these sizes have hardly more weights than were read, so that they can be built at once.

    Counts less than a network of these sizes has: True for every checkpoint that is whole. Where it is False the
    sizes are checked without memory, on the meta device, which loads torch's compiler: seconds before the first frame.

    Args:
        config: with the sizes, not checked yet.
        generator: weights by name, as read.
        vae: likewise.
    """
    try:
        spec = WorldSpec.from_dict(config.spec)
        trunk = strict(TrunkConfig, config.trunk, "trunk")
        coder = strict(VAEConfig, config.vae, "vae")
        inputs = 2 * trunk.channels * trunk.patch**2 + sum(trunk.scenes) + spec.control.size
    except (ValueError, TypeError, AttributeError):
        return False  # building says what is wrong
    blocks = 12 * trunk.depth * trunk.dim**2 + inputs * trunk.dim
    convolutions = 18 * sum(width**2 for width in (*coder.encoder, *coder.decoder))
    pixels = 3 * coder.patch**2 * coder.k
    ends = 9 * (pixels * coder.decoder[0] + coder.channels * coder.decoder[-1])
    cells = trunk.rows * trunk.columns * max(trunk.depth, trunk.dim // 64)
    return blocks <= count(generator) and convolutions + ends <= count(vae) and cells <= GRID


def count(tensors: dict[str, Tensor]) -> int:
    """Values in all."""
    return sum(tensor.numel() for tensor in tensors.values())
