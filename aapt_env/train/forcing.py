"""How the fakes of the adversarial stages are made: a rollout as played, and where its gradient goes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aapt_env.model.cache import GrowingCache
from aapt_env.model.generator import Generator
from aapt_env.model.rollout import replay, rollout
from aapt_env.train.clips import Clip


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


def dream(
    generator: Generator,
    clip: Clip,
    noise: Tensor,
    given: int,
    lead: int,
    overlap: int,
    how: Forcing,
) -> Tensor:
    """The last 1 + T latents of a rollout over a clip of lead + T; the lead carries no gradient.

    Args:
        clip: B windows of lead + T latents after their start latent.
        noise: [B, lead + T, C, h, w].
        given: leading latents that are real.
        lead: latents dreamt before the ones that are wanted, for their memory only.
        overlap: leading wanted latents that carry no gradient either, where there is a lead.

    Returns:
        [B, 1 + T, C, h, w].
    """
    start, trunk = clip.latents[:, :given], generator.trunk
    length, window = noise.shape[1], generator.config.window
    if not how.student:
        return replay(generator, clip.latents, clip.controls, noise, clip.scene, 1)[:, lead:]
    # a rollout without gradient, then one masked pass, has all the gradients of the growing cache
    replayed = how.detach and how.memory and not lead and length <= window + 2
    free = lead + overlap if lead else length * replayed
    cache, before = GrowingCache(trunk.rope, trunk.scene(clip.scene), window), start[:, :0]
    if free:
        head = clip.controls[:, :free], noise[:, :free]
        with torch.no_grad():
            ahead = rollout(generator, start, *head, cache, given)
        torch.clear_autocast_cache()  # weights cast without gradient would be used again with it
        if replayed:
            return replay(generator, ahead, clip.controls, noise, clip.scene, given)
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
