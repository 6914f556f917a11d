"""Recipes: functions that return the whole truth of a training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from aapt_env import sizes
from aapt_env.entries import load_own
from aapt_env.guard import guarded
from aapt_env.model.trunk import TrunkConfig
from aapt_env.model.vae import VAEConfig
from aapt_env.spec import WorldSpec
from aapt_env.train.adversarial import Adversarial
from aapt_env.train.autoencode import Autoencode
from aapt_env.train.diffusion import Consistency, Diffusion
from aapt_env.train.follow import Follow
from aapt_env.train.imitate import Imitate
from aapt_env.train.outcome import Outcome
from aapt_env.train.polish import Polish

STAGES = (
    "autoencode",
    "polish",  # needs frames only, as the one before it: they are decoded once for both
    "diffusion",
    "consistency",
    "follow",
    "adversarial",
    "long",
    "outcome",
    "imitate",
)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Data, sizes and stages. Shares of the stages add up to 1; one that has none is left out."""

    name: str
    size: int  # frame height in pixels, and width where that is not given
    frames: int  # RGB frames to record when there is no dataset
    max_seconds: float  # longest recorded episode
    budget: float  # seconds, when --budget is not given
    width: int | None = None  # pixels
    k: int = 4
    channels: int = 16
    fold: int = 4  # pixels the VAE folds into channels, each way
    encoder: tuple[int, ...] = (128, 192)
    decoder: tuple[int, ...] = (128, 192)
    patch: int = 2
    dim: int = 256
    depth: int = 6
    heads: int = 4
    window: int = 12
    change: float = (
        0.25  # of latents of unit variance, from one to the next: a game at four frames per latent
    )
    carry: bool = False  # whether the dream carries the numbers that the game tells of itself
    autoencode: Autoencode
    diffusion: Diffusion
    consistency: Consistency
    follow: Follow = Follow(share=0.0)
    adversarial: Adversarial
    long: Adversarial
    polish: Polish
    outcome: Outcome
    imitate: Imitate

    def __post_init__(self):
        if self.diffusion.fade and not self.carry:
            raise ValueError(
                f"recipe {self.name}: diffusion.fade {self.diffusion.fade} hides pictures that only carried numbers "
                "could replace; expected carry=True, or fade=0"
            )
        total = sum(getattr(self, stage).share for stage in STAGES)
        if abs(total - 1) > 1e-6:
            raise ValueError(
                f"recipe {self.name}: shares of the stages add up to {total}, expected 1"
            )

    @property
    def planned(self) -> list[str]:
        """The stages that are trained, in order."""
        return [stage for stage in STAGES if getattr(self, stage).share > 0]

    @property
    def frame(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.size, self.width or self.size

    def sizes(self, spec: WorldSpec) -> tuple[WorldSpec, TrunkConfig, VAEConfig]:
        """A game's or dataset's spec as this recipe's world has it, and the sizes of its networks."""
        coder = VAEConfig(
            k=self.k,
            channels=self.channels,
            patch=self.fold,
            encoder=self.encoder,
            decoder=self.decoder,
        )
        if self.carry and spec.carried is None:
            raise ValueError(
                f"recipe {self.name!r} carries the numbers that a game tells of itself, and there are none of "
                f"{spec.game!r}: record it again if its game has them by now, or choose a recipe with carry=False"
            )
        spec = replace(spec, carried=spec.carried if self.carry else None)
        spec, trunk = sizes.fit(
            spec, coder, patch=self.patch, dim=self.dim, depth=self.depth, heads=self.heads, window=self.window,
            change=self.change,
        )  # fmt: skip
        return spec, trunk, coder


def smoke() -> Recipe:
    """All stages in seconds: tests, and trying a command line out. What it trains is not worth playing."""
    return Recipe(
        name="smoke",
        size=64,
        frames=1_000,
        max_seconds=8,
        budget=30,
        channels=4,
        encoder=(8, 16),
        decoder=(8, 16),
        dim=32,
        depth=2,
        heads=2,
        window=4,
        autoencode=Autoencode(share=0.25, steps=3, batch=2, latents=2),
        diffusion=Diffusion(share=0.25, steps=3, batch=4, length=6),
        consistency=Consistency(share=0.2, steps=3, batch=4, length=6),
        follow=Follow(share=0.05, steps=3, batch=2, length=6, leads=(0, 6), overlap=2, given=3),
        adversarial=Adversarial(share=0.1, steps=3, batch=2, length=6, given=3),
        long=Adversarial(share=0.05, steps=3, batch=2, length=6, leads=(0, 6), overlap=2, given=3),
        polish=Polish(share=0.03, steps=3, batch=2, latents=2),
        outcome=Outcome(share=0.02, steps=3, batch=4, length=6, given=3, width=8, checks=2),
        imitate=Imitate(share=0.05, steps=3, batch=8, width=8),
    )


def cpu() -> Recipe:
    """A 64x64 world in about two hours on two CPU cores."""
    return Recipe(
        name="cpu",
        size=64,
        frames=200_000,
        max_seconds=45,
        budget=2 * 3600,
        depth=4,
        autoencode=Autoencode(share=0.19),
        diffusion=Diffusion(share=0.38, batch=16),
        consistency=Consistency(share=0.02, batch=16),
        adversarial=Adversarial(
            share=0.19, begin="diffusion", batch=16, penalised=1 / 16, keep=0.5
        ),
        long=Adversarial(
            share=0.11,
            batch=16,
            leads=(0, 14, 28, 56),
            overlap=6,
            penalty=50.0,
            penalised=1 / 16,
            wrong_controls=0.5,
            keep=2.0,
            blend=0.5,
        ),
        polish=Polish(share=0.06),
        outcome=Outcome(share=0.03),
        imitate=Imitate(share=0.02),
    )


def tiny() -> Recipe:
    """The cpu recipe with a generator of a fifth of the weights: what `aapt ablate` trains many times."""
    return replace(cpu(), name="tiny", dim=128, depth=3)


def h100() -> Recipe:
    """A 128x128 world, for one H100 and minutes: docs/speed.md has what a stage takes there.

    Consistency is left out, since the adversarial stage begins with the diffusion weights; a player can be cloned
    anywhere (`--stage imitate`).
    """
    return Recipe(
        name="h100",
        size=128,
        frames=300_000,
        max_seconds=45,
        budget=8 * 60,
        depth=6,
        window=14,
        autoencode=Autoencode(share=0.1, batch=32, latents=4),
        polish=Polish(share=0.1, batch=32, latents=4),
        diffusion=Diffusion(share=0.38, batch=64, length=16, lr=6e-4, shift=6.0),
        consistency=Consistency(share=0.0),
        adversarial=Adversarial(
            share=0.2, begin="diffusion", batch=32, length=16, penalised=1 / 16, keep=0.5
        ),
        long=Adversarial(
            share=0.22,
            batch=32,
            length=16,
            leads=(0, 16, 32, 56),
            overlap=6,
            penalty=50.0,
            penalised=1 / 16,
            wrong_controls=0.5,
            keep=2.0,
            blend=0.5,
        ),
        outcome=Outcome(share=0.0),
        imitate=Imitate(share=0.0),
    )


def gpu() -> Recipe:
    """A 64x64 world on one GPU in minutes, by plan: recipe h100 with a quarter of the pixels, and larger batches."""
    made = h100()
    return replace(
        made,
        name="gpu",
        size=64,
        budget=4 * 60,
        autoencode=replace(made.autoencode, share=0.16),
        polish=replace(made.polish, share=0.12),
        diffusion=replace(made.diffusion, share=0.36, batch=128, shift=4.0),
        adversarial=replace(made.adversarial, share=0.16, batch=64),
        long=replace(made.long, share=0.2, batch=64),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "smoke": smoke, "tiny": tiny, "cpu": cpu, "gpu": gpu, "h100": h100
}  # fmt: skip


def recipe(name: str) -> Recipe:
    """A recipe by its name, or by that of a function of yours.

    Args:
        name: one of RECIPES, or `module:function`, the current folder searched first.

    Raises:
        ValueError: an unknown name, with the known ones; or a function that fails, or gives no Recipe.
    """
    if name in RECIPES:
        return RECIPES[name]()
    if ":" not in name:
        raise ValueError(
            f"unknown recipe {name!r}; there are {', '.join(RECIPES)}, auto, and module:function, a function of yours"
        )
    entry = load_own(name)
    with guarded(
        f"recipe {name!r}", wanted="expected a function without arguments that returns a Recipe"
    ):
        made = entry()
    if not isinstance(made, Recipe):
        raise ValueError(f"recipe {name!r} gives {type(made).__name__}; expected a Recipe")
    return made
