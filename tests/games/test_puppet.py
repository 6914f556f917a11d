"""The puppet keeps its promises: seeds, states, poses reached and poses refused, and a performer worth recording."""

import pickle
import subprocess
import sys
from pathlib import Path

import cv2
import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from aapt_games import GAMES
from aapt_games.puppet import PuppetEnv, angles, driver, limits, motions
from aapt_games.puppet import env as env_module
from aapt_games.puppet.driver import Driver
from aapt_games.puppet.hands import TOLD, Hands
from aapt_games.puppet.puppeteer import Puppeteer
from aapt_games.puppet.skeleton import ARMS, JOINTS, LENGTHS, LIMBS, SOLES, lengths_of, to_world

cv2.setNumThreads(1)
PLAIN = {"scene": {"place": "studio", "time": "day"}}
ARMS_UP = angles.pose_of(angles.angles(arms=(170, 12, 0, 5))).astype(np.float32).reshape(-1)


@pytest.fixture(scope="module")
def game():
    """One small game that tests reset as they need."""
    return PuppetEnv()


def play(game, rows):
    """Frames and infos of a run of controls."""
    steps = [game.step(row) for row in rows]
    return np.stack([s[0] for s in steps]), [s[4] for s in steps]


def test_gymnasium_accepts_it():
    """The registered game passes Gymnasium's own check."""
    check_env(gymnasium.make("aapt_games/Puppet-v0").unwrapped, skip_render_check=True)
    assert GAMES["puppet"] == "aapt_games.puppet:PuppetEnv"


@pytest.mark.parametrize("size", [(63, 64), (64, 257)])
def test_bad_sizes_are_named(size):
    """A size that cannot be drawn is refused in words."""
    with pytest.raises(ValueError, match="64 to 256"):
        PuppetEnv(*size)


@pytest.mark.parametrize("size", [(64, 128), (96, 64)])
def test_sizes(size):
    """Frames of every shape; state does not depend on it."""
    game, square = PuppetEnv(*size), PuppetEnv()
    obs, info = game.reset(seed=5)
    assert obs.shape == (*size, 3) and obs.std() > 10
    assert np.array_equal(info["pose"], square.reset(seed=5)[1]["pose"])


def test_equal_seed_and_controls_give_equal_frames(game):
    """Bit-identical replay, in another instance."""
    rows = np.random.default_rng(0).uniform(-1, 1, (6, 54)).astype(np.float32).repeat(3, axis=0)
    runs = []
    for each in (game, PuppetEnv()):
        first, _ = each.reset(seed=11)
        runs.append((first, *play(each, rows)))
    assert np.array_equal(runs[0][0], runs[1][0]) and np.array_equal(runs[0][1], runs[1][1])
    assert all(
        np.array_equal(a["pose"], b["pose"]) for a, b in zip(runs[0][2], runs[1][2], strict=True)
    )


def test_clone_and_restore(game):
    """A restored state continues exactly, in mid-glide, after another person and through pickle."""
    game.reset(seed=2)
    play(game, [ARMS_UP] * 2)
    state = pickle.loads(pickle.dumps(game.clone_state()))
    frames, _ = play(game, [ARMS_UP] * 4)
    game.reset()
    game.restore_state(state)
    assert np.array_equal(play(game, [ARMS_UP] * 4)[0], frames)


def test_people_and_places_differ_and_scenes_can_be_fixed(game):
    """The seed decides who it is; reset's options where it is."""
    pictures = [game.reset(seed=s, options=PLAIN)[0].astype(int) for s in range(4)]
    assert min(np.abs(a - b).mean() for i, a in enumerate(pictures) for b in pictures[:i]) > 3
    assert game.scene == PLAIN["scene"]
    with pytest.raises(ValueError, match="place 'moon' is unknown; known: studio"):
        game.reset(options={"scene": {"place": "moon"}})


