"""Rollouts without gradient, exactly as played: over a ring, one pass per latent."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable

import torch
from torch import Tensor

from aapt_env.carried import corrected
from aapt_env.fast.fit import triton
from aapt_env.fast.still import still
from aapt_env.fast.ways import capture
from aapt_env.model.cache import KV, RingCache
from aapt_env.model.generator import Generator
from aapt_env.model.rollout import step
from aapt_env.model.segment import Memory

Step = Callable[[Tensor, Tensor, Tensor], Tensor]  # previous, controls, noise -> the next latent


class Roller:
    """Rolls a generator out while it learns.

    On a GPU most of a rollout is waiting for Python, so there `rollout.step` is recorded as one CUDA graph and
    launched once per latent. A graph reads weights where they lie, and optimizers change them there. Under bf16
    autocast a copy of the weights rolls out, in bf16 and on the fused kernels, as a world is played on a GPU.

    Args:
        generator: whose weights are used as they are at each call.
        kernels: whether there is such a copy; None: on a GPU that has Triton.
        plain: one operation at a time, on a GPU too, by the generator itself.
    """

    def __init__(self, generator: Generator, kernels: bool | None = None, plain: bool = False):
        self.generator, self.plain = generator, plain
        cuda = next(generator.parameters()).is_cuda
        self.kernels = not plain and (cuda and triton() if kernels is None else kernels)
        self.fused: Generator | None = None
        self.cache: RingCache | None = None  # of the recorded step
        self.recorded: tuple[Generator, Step] | None = None  # and whose it is

    @torch.no_grad()
    def __call__(
        self,
        start: Tensor,
        controls: Tensor,
        noise: Tensor,
        scene: Tensor,
        given: int,
        keep: int = 0,
    ) -> tuple[Tensor, Memory | None]:
        """Roll out from an empty cache.

        Args:
            start: [B, given or more, C, h, w] the real beginning, as in `rollout`. Where numbers are carried, all
                1 + T: these stay those of the game, so that it is known what the picture should show.
            controls: [B, T, k, width].
            noise: [B, T, C, h, w].
            scene: [B, attributes].
            given: how many latents are real.
            keep: the age at which the memory is kept; 0 for none.

        Returns:
            [B, 1 + T, C, h, w] beginning with the given ones, and the memory at that age.
        """
        kind, carries = start.device.type, self.generator.config.carries
        torch.clear_autocast_cache()  # of weights that have moved since
        kv = self.scene(scene)
        player = self.player(kind)
        fused = player is not self.generator
        with torch.autocast(kind, enabled=False) if fused else contextlib.nullcontext():
            cache, ahead = self.begin(player, kv, start[:, 0], controls[:, 0], noise[:, 0])
            out, memory = list(start[:, :given].unbind(1)), None
            for i in range(controls.shape[1]):
                if keep and i == keep:
                    memory = Memory.of(cache, i)
                made = ahead(out[i], controls[:, i], noise[:, i])
                if i + 1 >= len(out):
                    out.append(corrected(made, start[:, i + 1], carries) if carries else made)
        torch.clear_autocast_cache()  # weights cast without gradient would be used again with it
        return torch.stack(out, dim=1), memory

    def player(self, kind: str) -> Generator:
        """Who rolls out: the generator, or under autocast its copy on kernels, with the weights of now."""
        if not (self.kernels and torch.is_autocast_enabled(kind)):
            return self.generator
        if self.fused is None:
            self.fused = fused_copy(self.generator, torch.get_autocast_dtype(kind))
        mine, theirs = list(self.fused.parameters()), list(self.generator.parameters())
        torch._foreach_copy_(mine, theirs)
        return self.fused

    def scene(self, scene: Tensor) -> KV:
        """Keys and values of the scene, in the precision in which they will be looked at."""
        kv, device = self.generator.trunk.scene(scene), scene.device.type
        if not torch.is_autocast_enabled(device):
            return kv
        kind = torch.get_autocast_dtype(device)
        return [(k.to(kind), v.to(kind)) for k, v in kv]

    def begin(
        self, player: Generator, kv: KV, previous: Tensor, controls: Tensor, noise: Tensor
    ) -> tuple[RingCache, Step]:
        """An empty ring, and the step over it."""
        trunk, window = player.trunk, player.config.window
        if noise.device.type != "cuda" or self.plain:
            cache = RingCache(trunk.rope, kv, window)
            return cache, lambda *inputs: step(player, *inputs, cache)
        same = self.recorded is not None and self.recorded[0] is player
        if self.cache is None or not same or len(self.cache.age) != len(noise):
            self.cache = still(RingCache(trunk.rope, kv, window))
            self.recorded = player, record(player, self.cache, (previous, controls, noise))
        assert self.recorded is not None
        self.cache.age.zero_()
        self.cache.put_scene(self.cache.rows, kv)
        self.cache.prepare()
        return self.cache, self.recorded[1]


def fused_copy(generator: Generator, dtype: torch.dtype) -> Generator:
    """A copy that steps on the fused kernels."""
    from aapt_env.fast.fused import swap  # here: it needs Triton

    made = copy.deepcopy(generator).to(dtype).requires_grad_(False)
    for block in made.trunk.blocks:
        vars(block).pop("masked", None)  # what was compiled is the generator's
    swap(made)
    return made


def record(generator: Generator, cache: RingCache, like: tuple[Tensor, ...]) -> Step:
    """`step` as a CUDA graph; leaves the ring in no particular state.

    Args:
        generator: its weights are read where they lie.
        cache: a ring that stays in its place.
        like: previous, controls and noise of the shapes that will come.
    """
    places = [each.clone() for each in like]
    kind = torch.get_autocast_dtype("cuda")
    # weights must be cast in the graph, each time, and not be found among those cast before
    precision = torch.autocast(
        "cuda", kind, enabled=torch.is_autocast_enabled("cuda"), cache_enabled=False
    )
    with precision:
        replay = capture(lambda: step(generator, *places, cache))

    def run(*inputs: Tensor) -> Tensor:
        for place, new in zip(places, inputs, strict=True):
            place.copy_(new)
        return replay().clone()

    return run
