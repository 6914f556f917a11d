"""The meter's figures on pictures whose answer is known, bad ones included."""

import cv2
import numpy as np
import pytest

from aapt_env.evaluate import drift, measures
from aapt_env.evaluate.summary import fives, windows


def texture(seed=0, size=128):
    """A smooth random picture [size, size, 3]."""
    noise = np.random.default_rng(seed).integers(0, 256, (size, size, 3)).astype(np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)


def sliding(pixels, frames=9, seed=0):
    """A clip [1, F, 64, 64, 3] whose picture moves `pixels` to the right per frame."""
    wide = texture(seed)
    views = [wide[32:96, 40 - round(pixels * i) : 104 - round(pixels * i)] for i in range(frames)]
    return np.stack(views)[None]


CLEAR = np.zeros((64, 64), bool)


def test_a_clip_is_its_own_twin_and_blur_and_noise_are_not():
    clip = sliding(2)
    blurred = np.stack([cv2.GaussianBlur(f, (0, 0), 2) for f in clip[0]])[None]
    assert measures.psnr(clip, clip)[0] > 70 and measures.ssim(clip, clip)[0] == pytest.approx(1)
    assert measures.psnr(blurred, clip)[0] < 35 and measures.ssim(blurred, clip)[0] < 0.95
    assert measures.sharpness(blurred)[0] < 0.5 * measures.sharpness(clip)[0]


def test_psnr_of_a_known_error():
    a = np.full((1, 2, 8, 8, 3), 100, np.uint8)
    assert measures.psnr(a, a + 10)[0] == pytest.approx(20 * np.log10(25.5), abs=1e-4)


def test_motion_sees_speed_and_a_frozen_clip():
    slow, fast, frozen = (measures.motion(sliding(p), CLEAR)[0] for p in (1, 2, 0))
    assert slow == pytest.approx(2, rel=0.25) and fast == pytest.approx(4, rel=0.25)
    assert frozen < 0.01


def test_motion_leaves_the_mask_out():
    """A frozen road under a moving dashboard must read as frozen, up to the dashboard's edge."""
    clip = np.repeat(sliding(0)[:, :1], 9, axis=1)
    clip[:, :, 44:] = sliding(2)[:, :, 44:]
    mask = CLEAR.copy()
    mask[44:] = True
    assert measures.motion(clip, mask)[0] < 0.01 and measures.motion(clip, CLEAR)[0] > 0.2


def test_sideways_has_a_sign():
    assert measures.sideways(sliding(2), CLEAR)[0] > 1
    assert measures.sideways(sliding(2)[:, ::-1], CLEAR)[0] < -1


def test_frechet_is_zero_for_the_same_and_grows_with_distance():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(4000, 5)), rng.normal(size=(4000, 5)) + 2
    assert drift.frechet(a, a) == pytest.approx(0, abs=1e-6)
    assert drift.frechet(a, b) == pytest.approx(20, rel=0.05)


def test_intervals_hold_the_mean():
    found = measures.interval(np.arange(50.0))
    assert found["low"] < found["value"] == 24.5 < found["high"] and found["n"] == 50
    both = measures.ratio(np.full(9, 3.0), np.full(9, 2.0))
    assert both["value"] == both["low"] == both["high"] == 1.5


def test_windows_cover_the_whole_rollout():
    assert windows(10) == [(0, 1), (1, 2), (2, 5), (5, 10)]
    assert windows(3) == [(0, 1), (1, 2), (2, 3)]
    assert windows(60)[-1] == (55, 60) and windows(60)[4] == (10, 15)


def test_drift_has_windows_of_five_seconds():
    assert fives(60)[0] == (0, 5) and fives(60)[-1] == (55, 60) and len(fives(60)) == 12
    assert fives(8) == [(0, 5), (5, 8)]