def test_a_held_pose_is_reached_within_four_frames_and_kept(game):
    """The control is the pose at the end of the latent; on the way the limbs keep their lengths."""
    game.reset(seed=3)
    row = angles.pose_of(angles.angles(arms=(170, 12, 0, 5)), 0.1, game.body.lengths)
    _, infos = play(game, [row.astype(np.float32).reshape(-1)] * 4)
    assert np.abs(infos[-1]["pose"] - row).max() < 1e-6 and not infos[-1]["clamped"]
    assert np.abs(infos[0]["pose"] - row).max() > 0.05
    for info in infos:
        assert np.abs(lengths_of(info["pose"]) - game.body.lengths).max() < 0.02
    _, infos = play(game, [row.astype(np.float32).reshape(-1)] * 8)
    assert np.abs(infos[-1]["pose"] - row).max() < 0.02


@pytest.mark.parametrize(
    "row", [np.full(54, np.nan), np.full(54, 1.5), np.zeros(51), np.zeros((18, 3)), "wave"]
)
def test_what_is_no_pose_is_refused_and_nothing_breaks(game, row):
    """NaN, numbers out of range and a wrong number of joints: one sentence, and the figure stands where it stood."""
    game.reset(seed=1)
    with pytest.raises(ValueError, match="x, y and z in -1 to 1 of 18 joints"):
        game.step(row)
    assert np.isfinite(game.step(limits.REST_ROW)[4]["pose"]).all()


def test_poses_that_no_body_can_take_are_held_back():
    """Whatever the numbers: limbs of about their own lengths, above the ground, in the frame."""
    rng = np.random.default_rng(0)
    for pose in [np.zeros((JOINTS, 3)), *rng.uniform(-1, 1, (30, JOINTS, 3))]:
        held, clamped = limits.hold(pose, LENGTHS)
        assert clamped and np.abs(held).max() <= 1
        limb = np.array([np.linalg.norm(held[b] - held[a]) for a, b in LIMBS])
        assert (limb < 1.2 * LENGTHS[1:]).all()
        assert (to_world(held)[:, 1] - SOLES).min() > -0.03


def test_possible_poses_are_left_alone():
    """Every clip and random poses within the joint limits pass unchanged in the picture."""
    rng, moved = np.random.default_rng(1), []
    vectors = [one.at(t) for one in motions.CLIPS.values() for t in (0.3, 0.8)]
    for vector in [*vectors, *(angles.draw(rng) for _ in range(60))]:
        pose = angles.pose_of(vector)
        moved.append(np.abs(limits.hold(pose, LENGTHS)[0] - pose)[:, :2].max())
    assert np.median(moved) < 1e-9 and np.mean(np.array(moved) > limits.NOTICED) < 0.1


def test_depth_is_added_to_a_flat_pose():
    """x and y alone are a pose: they are kept, and limbs that seem short point forward or back."""
    pose = angles.pose_of(angles.angles(arms=(60, 10, 0, 20)))
    flat = pose * (1, 1, 0)
    held, _ = limits.hold(flat, LENGTHS)
    assert np.abs(held - flat)[:, :2].max() < 0.06 and np.ptp(held[:, 2]) > 0.1


def test_a_hand_reaches_where_it_is_pulled():
    """Inverse kinematics keep both limbs' lengths; out of reach the arm points there."""
    near = limits.REST[4, :2] + (0.2, 0.1)
    made = limits.reach(limits.REST, ARMS[0], near)
    assert np.abs(made[6, :2] - near).max() < 0.02
    assert np.abs(lengths_of(made) - lengths_of(limits.REST)).max() < 1e-6
    far = limits.reach(limits.REST, ARMS[0], np.array((0.95, 0.9)))
    assert np.isfinite(far).all() and far[6, 1] > far[4, 1]


