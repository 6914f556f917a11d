"""The exam that every variant sits: the same starts, controls and noise, beside the same played game."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aapt_env.checkpoint import Checkpoint
from aapt_env.evaluate import figures, meter, rollouts
from aapt_env.evaluate.parts import Figures, Parts
from aapt_env.evaluate.run import twin_metrics
from aapt_env.evaluate.summary import Metrics
from aapt_env.model.generator import Generator
from aapt_env.train.beginnings import beginnings
from aapt_env.train.training import Training


class Exam:
    """Plays the game once; then figures of any generator.

    Args:
        base: a run with data and VAE.
        count: starts, out of held-out episodes.
        seconds: length of the rollouts.
        seed: of driver and noise.
        out: where the game's frames are kept.

    Raises:
        ValueError: there is no game to hold the dreams against.
    """

    def __init__(self, base: Training, count: int, seconds: float, seed: int, out: Path):
        self.base, self.seconds, self.seed = base, seconds, seed
        spec = base.spec
        self.twin, why = rollouts.find_game(spec)
        if self.twin is None:
            raise ValueError(f"an ablation needs the game beside the dream: {why}")
        where = meter.find(spec.game)
        self.meter = None if where is None else meter.load(where, base.device)
        if self.meter is None:
            print(
                f"no meter is trained for {spec.game} ('aapt meter {spec.game}'): no control, no drift"
            )
        data = base.data
        self.starts = beginnings(data.episodes, data.unseen, base.folder.seed)[:count]
        length = max(1, round(seconds * spec.frame_fps / spec.k))
        parts = Parts(out, {"count": count, "seconds": seconds, "seed": seed, "game": spec.game})
        self.game = parts.get("game", lambda: self._play(length))

    def _play(self, length: int) -> Figures:
        assert self.twin is not None
        frames, rows, alive = rollouts.play_games(self.twin, self.starts, length, self.seed, None)
        return {"frames": frames, "rows": rows, "alive": alive}

    def of(self, generator: Generator) -> tuple[Metrics, np.ndarray]:
        """All metrics of a generator, and what its first start looked like: [13, H, W, 3] uint8."""
        base, game = self.base, self.game
        spec, mask = base.spec, self.mask
        world = Checkpoint(spec, generator, base.vae, self.starts, "", {})
        seeds = [self.seed + i for i in range(len(self.starts))]
        dream = rollouts.play_dream(world, self.starts, game["rows"], seeds, base.device)
        part = figures.twin(dream, game["frames"], None, spec.k, mask, self.meter)
        part |= {"rows": game["rows"], "alive": game["alive"]}
        return twin_metrics(part, spec, self.seconds, self.meter), part["dream_shown"][0]

    @property
    def mask(self) -> np.ndarray:
        """[H, W] bool: pixels that display the control."""
        if self.meter is not None:
            return self.meter.mask
        return np.zeros((self.base.spec.height, self.base.spec.width), bool)

    def close(self) -> None:
        """Done with the game."""
        if self.twin is not None:
            self.twin.close()
