"""Sequences of poses from files: every format gives the same poses, and every bad file one sentence."""

import json

import numpy as np
import pytest

from aapt_games.puppet import angles, files, webcam
from aapt_games.puppet.hands import GONE, Hands
from aapt_games.puppet.skeleton import JOINTS, LENGTHS, NAMES, lengths_of

POSES = np.stack([angles.pose_of(angles.angles(arms=(20 * i, 10, 0, 10))) for i in range(9)])
BVH = """HIERARCHY
ROOT Hips
{ OFFSET 0 90 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Neck { OFFSET 0 50 0 CHANNELS 3 Zrotation Xrotation Yrotation
    JOINT Head { OFFSET 0 20 0 CHANNELS 3 Zrotation Xrotation Yrotation End Site { OFFSET 0 10 0 } }
    JOINT LeftArm { OFFSET 18 -4 0 CHANNELS 3 Zrotation Xrotation Yrotation
      JOINT LeftForeArm { OFFSET 0 -28 0 CHANNELS 3 Zrotation Xrotation Yrotation
        JOINT LeftHand { OFFSET 0 -25 0 CHANNELS 3 Zrotation Xrotation Yrotation End Site { OFFSET 0 -8 0 } } } }
    JOINT RightArm { OFFSET -18 -4 0 CHANNELS 3 Zrotation Xrotation Yrotation
      JOINT RightForeArm { OFFSET 0 -28 0 CHANNELS 3 Zrotation Xrotation Yrotation
        JOINT RightHand { OFFSET 0 -25 0 CHANNELS 3 Zrotation Xrotation Yrotation End Site { OFFSET 0 -8 0 } } } } }
  JOINT LeftUpLeg { OFFSET 9 0 0 CHANNELS 3 Zrotation Xrotation Yrotation
    JOINT LeftLeg { OFFSET 0 -42 0 CHANNELS 3 Zrotation Xrotation Yrotation
      JOINT LeftFoot { OFFSET 0 -42 0 CHANNELS 3 Zrotation Xrotation Yrotation End Site { OFFSET 0 -5 10 } } } }
  JOINT RightUpLeg { OFFSET -9 0 0 CHANNELS 3 Zrotation Xrotation Yrotation
    JOINT RightLeg { OFFSET 0 -42 0 CHANNELS 3 Zrotation Xrotation Yrotation
      JOINT RightFoot { OFFSET 0 -42 0 CHANNELS 3 Zrotation Xrotation Yrotation End Site { OFFSET 0 -5 10 } } } }
}
MOTION
Frames: 2
Frame Time: 0.0416667
"""


def write(folder, kind, poses=POSES, names=NAMES):
    path = folder / f"poses.{kind}"
    if kind == "json":
        path.write_text(json.dumps({"fps": 24, "joints": names, "poses": poses.tolist()}))
    elif kind == "npz":
        np.savez(path, poses=poses, fps=24, joints=np.array(names))
    else:
        header = ["time", *(f"{joint} {axis}" for joint in names for axis in "xyz")]
        rows = [[i / 24, *pose.reshape(-1).tolist()] for i, pose in enumerate(poses)]
        path.write_text("\n".join(",".join(map(str, row)) for row in [header, *rows]))
    return path


@pytest.mark.parametrize("kind", ["json", "npz", "csv"])
def test_formats_are_read_in_any_order_of_joints_and_resampled(tmp_path, kind):
    order = np.random.default_rng(0).permutation(JOINTS)
    path = write(tmp_path, kind, POSES[:, order], [NAMES[i] for i in order])
    assert np.allclose(files.read(path, 24), POSES)
    assert np.allclose(files.read(path, 6), POSES[::4])
    assert np.allclose(files.read(path, 48)[1], (POSES[0] + POSES[1]) / 2)


def test_bvh_keeps_directions_and_takes_the_figures_lengths(tmp_path):
    """Someone who stands, then has lifted the left arm sideways, is who does so here."""
    still = [0, 90, 0] + [0] * 45
    lifted = still.copy()
    lifted[12] = 90  # LeftArm, Zrotation
    path = tmp_path / "two.bvh"
    path.write_text(BVH + "\n".join(" ".join(map(str, row)) for row in (still, lifted)))
    poses = files.read(path, 24)
    assert poses.shape == (2, JOINTS, 3)
    assert np.allclose(lengths_of(poses[1])[[5, 6, 11, 12]], LENGTHS[[5, 6, 11, 12]], atol=1e-6)
    assert poses[0][6, 1] < poses[0][4, 1] - 0.3 and poses[1][6, 0] > poses[1][4, 0] + 0.3
    assert poses[1][9, 1] < poses[1][7, 1] - 0.3  # the right arm hangs


