"""How the fakes of the adversarial stages are made: a rollout as played, and where its gradient goes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aapt_env.model.cache import GrowingCache
from aapt_env.model.generator import Generator
from aapt_env.model.rollout import replay, resume, rollout
from aapt_env.model.segment import Memory
from aapt_env.train.clips import Clip
from aapt_env.train.roller import Roller


@dataclass(frozen=True, kw_only=True)
class Forcing:
    """The paper's choices, each of which can be undone (`aapt ablate` does).

    Args:
        student: the generator goes on from its own latents; otherwise from the real ones (teacher forcing).
        detach: the recycled latent carries no gradient.
        memory: keys and values in the cache do.
    """

    student: bool = True
    detach: bool = True
    memory: bool = True


@dataclass(frozen=True)
class Past:
    """A rollout without gradient, and what one masked pass needs to make its end once more, with gradients."""

    rolled: Tensor  # [B, 1 + lead + T, C, h, w]
    controls: Tensor  # [B, lead + T, k, width]
    noise: Tensor  # [B, lead + T, C, h, w]
    scene: Tensor  # [B, attributes]
    # of the ring when `free` latents were made; None: the pass begins where the rollout did
    memory: Memory | None
    given: int  # leading latents that stay as they are, real or without gradient
    lead: int
    free: int  # latents that carry no gradient

    @property
    def end(self) -> Tensor:
        """The last 1 + T latents as rolled out."""
        return self.rolled[:, self.lead :]

    def again(self, generator: Generator) -> Tensor:
        """The same latents with all the gradients that a growing cache would give: [B, 1 + T, C, h, w]."""
        if self.memory is None:
            return replay(generator, self.rolled, self.controls, self.noise, self.scene, self.given)
        made = resume(generator, self.rolled, self.controls, self.noise, self.memory)
        same = self.rolled[:, self.lead : self.given]
        return torch.cat([same, made[:, self.given - self.free - 1 :]], dim=1)


def dream(
    generator: Generator,
    clip: Clip,
    noise: Tensor,
    given: int,
    lead: int,
    overlap: int,
    how: Forcing,
    roll: Roller | None = None,
) -> Past | Tensor:
    """The last 1 + T latents of a rollout over a clip of lead + T; the lead carries no gradient.

    Args:
        generator: who dreams.
        clip: B windows of lead + T latents after their start latent.
        noise: [B, lead + T, C, h, w].
        given: leading latents that are real.
        lead: latents dreamt before the ones that are wanted, for their memory only.
        overlap: leading wanted latents that carry no gradient either, where there is a lead.
        how: whose past, and where the gradient goes.
        roll: the generator's roller, where it has one already.

    Returns:
        The rollout, to be made once more with gradients; or, of ways that no masked pass knows, [B, 1 + T, C, h, w]
        that carry them.
    """
    length, window = noise.shape[1], generator.config.window
    if not how.student:
        return replay(generator, clip.latents, clip.controls, noise, clip.scene, 1)[:, lead:]
    free = lead + overlap if lead else 0
    parallel = how.detach and how.memory and bool(free or length <= window + 2)
    if generator.config.carries and not parallel:
        raise ValueError(
            "a world that carries numbers is trained with detach and memory, as in the paper, and without a lead on "
            f"{window + 2} latents at most; got {how}, {length} latents"
        )
    if parallel:
        roll = roll or Roller(generator)
        rolled, memory = roll(clip.latents, clip.controls, noise, clip.scene, given, free)
        same = max(free + 1, given)
        return Past(rolled, clip.controls, noise, clip.scene, memory, same, lead, free)
    return stepwise(generator, clip, noise, given, lead, free, how)


def stepwise(
    generator: Generator,
    clip: Clip,
    noise: Tensor,
    given: int,
    lead: int,
    free: int,
    how: Forcing,
) -> Tensor:
    """The latents of `dream` by a growing cache whose every step keeps its graph; the first `free` steps keep none."""
    start, trunk = clip.latents[:, :given], generator.trunk
    cache = GrowingCache(trunk.rope, trunk.scene(clip.scene), generator.config.window)
    before = start[:, :0]
    if free:
        head = clip.controls[:, :free], noise[:, :free]
        with torch.no_grad():
            ahead = rollout(generator, start, *head, cache, given)
        torch.clear_autocast_cache()  # weights cast without gradient would be used again with it
        cache, before, start, given = cache.detach(), ahead[:, lead:-1], ahead[:, -1:], 1
    tail = clip.controls[:, free:], noise[:, free:]
    if how.memory:
        made = rollout(generator, start, *tail, cache, given, how.detach)
    else:
        made = forgetful(generator, start, *tail, cache, given, how.detach)
    return torch.cat([before, made], dim=1)


def forgetful(
    generator: Generator,
    latents: Tensor,
    controls: Tensor,
    noise: Tensor,
    cache: GrowingCache,
    given: int,
    detach: bool,
) -> Tensor:
    """`rollout`, but nothing flows back through the cache."""
    out = list(latents[:, :given].unbind(1))
    for i in range(controls.shape[1]):
        cache, now = cache.detach(), slice(i, i + 1)
        pair = rollout(
            generator, out[i][:, None], controls[:, now], noise[:, now], cache, 1, detach
        )
        if i + 1 >= len(out):
            out.append(pair[:, 1])
    return torch.stack(out, dim=1)
