import cv2
import numpy as np
import pytest

from aapt_env.data import video


def scenery(count, size=64):
    """Textured, moving frames: a harder case than flat colours."""
    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.integers(0, 255, (256, 256, 3), np.uint8), (0, 0), 2)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX)
    return np.stack([texture[i : i + size, 2 * i : 2 * i + size] for i in range(count)])


def psnr(a, b):
    error = (a.astype(float) - b) ** 2
    return 10 * np.log10(255**2 / error.mean((1, 2, 3)))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    path.write_bytes(video.encode(scenery(61), 24))
    return path


def test_round_trip_is_near_lossless(clip):
    decoded = video.decode(clip, 0, 61)
    assert psnr(decoded, scenery(61)).min() > 42
    assert (
        np.abs((decoded.astype(float) - scenery(61)).mean((0, 1, 2))).max() < 0.5
    )  # no colour cast


def test_saturated_colours_survive(tmp_path):
    colours = np.array(
        [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0], [255, 0, 255]], np.uint8
    )
    frames = np.broadcast_to(colours[:, None, None], (6, 16, 24, 3))
    (tmp_path / "c.mp4").write_bytes(video.encode(frames, 24))
    assert np.abs(video.decode(tmp_path / "c.mp4", 0, 6).astype(int) - frames).max() <= 3


@pytest.mark.parametrize("size", [(8, 8), (24, 40), (72, 128)])
def test_any_multiple_of_8(tmp_path, size):
    """Decoders pad rows to their own width; the padding must not get into the frames."""
    frames = np.stack([cv2.resize(f, size[::-1]) for f in scenery(5)])
    (tmp_path / "c.mp4").write_bytes(video.encode(frames, 24))
    assert psnr(video.decode(tmp_path / "c.mp4", 0, 5), frames).min() > 42


@pytest.mark.parametrize("fps", [8, 24, 30, 50])
def test_any_window_equals_that_of_the_whole(tmp_path, fps):
    path = tmp_path / "c.mp4"
    path.write_bytes(video.encode(scenery(40), fps))
    whole = video.decode(path, 0, 40)
    for start, stop in [(0, 1), (5, 20), (11, 13), (12, 13), (13, 40), (39, 40), (24, 24)]:
        assert (video.decode(path, start, stop) == whole[start:stop]).all(), (start, stop)


def test_same_frames_same_bytes():
    assert video.encode(scenery(20), 24) == video.encode(scenery(20), 24)


def test_damaged_or_short_or_missing_video(clip, tmp_path):
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(clip.read_bytes()[:1000])
    for path, stop in [(damaged, 61), (clip, 62), (tmp_path / "none.mp4", 1)]:
        with pytest.raises(ValueError, match=f"{path.name}.*record again"):
            video.decode(path, 0, stop)
