from pathlib import Path

import numpy as np
import pytest

from aapt_env.data.record import record
from aapt_env.spec import ControlSpec, WorldSpec

SPEC = WorldSpec(
    game="test",
    height=16,
    width=24,
    frame_fps=8,
    k=4,
    control=ControlSpec(space="Box", kind="vector", size=2, names=("x", "y")),
)


@pytest.fixture(autouse=True)
def colour_game(monkeypatch):
    """Makes `gym:colour_game:Colour-v0` importable, in worker processes too."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


@pytest.fixture
def spec():
    return SPEC


@pytest.fixture
def episode():
    """Returns f(latents, seed) -> the arguments of EpisodeWriter.add."""

    def make(latents=3, seed=0):
        rng = np.random.default_rng(seed)
        steps = 4 * latents
        return dict(
            frames=rng.integers(0, 255, (1 + steps, 16, 24, 3), np.uint8),
            controls=rng.uniform(-1, 1, (steps, 2)).astype(np.float32),
            rewards=rng.normal(size=steps).astype(np.float32),
            seed=seed,
        )

    return make


@pytest.fixture
def record_colour(tmp_path):
    """Returns f(name, **kwargs) -> folder of a recorded colour game."""

    def run(name="data", frames=150, **kwargs):
        settings = dict(height=16, width=24, max_seconds=8, progress=False) | kwargs
        record("gym:colour_game:Colour-v0", tmp_path / name, frames, **settings)
        return tmp_path / name

    return run


@pytest.fixture
def tree():
    """Returns f(folder) -> {file: its bytes}."""
    return lambda root: {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }
