"""A step whose state stays where it is in memory, so that it can be recorded once and run again and again.

The plain step makes new tensors and looks at none of them. Here the same step writes what it made over what was there:
latent and decoder state by a copy at its end, the ring in place, and what the ring prepares for the next position too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from aapt_env.model.cache import RingCache

if TYPE_CHECKING:
    from aapt_env.world import World

Outcome = tuple[Tensor, Tensor]  # reward [B], probability of an end [B]


class StillRing(RingCache):
    """A ring that prepares the coming position in place, and puts it by index whatever the ages are.

    Attributes:
        young: steps until the row of a lone world has filled its ring; None after a change from outside.
        bare: leave the bias out of what is seen: for a ring that hides nothing.
    """

    young: int | None = None
    bare: bool = False

    def prepare(self) -> None:
        """As the ring's own, written over what was prepared before."""
        before = self.coming() if hasattr(self, "slot") else None
        super().prepare()
        if before is not None:
            for old, new in zip(before, self.coming(), strict=True):
                old.copy_(new)
            self.turn = before[0], before[1]
            self.slot, self.first, self.filled, self.bias = before[2:]

    def coming(self) -> list[Tensor]:
        """All that the coming position's pass reads."""
        return [*self.turn, self.slot, self.first, self.filled, self.bias]

    def common(self) -> None:
        """A place that only this step has cannot be recorded."""

    def append(self, layer: int, k: Tensor, v: Tensor):
        """As the ring's own."""
        keys, values, bias = super().append(layer, k, v)
        return keys, values, None if self.bare else bias

    def put(self, rows: list[int], other: RingCache, picks: list[int]) -> None:
        """As the ring's own."""
        super().put(rows, other, picks)
        self.young = None

    def load(self, state: dict[str, Tensor]) -> None:
        """As the ring's own."""
        super().load(state)
        self.young = None

    def full(self) -> bool:
        """Whether a lone row hides nothing now; looks at its age, which waits for a GPU, after a change only.

        Of many rows one may begin anew at any time. They keep the mask, so that no row's bits depend on the others.
        """
        if self.young is None:
            self.young = max(0, self.window + 1 - int(self.age.min()))
        return len(self.age) == 1 and self.young == 0

    def passed(self) -> None:
        """A recorded step was run again: no line of Python was."""
        self.young = max(0, (self.young or 0) - 1)


def still(cache: RingCache) -> StillRing:
    """The same ring, its memory where it was."""
    if not isinstance(cache, StillRing):
        cache.__class__ = StillRing
        cache.prepare()
    assert isinstance(cache, StillRing)
    return cache


def state(world: World) -> list[Tensor]:
    """What a step reads and writes beside the ring: previous latent, seeds, decoder."""
    return [world.previous, world.seeds, *world.decoder]


def settle(world: World, places: list[Tensor]) -> None:
    """Bring the world's state to its places, where something else, such as a load, has replaced it."""
    for mine, now in zip(places, state(world), strict=True):
        if now is not mine:
            mine.copy_(now)
    world.previous, world.seeds, *world.decoder = places


def advance(world: World, controls: Tensor) -> Outcome:
    """The generator's part of a step, in place: controls [B, width]."""
    latent, reward, ending = world.make(controls)
    world.previous.copy_(latent)
    return reward, ending


def show(world: World) -> Tensor:
    """The decoder's part, in place: frames uint8 [B, k, H, W, 3]."""
    frames, after = world.decode()
    for mine, new in zip(world.decoder, after, strict=True):
        mine.copy_(new)
    return frames
