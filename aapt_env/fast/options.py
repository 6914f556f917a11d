"""Which fast paths are wanted. Known without torch, so that flags can name them."""

from __future__ import annotations

from dataclasses import dataclass

WAYS = ("auto", "plain", "compile", "graphs")
WEIGHTS = CACHES = ("full", "fp8")


@dataclass(frozen=True, kw_only=True)
class Fast:
    """How a world steps; the frames are the same to rounding.

    Raises:
        ValueError: a name that is none of these.
    """

    way: str = "auto"  # graphs on a GPU, weights laid out once on a CPU; plain: none of it
    kernels: bool = False  # fused Triton kernels, on a GPU
    weights: str = "full"  # of the generator's blocks: in the dtype of the run, or fp8
    cache: str = "full"  # keys and values of the ring: likewise

    def __post_init__(self):
        if not isinstance(self.kernels, bool):
            raise ValueError(f"kernels={self.kernels!r}; expected True or False")
        for name, known in (("way", WAYS), ("weights", WEIGHTS), ("cache", CACHES)):
            if getattr(self, name) not in known:
                kind = "fast" if name == "way" else name
                raise ValueError(
                    f"{kind}={getattr(self, name)!r}; expected one of {', '.join(known)}"
                )

    @property
    def words(self) -> str:
        """For a report: nothing for what is there by default."""
        parts = [self.way] if self.way != "auto" else []
        parts += ["kernels"] if self.kernels else []
        parts += [f"{self.weights} weights"] if self.weights != "full" else []
        parts += [f"{self.cache} cache"] if self.cache != "full" else []
        return "".join(f", {part}" for part in parts)


AUTO = Fast()
