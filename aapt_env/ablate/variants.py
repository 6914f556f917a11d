"""The variants: the full method, and each of its parts undone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from aapt_env.model.cache import GrowingCache, RingCache
from aapt_env.model.generator import Generator
from aapt_env.train.adversarial import Adversarial
from aapt_env.train.forcing import Forcing

FULL = "full"
DIFFUSION, CONSISTENCY = "diffusion only", "consistency only"


class WithoutRecycling(Generator):
    """Recycled latents are zero from position 2 on: the past is known through the cache alone."""

    def forward(
        self, x: Tensor, previous: Tensor, controls: Tensor, t: Tensor, seen, features=None
    ):
        """The velocity at x; arguments as `Generator.forward`."""
        first = begins(seen, x)[:, :, None, None, None]
        return super().forward(x, torch.where(first, previous, 0), controls, t, seen, features)


def begins(seen, x: Tensor) -> Tensor:
    """Which of the positions of x [B, T, ...] are position 1, where the user's frame enters: [B, T] bool."""
    if isinstance(seen, RingCache):
        return (seen.age == 0)[:, None]
    index = torch.arange(x.shape[1], device=x.device)
    if isinstance(seen, GrowingCache):
        index = index + seen.age
    return (index == 0).expand(x.shape[:2])


@dataclass(frozen=True)
class Variant:
    """One row of the table.

    Args:
        name: of the row.
        says: what differs from the full method.
        change: of the adversarial stage's settings; None trains no adversarial stage at all.
        begin: the stage whose weights the generator begins with, or is.
        generator: its class; another than the plain one needs its own diffusion and consistency.
    """

    name: str
    says: str
    change: Callable[[Adversarial], Adversarial] | None
    begin: str = "consistency"
    generator: type[Generator] = field(default=Generator)

    @property
    def slug(self) -> str:
        """As a folder."""
        return self.name.replace(" ", "-").replace(",", "")


def horizon(times: int) -> Callable[[Adversarial], Adversarial]:
    """Rollouts of up to `times` clips, of which one clip is judged."""

    def change(a: Adversarial) -> Adversarial:
        return replace(
            a, leads=tuple(a.length * i for i in range(times)), overlap=min(6, a.length - 1)
        )

    return change


def forcing(**undone: bool) -> Callable[[Adversarial], Adversarial]:
    """Other choices of `Forcing`."""
    return lambda a: replace(a, forcing=replace(Forcing(), **undone))


VARIANTS = (
    Variant(FULL, "student forcing, causal critic, one clip", lambda a: a),
    Variant(DIFFUSION, "one pass of the diffusion weights", None, "diffusion"),
    Variant(CONSISTENCY, "the weights that the others begin with", None),
    Variant("teacher forcing", "the generator sees real latents in training", forcing(student=False)),
    Variant("no recycling", "the recycled latent is zero, in all stages", lambda a: a, generator=WithoutRecycling),
    Variant("recycled not detached", "gradients through the recycled latent too", forcing(detach=False)),
    Variant("no gradient in cache", "keys and values carry no gradient", forcing(memory=False)),
    Variant("video critic", "one logit per clip, no causal mask", lambda a: replace(a, heads=("video",))),
    Variant("both critics", "a logit per latent and one per clip", lambda a: replace(a, heads=("latent", "video"))),
    Variant("horizon x5", "rollouts of 1 to 5 clips", horizon(5)),
    Variant("horizon x15", "rollouts of 1 to 15 clips", horizon(15)),
    Variant("no consistency", "begun from the diffusion weights", lambda a: a, "diffusion"),
    Variant("no R1 and R2", "no penalties", lambda a: replace(a, penalty=0.0)),
    Variant("wrong controls", "real clips under other controls are fakes", lambda a: replace(a, wrong_controls=0.5)),
)  # fmt: skip

QUESTIONS = {
    "forcing": (FULL, DIFFUSION, CONSISTENCY, "teacher forcing"),
    "recycling and gradients": (FULL, "no recycling", "recycled not detached", "no gradient in cache"),
    "critic": (FULL, "video critic", "both critics", "wrong controls"),
    "horizon": (FULL, "horizon x5", "horizon x15"),
    "beginning and penalties": (FULL, "no consistency", "no R1 and R2"),
}  # fmt: skip


def choose(names: tuple[str, ...]) -> list[Variant]:
    """The variants of these names, all when there are none.

    Raises:
        ValueError: an unknown one, with the known ones.
    """
    known = {v.slug: v for v in VARIANTS} | {v.name: v for v in VARIANTS}
    if unknown := [name for name in names if name not in known]:
        raise ValueError(
            f"unknown variant {unknown[0]!r}; there are {', '.join(v.slug for v in VARIANTS)}"
        )
    return [known[name] for name in names] if names else list(VARIANTS)
