"""The one door for controls: keys and vectors, and maps that a new kind of control brings."""

import pytest
import torch
from torch import nn

from aapt_env import controls
from aapt_env.model.cache import RingCache
from aapt_env.model.generator import Generator
from aapt_env.model.rollout import step
from aapt_env.model.trunk import TrunkConfig
from aapt_env.spec import ControlSpec

CONFIG = TrunkConfig(channels=4, rows=4, columns=6, dim=32, depth=1, heads=2, window=2)


class MapEncoder(nn.Module):
    """A camera's motion painted over the grid: one channel per element, and no vector."""

    map_channels = 3

    def __init__(self, control, dim, grid):
        super().__init__()
        self.grid, self.broken = grid, False

    def forward(self, rows):
        maps = rows.mean(dim=2)[..., None, None].expand(*rows.shape[:2], 3, *self.grid)
        return None, maps[..., :-1] if self.broken else maps


@pytest.mark.parametrize("space", ["Discrete", "MultiBinary", "Box"])
def test_controls_of_a_latent_are_averaged_after_embedding(space):
    spec = ControlSpec(kind="vector" if space == "Box" else "keys", space=space, size=3)
    encode = controls.encoder(spec, 16, (4, 4))
    rows = torch.randint(0, 2, (2, 5, 4, spec.width)).float()
    vector, maps = encode(rows)
    each = [encode(rows[:, :, i : i + 1])[0] for i in range(4)]
    assert vector.shape == (2, 5, 16) and maps is None
    torch.testing.assert_close(vector, sum(each) / 4)
    assert (vector - encode(1 - rows)[0]).abs().max() > 1e-4


def test_a_control_held_for_a_latent_is_its_k_frames():
    rows = torch.tensor([[1.0, 0.0]])
    assert torch.equal(controls.held(rows, 4), rows.expand(4, 2)[None, None])


def test_maps_enter_through_the_input_channels(monkeypatch):
    monkeypatch.setitem(controls.ENCODERS, "camera", MapEncoder)
    spec = ControlSpec(kind="camera", space="Box", size=3)
    torch.manual_seed(0)
    made = Generator(CONFIG, spec).requires_grad_(False)
    for p in made.parameters():
        nn.init.normal_(p, std=0.2)
    assert made.trunk.enter.in_features == (2 * 4 + 3) * 4

    def out(row):
        cache = RingCache(
            made.trunk.rope, made.trunk.scene(torch.zeros(1, 0, dtype=torch.int64)), 2
        )
        z = torch.ones(1, 4, 4, 6)
        return step(made, z, torch.tensor(row).expand(1, 4, 3), z, cache)

    assert (out([0.5, 0.0, 0.0]) - out([-0.5, 0.0, 0.0])).abs().max() > 1e-4
    made.trunk.control.broken = True
    with pytest.raises(ValueError, match=r"control maps \(3, 4, 5\); expected \(3, 4, 6\)"):
        out([0.5, 0.0, 0.0])


def test_new_input_channels_begin_at_random_not_at_zero(monkeypatch):
    monkeypatch.setitem(controls.ENCODERS, "camera", MapEncoder)
    made = Generator(CONFIG, ControlSpec(kind="camera", space="Box", size=3))
    assert made.trunk.enter.weight[:, -12:].abs().mean() > 0.01


def test_a_kind_without_an_encoder_is_refused():
    with pytest.raises(ValueError, match="no encoder for control kind 'pose'"):
        controls.encoder(ControlSpec(kind="pose", space="Box", size=2), 8, (4, 4))
