"""Pose control: limbs drawn where they are, cut where they are too long, and skeletons that are none refused."""

import pytest
import torch

from aapt_env import controls
from aapt_env.model.generator import Generator
from aapt_env.model.trunk import TrunkConfig
from aapt_env.spec import ControlSpec
from aapt_games.puppet import PuppetEnv, limits

NAMES = tuple(f"{joint} {axis}" for joint in ("root", "middle", "tip") for axis in "xyz")
LIMBS = {"root > middle": 0.5, "middle > tip": 0.5}


def spec(**changed):
    return ControlSpec(
        **{"kind": "pose", "space": "Box", "size": 9, "names": NAMES, "settings": LIMBS} | changed
    )


def maps(pose, grid=(8, 8)):
    encode = controls.encoder(spec(), 16, grid)
    vector, made = encode(torch.tensor(pose).reshape(1, 1, 1, 9).expand(1, 1, 4, 9))
    assert vector is None and made.shape == (1, 1, 4, *grid) and encode.map_channels == 4
    return made[0, 0]


def test_a_limb_is_brightest_where_it_is_and_its_depth_is_told():
    """A vertical limb at x = 0.375 lies over column 5 of 8; x grows to the right, y upwards."""
    made = maps([0.375, 0.0, 0.0, 0.375, 0.5, 0.0, 0.375, 0.5, 0.3])
    near, deep = made[:2], made[2:]
    assert near[0].amax(0).argmax() == 5 and near[0][:4].sum() > 2 * near[0][4:].sum()
    assert deep[0].abs().max() == 0 and deep[1].max() > 1


def test_a_fraction_of_a_cell_shows():
    a = maps([0.0, 0.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.5, 0.3])
    b = maps([0.03, 0.0, 0.0, 0.03, 0.5, 0.0, 0.03, 0.5, 0.3])
    assert (a - b).abs().max() > 0.1


def test_a_limb_that_is_too_long_is_cut_and_what_hangs_on_it_moves_along():
    cut = maps([0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.4, 0.0])
    torch.testing.assert_close(cut, maps([0.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.5, 0.4, 0.0]))


def test_maps_are_spread_like_latents_for_the_puppet():
    """The game's own control is accepted, at a size for a generator, and stays as it is at rest."""
    control = ControlSpec.of(PuppetEnv())
    assert control.kind == "pose" and control.neutral().tolist() == list(limits.REST_ROW)
    assert ControlSpec(**vars(control)) == control
    config = TrunkConfig(channels=4, rows=8, columns=8, dim=32, depth=1, heads=2, window=2)
    made = Generator(config, control)
    assert sum(p.numel() for p in made.double().parameters()) > 0  # modules are walked through
    encode = made.float().trunk.control
    made = encode(torch.tensor(control.neutral())[None, None, None])[1]
    assert made.shape == (1, 1, 34, 8, 8) and 0.3 < made[:, :, :17].std() < 2
    pose = torch.tensor(limits.REST_ROW).reshape(1, 1, 18, 3)
    torch.testing.assert_close(encode.fit(pose), pose)


def test_the_k_poses_of_a_latent_are_averaged():
    encode = controls.encoder(spec(), 16, (4, 4))
    rows = torch.rand(2, 3, 4, 9) * 0.2
    torch.testing.assert_close(encode(rows)[1], encode(rows.mean(2, keepdim=True))[1])


@pytest.mark.parametrize(
    "changed, said",
    [
        ({"names": ()}, "a pose is a Box whose elements are named"),
        ({"names": (*NAMES[:8], "tip w")}, "a pose is a Box whose elements are named"),
        ({"settings": {"root > middle": 0.5}}, "make no tree"),
        ({"settings": LIMBS | {"tip > root": 0.5}}, "make no tree"),
        ({"settings": LIMBS | {"root > tip": 0.5}}, "make no tree"),
        ({"settings": LIMBS | {"root > hat": 0.5}}, "'JOINT > JOINT'"),
        ({"settings": LIMBS | {"root > middle": 0.0}}, "'JOINT > JOINT'"),
    ],
)
def test_skeletons_that_are_none_are_named(changed, said):
    with pytest.raises(ValueError, match=said):
        controls.encoder(spec(**changed), 16, (4, 4))


def test_rest_is_what_nobody_says():
    assert spec(rest=(0.5,) * 9).neutral().tolist() == [0.5] * 9
    with pytest.raises(ValueError, match="outside"):
        spec(rest=(2.0,) * 9)
    with pytest.raises(ValueError, match="is for a Box"):
        ControlSpec(space="Discrete", size=3, rest=(1.0,))
