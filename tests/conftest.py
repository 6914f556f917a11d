"""Settings for every test: no window, no sound, few threads. Quick tests stay quick: torch is not imported here."""

import os

for name, value in {
    "SDL_VIDEODRIVER": "dummy",
    "SDL_AUDIODRIVER": "dummy",
    "PYGAME_HIDE_SUPPORT_PROMPT": "1",
    "OMP_NUM_THREADS": "2",  # read by torch when it is first imported; small networks gain nothing from more
}.items():
    os.environ.setdefault(name, value)
if "PYTEST_XDIST_WORKER" in os.environ:  # make test: one of several
    os.environ["OMP_NUM_THREADS"] = "1"

import pytest  # noqa: E402


@pytest.fixture(scope="session")
def tiny_spec():
    """Returns f(space, k) -> the spec of a world that no game stands behind."""
    from aapt_env.spec import ControlSpec, KeyBinding, WorldSpec

    keys = (("left", 0), ("a", 0), ("right", 1), ("d", 1), ("up", 2), ("down", 3))
    keymap = tuple(KeyBinding(keys=(key,), index=index) for key, index in keys)
    names = ("left", "right", "gas", "brake")
    controls = {
        "MultiBinary": ControlSpec(space="MultiBinary", size=4, names=names, keymap=keymap),
        "Discrete": ControlSpec(space="Discrete", size=4, names=names, keymap=keymap),
        "Box": ControlSpec(kind="vector", space="Box", size=2, names=("wheel", "pedals")),
    }
    scenes = {"time": ("day", "night"), "sky": ("clear", "rain")}

    def make(space="MultiBinary", k=4):
        return WorldSpec(
            game="tiny",
            height=64,
            width=64,
            control=controls[space],
            k=k,
            channels=4,
            scenes=scenes,
        )

    return make


@pytest.fixture(scope="session")
def make_checkpoint(tiny_spec):
    """Returns f(folder, space, k, seed) -> the folder, now a checkpoint of random weights that all matter."""
    import numpy as np
    import torch

    from aapt_env import checkpoint
    from aapt_env.model.generator import Generator
    from aapt_env.model.trunk import TrunkConfig
    from aapt_env.model.vae import VAE, VAEConfig
    from aapt_env.starts import PREFIX, Start

    def make(folder, space="MultiBinary", k=4, seed=0):
        spec = tiny_spec(space, k)
        torch.manual_seed(seed)
        sizes = TrunkConfig(channels=4, dim=32, depth=2, heads=2, window=3, scenes=(2, 2))
        generator = Generator(sizes, spec.control)
        for p in generator.parameters():
            torch.nn.init.normal_(p, std=0.2)
        vae = VAE(VAEConfig(k=k, channels=4, encoder=(8, 16), decoder=(8, 16)))
        for p in vae.parameters():
            torch.nn.init.normal_(p, std=0.05 if p.ndim == 1 else 0.7 * p[0].numel() ** -0.5)
        rng = np.random.default_rng(seed)
        starts = []
        for i in range(6):
            ramp = np.add.outer(np.arange(1 + PREFIX * k) * 5, np.arange(64) * 3)[:, None, :, None]
            frames = (ramp + rng.integers(0, 60, (1, 64, 64, 3))).astype(np.uint8)
            rows = [spec.control.to_row(a) for a in _actions(spec, len(frames) + 3, i)]
            scene = {"time": ("day", "night")[i % 2], "sky": ("clear", "rain")[i % 3 == 0]}
            starts.append(Start(frames=frames, controls=np.stack(rows), seed=100 + i, scene=scene))
        checkpoint.save(folder, spec, generator, vae, starts, {"recipe": "none"})
        return folder

    return make


def _actions(spec, count, seed):
    """Random actions of a spec's control space."""
    space = spec.control.action_space()
    space.seed(seed)
    return [space.sample() for _ in range(count)]


@pytest.fixture(scope="session")
def random_rows():
    """Returns f(spec, count, seed) -> float32 [count, width] random controls."""
    import numpy as np

    return lambda spec, count, seed=0: np.stack(
        [spec.control.to_row(a) for a in _actions(spec, count, seed)]
    )


@pytest.fixture(scope="session")
def tiny(make_checkpoint, tmp_path_factory):
    """A checkpoint folder that tests read and do not change."""
    return make_checkpoint(tmp_path_factory.mktemp("tiny") / "world")
