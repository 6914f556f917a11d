"""The one step that training, play and the benchmark share: input recycling, one pass per latent (AAPT v2, 2.1)."""

from __future__ import annotations

import torch
from torch import Tensor

from aapt_env.model.cache import GrowingCache, RingCache
from aapt_env.model.generator import Generator
from aapt_env.model.segment import Memory, Segment


def step(
    generator: Generator,
    previous: Tensor,
    controls: Tensor,
    noise: Tensor,
    cache: GrowingCache | RingCache,
    features: list[Tensor] | None = None,
) -> Tensor:
    """Advance the world by one latent, in one forward pass that also writes the cache.

    Args:
        previous: [B, C, h, w] the last latent, unit variance.
        controls: [B, k, width] the controls of the k frames to come.
        noise: [B, C, h, w] standard normal; the only randomness.
        cache: one position is appended per layer; its age grows by one.
        features: a list to which this pass's features are added, [B, 1, N, D]: for the outcome head.

    Returns:
        [B, C, h, w] the next latent: x = z - v at t = 1.

    Raises:
        ValueError: the shapes of `previous` and `noise` differ.
    """
    if previous.shape != noise.shape:
        raise ValueError(f"previous {tuple(previous.shape)} and noise {tuple(noise.shape)} differ")
    t = noise.new_ones(noise.shape[0], 1)
    inputs = noise[:, None], previous[:, None], controls[:, None]
    velocity = generator(*inputs, t, cache, features)[:, 0]
    cache.advance()
    return noise - velocity


def rollout(
    generator: Generator,
    latents: Tensor,
    controls: Tensor,
    noise: Tensor,
    cache: GrowingCache | RingCache,
    given: int = 1,
    detach: bool = True,
) -> Tensor:
    """Student forcing: the generator goes on from its own latents, exactly as in play (AAPT v2, section 2.2).

    Args:
        latents: [B, given, C, h, w] the real beginning: the start latent and `given - 1` more, which replace what the
            first passes make.
        controls: [B, T, k, width].
        noise: [B, T, C, h, w].
        cache: where to go on from; a fresh one at a start.
        given: how many latents are real, 1 in the paper (the user's frame); play begins with more, so that the dream
            knows its speed.
        detach: whether the recycled latent carries no gradient (the paper's choice; the cache always does).

    Returns:
        [B, 1 + T, C, h, w] beginning with the given ones.
    """
    out = list(latents[:, :given].unbind(1))
    for i in range(controls.shape[1]):
        previous = out[i].detach() if detach else out[i]
        made = step(generator, previous, controls[:, i], noise[:, i], cache)
        if i + 1 >= len(out):
            out.append(made)
    return torch.stack(out, dim=1)


def replay(
    generator: Generator, rolled: Tensor, controls: Tensor, noise: Tensor, scene: Tensor, given: int
) -> Tensor:
    """A rollout from position 1 once more, in one masked pass that carries gradients.

    Where recycled latents are detached, a latent's gradient reaches earlier positions only through keys and values,
    and those of a masked pass over the recycled latents are those of the cache: same latents, same gradients, one
    graph instead of T small ones.

    Args:
        rolled: [B, 1 + T, C, h, w] what `rollout` made, T at most W + 2.
        controls: [B, T, k, width].
        noise: [B, T, C, h, w] the same as then.
        scene: [B, attributes].
        given: as then.

    Returns:
        [B, 1 + T, C, h, w], the first `given` without gradient.
    """
    rolled, length = rolled.detach(), noise.shape[1]
    t = noise.new_ones(len(noise), length)
    made = noise - generator.parallel(noise, rolled[:, :-1], controls, t, scene)
    return torch.cat([rolled[:, :given], made[:, given - 1 :]], dim=1)


def resume(
    generator: Generator, rolled: Tensor, controls: Tensor, noise: Tensor, memory: Memory
) -> Tensor:
    """The end of a rollout once more, in one masked pass that carries gradients; what leads there carries none.

    Args:
        rolled: [B, 1 + L, C, h, w] what `rollout` made.
        controls: [B, L, k, width].
        noise: [B, L, C, h, w] the same as then.
        memory: of the ring when it had made `memory.age` latents.

    Returns:
        [B, L - age, C, h, w], latents age + 1 ... L.
    """
    age, rolled = memory.age, rolled.detach()
    noise = noise[:, age:]
    seen = Segment(generator.trunk.rope, memory, noise.shape[1])
    t = noise.new_ones(noise.shape[:2])
    return noise - generator(noise, rolled[:, age:-1], controls[:, age:], t, seen)


# Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), on int64 tensors that hold 32 bits.
LOW = 0xFFFFFFFF


def philox(counter: list[Tensor], key: tuple[Tensor, Tensor]) -> list[Tensor]:
    """Four 32-bit words per counter of four words, any device, any shape.

    A product wraps around in int64, but its 64 bits are those of the unsigned product.
    """
    a, b, c, d = counter
    k0, k1 = key
    for _ in range(10):
        x, y = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b = (y >> 32 ^ b ^ k0) & LOW, y & LOW
        c, d = (x >> 32 ^ d ^ k1) & LOW, x & LOW
        k0, k1 = k0 + 0x9E3779B9, k1 + 0xBB67AE85
    return [a, b, c, d]


def noise_at(seed: Tensor, position: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Standard normal noise that depends on (episode seed, position) only, so no row depends on its neighbours.

    Args:
        seed: [B] int64, of which 62 bits count.
        position: [B] int64, the position of the latent, >= 1.
        shape: (C, h, w).

    Returns:
        [B, C, h, w] float32.
    """
    count = 1
    for size in shape:
        count *= size
    index = torch.arange((count + 3) // 4, device=seed.device)[None]
    zero = torch.zeros_like(index + seed[:, None])
    # The seed in and out again: Inductor multiplies a bare index in 32 bits on a GPU (pytorch issue 175966).
    index = index ^ seed[:, None] ^ seed[:, None]
    counter = [index, zero, position[:, None] + zero & LOW, position[:, None] + zero >> 32]
    key = (seed[:, None] & LOW) + zero, (seed[:, None] >> 32 & LOW) + zero
    words = torch.stack(philox(counter, key), dim=-1).double()
    uniform = (words + 0.5) / 2.0**32
    radius = (-2 * uniform[..., 0::2].log()).sqrt()
    angle = 2 * torch.pi * uniform[..., 1::2]
    normal = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=-1)
    return normal.flatten(1)[:, :count].reshape(-1, *shape).float()