def test_feet_do_not_slide_while_walking():
    """The lowest foot moves far less than the hips."""
    puppeteer, slid, went = Puppeteer(x=-0.6), [], []
    before = puppeteer.advance(1.0)
    for _ in range(7):
        pose = puppeteer.advance(1.0, frames=1)
        foot = min((12, 13, 16, 17), key=lambda j: to_world(pose)[j, 1] - SOLES[j])
        slid.append(abs(pose[foot, 0] - before[foot, 0]))
        went.append(pose[0, 0] - before[0, 0])
        before = pose
    assert np.mean(went) > 0.012 and np.median(slid) < 0.6 * np.mean(went)


def test_the_performer_is_worth_recording(monkeypatch):
    """All kinds of motion, hardly anything held back, always in the frame, never still for long."""
    monkeypatch.setattr(env_module.places, "paint", lambda *_: np.zeros((3, 64, 64), np.float32))
    monkeypatch.setattr(env_module.figure, "draw", lambda *_: None)
    game, acts, clamped, moved, high = PuppetEnv(), set(), [], [], []
    for seed in range(4):
        obs, info = game.reset(seed=seed)
        player = Driver(seed)
        player.reset(game)
        for _ in range(60):
            row = player(obs, info)
            before = info["pose"]
            for _ in range(4):
                obs, _, _, _, info = game.step(row)
            acts.add(player.act)
            clamped.append(info["clamped"])
            moved.append(np.abs(info["pose"] - before).max())
            high.append(info["pose"][2, 1])
    assert len(acts) >= 6 and np.mean(clamped) < 0.1
    assert np.mean(np.array(moved) > 0.03) > 0.5 and np.std(high) > 0.08


def test_keys_start_motions_and_arrows_walk():
    """Hands: the same figure goes on where a control left it, walks, waves, and lets the mouse pull a hand."""
    hands, idle = Hands(), np.zeros(len(Hands.names))
    hands.begin(ARMS_UP)
    right = idle.copy()
    right[1] = 1
    x = [hands(right)[0] for _ in range(8)]
    assert x[-1] > x[0] + 0.2
    wave = idle.copy()
    wave[Hands.names.index("wave")] = 1
    hands(wave)
    up = [hands(wave).reshape(18, 3)[9, 1] for _ in range(5)]
    assert max(up) > hands.pose[7, 1]
    for _ in range(12):
        hands(idle)
    at = hands.pose[6, :2] + (-0.1, 0.2)
    assert hands.grab(*hands.pose[6, :2]) and not Hands().grab(0.9, 0.9)
    hands.drag(*at)
    for _ in range(4):
        row = hands(idle)
    assert np.abs(row.reshape(18, 3)[6, :2] - at).max() < 0.08
    hands.drop()


def test_a_sequence_that_cannot_be_is_told_once():
    """Poses out of limits are held back, and the player hears of it."""
    hands = Hands()
    hands.follow([np.full((JOINTS, 3), 0.9)])
    row = hands(np.zeros(len(Hands.names)))
    assert hands.note == TOLD and np.isfinite(row).all() and np.abs(row).max() <= 1


def test_no_torch():
    """The simulators import neither torch nor the package that learns from them."""
    code = (
        "import sys, aapt_games.puppet.driver, aapt_games.puppet.hands;"
        "assert not {'torch', 'aapt_env'} & set(sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=Path(env_module.__file__).parents[2]
    )


def test_motions_kept_from_recordings_are_those_that_the_meter_plays(game):
    recorded = {*driver.ONCE, *motions.DANCES}
    assert recorded.isdisjoint(motions.UNSEEN) and recorded | {*motions.UNSEEN} == {*motions.CLIPS}
    obs, info = game.reset(seed=0)
    player, played = driver.Unseen(0), set()
    player.reset(game)
    for _ in range(60):
        row = player(obs, info)
        played.add(player.act)
        for _ in range(4):
            obs, _, _, _, info = game.step(row)
    assert played == {"idle", "clip"}
