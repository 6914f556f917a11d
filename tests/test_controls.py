"""The one door for controls: keys and vectors, and maps that a new kind of control brings."""

import dataclasses
import types
from math import pi, sin

import numpy as np
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


CAMERA = ControlSpec(
    kind="camera",
    space="Box",
    size=4,
    names=("forward", "strafe", "yaw", "pitch"),
    settings={"metres": 0.1, "degrees": 6.0, "fov": 80.0},
)


def rays(*rows):
    """The maps [6, 8, 8] of a latent of these controls, unscaled: origin in m, change of direction."""
    encode = controls.encoder(CAMERA, 16, (8, 8))
    vector, maps = encode(torch.tensor(rows)[None, None])
    assert vector is None and maps.shape == (1, 1, 6, 8, 8)
    k = len(rows)
    return maps[0, 0] * torch.tensor([k * 0.1 / 2] * 3 + [k * pi / 30 / 2] * 3)[:, None, None]


def test_a_still_camera_has_no_rays_to_tell():
    assert not rays([0.0] * 4, [0.0] * 4).any()


def test_rays_begin_where_the_camera_goes_and_point_where_it_turns():
    """x right, y down, z ahead."""
    ahead = rays([1.0, 0.0, 0.0, 0.0])
    assert ahead[:3, 0, 0].tolist() == pytest.approx([0, 0, 0.1]) and not ahead[3:].any()
    assert rays([0.0, 1.0, 0.0, 0.0])[:3, 3, 3].tolist() == pytest.approx([0.1, 0, 0])
    middle = rays([0.0, 0.0, 1.0, 0.0])[3:, 3:5, 3:5].mean((1, 2))
    assert middle[0] > 0.09 and abs(middle[1]) < 1e-3  # turned right
    middle = rays([0.0, 0.0, 0.0, 1.0])[3:, 3:5, 3:5].mean((1, 2))
    assert middle[1] < -0.09 and abs(middle[0]) < 1e-3  # up


def test_the_motions_of_a_latent_are_composed_not_averaged():
    """Turn right and then go ahead ends to the right; go ahead and then turn ends ahead."""
    turn, go = [0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]
    first, second = rays(turn, go), rays(go, turn)
    assert first[0, 0, 0] == pytest.approx(0.1 * sin(pi / 30), rel=1e-4)
    assert second[0, 0, 0] == pytest.approx(0.0, abs=1e-7)
    torch.testing.assert_close(first[3:], second[3:])


def test_composed_rays_are_those_of_the_poses_between():
    """Against plain geometry: walk the frames one by one with 4 x 4 matrices."""
    rows = torch.rand(4, 4, generator=torch.Generator().manual_seed(1)) * 2 - 1
    pose = torch.eye(4, dtype=torch.float64)
    for forward, strafe, yaw, pitch in rows.double().tolist():
        step = torch.eye(4, dtype=torch.float64)
        a = torch.tensor([pitch, yaw, 0.0], dtype=torch.float64) * pi / 30
        cross = torch.tensor([[0, -a[2], a[1]], [a[2], 0, -a[0]], [-a[1], a[0], 0]])
        step[:3, :3] = torch.linalg.matrix_exp(cross.double())
        step[:3, 3] = torch.tensor([strafe, 0, forward]) * 0.1
        pose = pose @ step
    seen = rays(*rows.tolist())
    assert seen[:3, 2, 5].tolist() == pytest.approx(pose[:3, 3].tolist(), abs=1e-5)
    way = controls.directions((8, 8), 80.0)[:, 2, 5].double()
    assert seen[3:, 2, 5].tolist() == pytest.approx((pose[:3, :3] @ way - way).tolist(), abs=1e-5)


def test_full_motions_have_about_unit_spread():
    """An input channel much larger or smaller than the latents' would drown or be drowned."""
    encode = controls.encoder(CAMERA, 16, (8, 8))
    rows = torch.rand(256, 1, 1, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    spread = encode(rows.expand(-1, -1, 4, -1))[1].std(dim=(0, 1, 3, 4))
    assert 0.15 < spread[[0, 2, 3, 4]].min() and spread.max() < 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"names": ("forward", "sideways", "yaw", "pitch")},
        {"names": ()},
        {"settings": {"metres": 0.1, "fov": 80.0}},
        {"settings": {"metres": 0.0, "degrees": 6.0, "fov": 80.0}},
        {"space": "MultiBinary"},
    ],
)
def test_a_camera_that_does_not_say_what_it_moves_is_refused(wrong):
    with pytest.raises(ValueError, match="a camera is a Box with elements out of"):
        controls.encoder(dataclasses.replace(CAMERA, **wrong), 8, (4, 4))


