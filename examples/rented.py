"""Recipes with which `rented.sh` fills the compiler's cache: sizes and batches of the real ones, few steps a stage."""

from dataclasses import replace

from aapt_env.train.recipes import STAGES, Recipe, gpu, h100


def brief(recipe: Recipe, steps: int = 8) -> Recipe:
    """The same, with so many steps per stage: eight meet a lead as well as none."""
    stages = {name: replace(getattr(recipe, name), steps=steps) for name in STAGES}
    return replace(recipe, frames=1, **stages)


def warm_gpu() -> Recipe:
    """For recipe gpu."""
    return brief(gpu())


def warm_h100() -> Recipe:
    """For recipe h100."""
    return brief(h100())
