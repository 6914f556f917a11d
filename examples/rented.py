"""Recipes for `rented.sh`."""

from dataclasses import replace

from aapt_env.train.recipes import STAGES, Recipe, h100


def brief(recipe: Recipe, steps: int) -> Recipe:
    """The same sizes and batches, a few steps per stage."""
    stages = {name: getattr(recipe, name) for name in STAGES}
    return replace(
        recipe, frames=1, **{name: replace(stage, steps=steps) for name, stage in stages.items()}
    )


def warm() -> Recipe:
    """What compiles all that recipe h100 will: eight steps meet leads of every length."""
    return brief(h100(), 8)