def test_a_kind_of_a_package_is_found_by_its_entry_point(monkeypatch):
    found = types.SimpleNamespace(load=lambda: MapEncoder)
    monkeypatch.setattr(controls, "ENCODERS", dict(controls.ENCODERS))
    asked = []
    monkeypatch.setattr(controls, "entry_points", lambda **which: asked.append(which) or [found])
    made = controls.encoder(ControlSpec(kind="knob", space="Box", size=3), 8, (4, 4))
    assert isinstance(made, MapEncoder)
    assert asked == [{"group": "aapt_env.controls", "name": "knob"}]


@pytest.mark.parametrize("kind", ["keys", "no name", ""])
def test_a_name_that_is_taken_or_none_is_refused(kind):
    with pytest.raises(ValueError, match="expected a name, none of"):
        controls.register(kind, MapEncoder)


def test_a_kind_without_an_encoder_is_refused():
    with pytest.raises(ValueError, match="no encoder for control kind 'lute'"):
        controls.encoder(ControlSpec(kind="lute", space="Box", size=2), 8, (4, 4))


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (np.full(30, np.nan), r"action has 'joint 0' = nan, and 29 more outside Box\(-1.0, 1.0"),
        (np.eye(1, 30, 7)[0] * 3, "action has 'joint 7' = 3, and 0 more outside"),
        (
            np.zeros(27),
            r"action is of shape \(27,\); expected Box.*30 controls, 'joint 0' to 'joint 29'",
        ),
        ("jump", "action is not numbers; expected Box"),
        (None, "action is not numbers; expected Box"),
    ],
)
def test_of_a_long_action_only_what_is_wrong_is_said(action, said):
    names = tuple(f"joint {i}" for i in range(30))
    spec = ControlSpec(kind="vector", space="Box", size=30, names=names)
    with pytest.raises(ValueError, match=said) as error:
        spec.to_row(action)
    assert len(str(error.value)) < 160 and "\n" not in str(error.value)
    with pytest.raises(ValueError, match=r"action is of shape \(30,\); expected Discrete\(30\)"):
        dataclasses.replace(spec, kind="keys", space="Discrete").to_row(np.zeros(30))
    with pytest.raises(ValueError, match="action has 'joint 3' = 0.5, and 0 more outside Multi"):
        dataclasses.replace(spec, kind="keys", space="MultiBinary").to_row(np.eye(1, 30, 3)[0] / 2)


def test_rival_keys_held_together_are_as_if_neither_was():
    names = ("left", "right", "up", "fire")
    told = ControlSpec(
        space="MultiBinary", size=4, names=names, settings={"left": 1.0, "right": 1.0}
    )
    torch.manual_seed(0)
    asked = controls.encoder(told, 8, (4, 4))
    torch.manual_seed(0)
    plain = controls.encoder(dataclasses.replace(told, settings={}), 8, (4, 4))
    every = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 4)[:, None, None].expand(
        -1, 1, 4, -1
    )
    both = every[..., :2].prod(dim=-1, keepdim=True)
    alone = torch.cat([every[..., :2] * (1 - both), every[..., 2:]], dim=-1)
    assert torch.equal(asked(every)[0], plain(alone)[0])
    assert not torch.equal(plain(every)[0], plain(alone)[0])
    torch.manual_seed(0)
    other = controls.encoder(dataclasses.replace(told, settings={"pace": 1.0}), 8, (4, 4))
    assert torch.equal(other(every)[0], plain(every)[0]), "a number of the game's own"


@pytest.mark.parametrize(
    "wrong", [{"left": 1.0}, {"left": 1.0, "jump": 1.0}, dict.fromkeys(("left", "right", "up"), 1)]
)
def test_rivals_come_in_pairs(wrong):
    control = ControlSpec(
        space="MultiBinary", size=3, names=("left", "right", "up"), settings=wrong
    )
    with pytest.raises(ValueError, match="the same for two"):
        controls.encoder(control, 8, (4, 4))
