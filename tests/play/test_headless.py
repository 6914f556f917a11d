from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from aapt_env.data.episodes import Episodes
from aapt_env.play import headless
from aapt_env.play.recorder import Recorder


def film(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        return frames, float(stream.average_rate), stream.codec_context.pix_fmt


@pytest.mark.parametrize("count", [1, 26, 48])
def test_a_video_of_just_so_many_frames_and_a_contact_sheet(make_session, tmp_path, count):
    outcome = headless.play(make_session(), tmp_path, frames=count)
    frames, rate, pixels = film(outcome.video)
    assert (len(frames), rate, pixels) == (count, 24.0, "yuv420p")
    assert outcome.frames == count and min(frames[0].shape[:2]) >= 256
    means = [float(frame.mean()) for frame in frames]
    assert means == pytest.approx(list(range(count)), abs=4)
    assert cv2.imread(str(outcome.sheet)) is not None


def test_the_policy_drives_and_episodes_follow_each_other(make_session, tmp_path):
    class Straight:
        def begin(self, seed):
            seeds.append(seed)

        def __call__(self, obs, info):
            return np.array([0, 0, 1, 0], np.int8)

    seeds = []
    session = make_session(policy=Straight(), length=3)
    outcome = headless.play(session, tmp_path, frames=30)
    assert outcome.driver == "policy" and seeds == [3, 4, 5]
    assert all(list(a) == [0, 0, 1, 0] for a in session.setup.env.actions)
    assert "The policy drove" in headless.report(outcome, "There is no display", 1.25)


def test_without_a_policy_a_script_drives_and_the_report_says_so(make_session, tmp_path):
    session = make_session()
    outcome = headless.play(session, tmp_path, frames=120)
    text = headless.report(outcome, "There is no display", 5.0)
    assert (
        "A script of keys or poses drove" in text
        and str(outcome.video) in text
        and str(outcome.sheet) in text
    )
    assert "For a window" in text
    pressed = np.stack(session.setup.env.actions)
    assert pressed[:, 2].mean() > 0.5 and pressed[:, :2].any()


def test_it_records_a_dataset_too(make_session, spec, tmp_path):
    recorder = Recorder(tmp_path, spec)
    outcome = headless.play(make_session(), tmp_path, frames=25, recorder=recorder)
    episodes = Episodes.open(outcome.dataset)
    assert len(episodes) == 1 and episodes.index[0].policy == "script"
    assert episodes.index[0].length == 25
    assert str(outcome.dataset) in headless.report(outcome, "As asked", 1.0)


def test_odd_sizes_become_even(spec):
    assert headless.even_size(np.zeros((15, 15, 3), np.uint8)) == (270, 270)
    assert headless.even_size(np.zeros((301, 401, 3), np.uint8)) == (400, 300)


def test_a_world_that_does_not_begin_leaves_no_file(make_session, tmp_path):
    """A start that there is not once left a video that no player opens."""
    session = make_session()
    session.setup.env.reset = lambda **_: (_ for _ in ()).throw(ValueError("no such start"))
    with pytest.raises(ValueError, match="no such start"):
        headless.play(session, tmp_path, frames=9)
    assert list(tmp_path.iterdir()) == []


def test_too_short_to_measure_says_so(make_session, tmp_path):
    """It once told of four thousand million frames a second."""
    outcome = headless.play(make_session(), tmp_path, frames=5)
    assert "(5 frames); too short to measure a step." in headless.report(outcome, "As asked", 0.2)


def test_what_cannot_be_written_is_named_with_the_cure(tmp_path):
    frame = np.zeros((16, 16, 3), np.uint8)
    with pytest.raises(OSError, match="cannot write the contact sheet .*--out DIR"):
        headless.write_sheet(tmp_path / "nowhere" / "a.png", [(0.0, frame)])
    with pytest.raises(OSError, match="cannot write the video .*--out DIR"):
        with headless.Movie(tmp_path / "nowhere" / "a.mp4", 24) as movie:
            movie.add(frame)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file that is always full")
def test_a_full_disk_is_a_sentence_and_no_crash_of_the_video_library(tmp_path):
    (tmp_path / "a.mp4").symlink_to("/dev/full")
    with pytest.raises(OSError, match="cannot write the video .*No space left.*--out DIR"):
        with headless.Movie(tmp_path / "a.mp4", 24) as movie:
            for shade in range(200):
                movie.add(np.full((64, 64, 3), shade, np.uint8))