@pytest.mark.parametrize("kind", ["json", "npz", "csv"])
def test_bad_sequences_are_named(tmp_path, kind):
    broken = POSES.copy()
    broken[3, 6, 0] = np.nan
    with pytest.raises(ValueError, match="pose 3 has nan for left hand"):
        files.read(write(tmp_path, kind, broken), 6)
    with pytest.raises(ValueError, match="right toe.* missing"):
        files.read(write(tmp_path, kind, POSES[:, :-1], NAMES[:-1]), 6)


@pytest.mark.parametrize("kind", ["json", "npz", "csv"])
def test_joints_that_are_there_twice_are_named(tmp_path, kind):
    twice = write(tmp_path, kind, POSES[:, [0, *range(JOINTS)]], [NAMES[0], *NAMES])
    with pytest.raises(ValueError, match="'hips( x)?' is there 2 times; expected once"):
        files.read(twice, 6)


def test_poses_of_complex_numbers_are_refused(tmp_path):
    with pytest.raises(ValueError, match="poses of type complex128; expected real numbers"):
        files.read(write(tmp_path, "npz", POSES + 0j, NAMES), 6)


FAR = json.dumps([[[0.0, 0.0, 0.0]] * JOINTS]).replace("0.0", "9e99", 1)


@pytest.mark.parametrize(
    "name, text, said",
    [
        ("a.json", "{", "Expecting"),
        ("a.json", '{"fps": 0, "poses": [' + json.dumps(POSES[0].tolist()) + "]}", "fps 0"),
        ("a.json", '{"poses": [[1, 2], [3]]}', "unequal size"),
        ("a.json", '{"poses": []}', r"expected \[T, 18, 3\]"),
        ("a.json", '{"joints": 5, "poses": [[[1]]]}', "damaged, or not JSON at all"),
        ("a.json", '{"fps": null, "poses": ' + FAR.replace("9e99", "0") + "}", "damaged, or not"),
        ("a.json", '{"poses": ' + FAR + "}", r"pose 0 has 9e\+99 for hips"),
        ("a.json", '{"fps": 1e-300, "poses": ' + FAR.replace("9e99", "0") + "}", "an hour at most"),
        ("a.json", '{"fps": 1e300, "poses": ' + FAR.replace("9e99", "0") + "}", "at most 10000"),
        ("a.npz", "", "damaged, or not NPZ at all"),
        ("a.npz", "PK and no more", "NPZ|npz|pickle"),
        ("a.bvh", "HIERARCHY", "no BVH"),
        ("a.fbx", "", "unknown format"),
    ],
)
def test_files_that_hold_no_poses_are_named(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=f"--pose .*{name}: .*{said}"):
        files.read(tmp_path / name, 6)
    with pytest.raises(ValueError, match="no such file"):
        files.read(tmp_path / "none.json", 6)
    with pytest.raises(ValueError, match="a folder"):
        files.read(tmp_path, 6)


def test_without_mediapipe_the_webcam_says_what_to_install(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(webcam.importlib, "import_module", missing)
    with pytest.raises(ValueError, match="needs MediaPipe, .* pip install"):
        Hands().replay("webcam", 6)


def test_a_webcam_pulled_out_in_mid_play_hands_over_to_the_keys():
    class Broken:
        def read(self):
            raise OSError("the camera is gone")

        def close(self):
            self.closed = True

    hands = Hands()
    camera = hands.webcam = Broken()
    row = hands(np.zeros(len(Hands.names)))
    assert hands.note.startswith(GONE) and camera.closed and np.isfinite(row).all()
    hands.note = ""
    assert np.isfinite(hands(np.zeros(len(Hands.names)))).all() and not hands.note


def test_landmarks_of_a_body_become_a_pose_as_in_a_mirror():
    """Standing, the player's left arm out to the side: the figure's right one, on the same side of the frame."""
    world = np.zeros((33, 3))
    for left, place in (
        (11, (0.2, 0.5)),
        (13, (0.45, 0.5)),
        (15, (0.7, 0.5)),
        (23, (0.1, 0)),
        (25, (0.1, -0.4)),
        (27, (0.1, -0.8)),
    ):
        world[left, :2] = place
        world[left + 1, :2] = (-place[0], place[1])
    world[14, :2], world[16, :2] = (-0.2, 0.25), (-0.2, 0.0)
    world[[31, 32]] = world[[27, 28]] + (0, 0, 0.1)
    world[[7, 8]], world[0] = (0, 0.7, 0), (0, 0.7, 0.1)
    pose = webcam.pose_of_landmarks(world, 0.0)
    assert pose[9, 0] < pose[7, 0] - 0.3 and abs(pose[9, 1] - pose[7, 1]) < 0.05
    assert pose[6, 1] < pose[4, 1] - 0.3
    assert np.allclose(lengths_of(pose)[1:4], LENGTHS[1:4], atol=1e-6)
