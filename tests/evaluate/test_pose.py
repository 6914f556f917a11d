"""The pose's part of the meter: joints read from real pictures, and whether someone stays the same person."""

import numpy as np
import pytest
import torch

from aapt_env.evaluate import pose, reading
from aapt_env.evaluate.summary import Window
from aapt_env.model.keypoints import Keypoints, centres
from aapt_env.spec import ControlSpec

AXES = ("a x", "a y", "a z", "b x", "b y", "b z")
CONTROL = ControlSpec(
    kind="pose", space="Box", size=6, names=AXES, settings={"a > b": 2.0}, rest=(0.0,) * 6
)
SPAN = [Window(0.0, 2.0, 24, 4)]


def figures(dream):
    """Four starts of 12 latents of two joints, of a dream that shows `dream(rows)`; first and last are not read."""
    rows = np.random.default_rng(0).uniform(-0.8, 0.8, (4, 12, 6)).astype(np.float32)
    known = np.arange(12) % 11 != 0
    out = {"rows": rows, "alive": np.ones((4, 49), bool)}
    out["dream_reading"] = np.where(known[None, :, None], 1, -1) * np.ones_like(rows, np.int8)
    for name, value in (("dream", dream(rows)), ("game", rows + np.float32([0.01, 0, 0.3] * 2))):
        out[f"{name}_value"] = np.where(known[None, :, None], value, np.nan)
    return out


@pytest.mark.parametrize(
    ("shift", "error"), [((0, 0, 0), 0), ((0, 0, 0.5), 0), ((0.03, 0.04, 0), 0.05)]
)
def test_the_error_is_the_distance_in_the_picture(shift, error):
    found = pose.keypoints(figures(lambda rows: rows + np.float32(shift * 2)), SPAN)
    assert found["keypoint_error_dream"]["0-2s"]["value"] == pytest.approx(error, abs=1e-6)
    assert found["keypoint_error_game"]["0-2s"]["value"] == pytest.approx(0.01, abs=1e-6)
    assert found["keypoint_error_ratio"]["0-2s"]["value"] == pytest.approx(100 * error, abs=1e-3)


def painted(rows, colours):
    """Clips [n, 1 + 4 T, 32, 32, 3] with the limb of each pose in the colour of its start."""
    import cv2

    n, latents = rows.shape[:2]
    clips = np.full((n, 1 + 4 * latents, 32, 32, 3), 90, np.uint8)
    for i in range(n):
        for t in range(latents):
            ends = rows[i, t].reshape(2, 3)[:, :2] * (16, -16) + 16
            a, b = (tuple(int(v) for v in end) for end in ends)
            cv2.line(clips[i, 4 * t + 4], a, b, colours[i], 5)
    return clips


def test_identity_is_1_for_the_same_colours_and_0_for_those_of_another():
    rows = np.random.default_rng(1).uniform(-0.8, 0.8, (3, 12, 6)).astype(np.float32)
    clothes = [(220, 30, 30), (30, 220, 30), (40, 40, 230)]
    part = {
        f"{name}_limbs": pose.colours(painted(rows, worn), rows, 4, CONTROL)
        for name, worn in (("game", clothes), ("dream", clothes), ("vae", np.roll(clothes, 1, 0).tolist()))
    }  # fmt: skip
    assert pose.identity(part, SPAN)["identity_kept"]["0-2s"]["value"] == pytest.approx(1)
    part["dream_limbs"] = part["vae_limbs"]
    assert abs(pose.identity(part, SPAN)["identity_kept"]["0-2s"]["value"]) < 0.15


def test_a_limb_that_leaves_the_frame_is_read_at_its_edge():
    rows = np.full((2, 1, 6), 1.0, np.float32)
    assert pose.colours(painted(rows * 0, [(0, 0, 0)] * 2), rows, 4, CONTROL).shape == (2, 1, 1, 3)


def test_cells_are_where_their_pixels_are():
    grid = centres(2, 4)
    assert grid[0].tolist() == [-1.5, 0.5] and grid[-1].tolist() == [1.5, -0.5]


def test_joints_are_learned_to_a_fraction_of_a_cell():
    torch.manual_seed(0)
    net = Keypoints(1, (8, 16, 16, 16))
    adam = torch.optim.Adam(net.parameters(), 4e-3)
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")

    def batch(seed):
        spot = torch.rand(32, 3, generator=torch.Generator().manual_seed(seed)) * 1.4 - 0.7
        far = (x - 15.5 - 16 * spot[:, :1, None]) ** 2 + (y - 15.5 + 16 * spot[:, 1:2, None]) ** 2
        frames = (
            torch.exp(-far / 8)[:, None] * torch.tensor([1.0, 0.2, 0.5])[:, None, None]
        ) * 2 - 1
        return frames, spot

    for step in range(120):
        frames, spot = batch(step)
        loss = (net(frames)[:, 0, :2] - spot[:, :2]).abs().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    frames, spot = batch(1000)
    with torch.no_grad():
        off = (net(frames)[:, 0, :2] - spot[:, :2]).abs().mean()
    assert off < 0.125, "a cell is 0.25"


def test_a_pose_is_read_from_one_frame_and_its_loss_is_a_distance():
    from aapt_env.model.observer import Observer, ObserverConfig

    torch.manual_seed(0)
    sizes = dict(motion=(8,) * 4, look=(8,) * 4, joints=(8,) * 4, features=8, bank=8)
    observer = Observer(ObserverConfig(height=32, width=32, k=2, **sizes), CONTROL).eval()
    frames = torch.randint(0, 256, (2, observer.config.span, 32, 32, 3), dtype=torch.uint8)
    logits, _ = observer(frames)
    assert logits.shape == (2, 6)
    others = frames.clone()
    others[:, [i for i in range(observer.config.span) if i != observer.config.now]] = 0
    assert torch.equal(observer(others)[0], logits)
    rows = logits.tanh() + 0.1
    assert reading.loss(CONTROL, logits, rows, torch.ones(1)).item() == pytest.approx(0.1, rel=1e-4)
