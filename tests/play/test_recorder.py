import numpy as np
import pytest

from aapt_env.data.episodes import Episodes
from aapt_env.play import recorder as module
from aapt_env.play.inputs import Sample
from aapt_env.play.recorder import Recorder, recording_place


@pytest.fixture
def recorder(tmp_path, spec):
    return Recorder(tmp_path / "recordings", spec)


def steps(session, recorder, count):
    for i in range(count):
        row = np.array([0, 0, i % 2, 0], np.float32)
        recorder.add(session.step(Sample(row=row)))


def test_a_recording_is_a_dataset_from_the_frame_on_screen_on(make_session, recorder):
    session = make_session()
    session.reset()
    steps(session, recorder, 2)  # not recorded
    assert "Recording to" in recorder.toggle(session.last)
    steps(session, recorder, 5)
    assert "Saved 20 frames" in recorder.toggle(session.last)
    recorder.close()
    episodes = Episodes.open(recorder.saved[0])
    frames, controls = episodes.frames(0), episodes.controls(0)
    assert frames.shape == (21, 16, 16, 3) and controls.shape == (20, 4)
    assert np.allclose(frames[:, 8, 8, 0], np.arange(8, 29), atol=6)  # video is lossy
    assert controls[:, 2].tolist() == [0.0] * 4 + [1.0] * 4 + [0.0] * 4 + [1.0] * 4 + [0.0] * 4
    assert episodes.rewards(0).sum() == 5
    entry = episodes.index[0]
    assert (entry.seed, entry.scene, entry.policy) == (3, {"time": "day"}, "you")
    assert entry.extras["first_latent"] == 2


@pytest.mark.parametrize(
    ("told", "counts"),
    [("frames", [8.0, *range(9, 29)]), ("latents", [8.0, *np.repeat(range(12, 29, 4), 4)])],
)
def test_the_numbers_that_a_world_carries_are_recorded(make_session, tmp_path, told, counts):
    """A game tells them of each frame, a dream of each latent; such recordings once failed, and were lost."""
    session = make_session(told=told)
    recorder = Recorder(tmp_path, session.spec)
    session.reset()
    steps(session, recorder, 2)
    recorder.toggle(session.last)
    steps(session, recorder, 5)
    recorder.close()
    assert Episodes.open(recorder.saved[0]).carried(0).tolist() == [[count] for count in counts]


def test_each_reset_begins_an_episode_and_two_recordings_have_two_folders(make_session, recorder):
    session = make_session()
    recorder.toggle(None)
    for _ in range(2):
        recorder.add(session.reset())
        steps(session, recorder, 3)
    recorder.toggle(session.last)
    recorder.toggle(session.last)
    steps(session, recorder, 1)
    recorder.close()
    assert [len(Episodes.open(place)) for place in recorder.saved] == [2, 1]
    assert len(set(recorder.saved)) == 2


def test_an_episode_that_ends_is_marked_so(make_session, recorder):
    session = make_session(length=3)
    recorder.toggle(None)
    recorder.add(session.reset())
    steps(session, recorder, 3)
    recorder.close()
    episodes = Episodes.open(recorder.saved[0])
    assert len(episodes) == 1 and episodes.terminated(0)


def test_long_play_is_cut_without_losing_a_frame(make_session, recorder, monkeypatch):
    monkeypatch.setattr(module, "LONGEST", 12)
    session = make_session()
    recorder.toggle(None)
    recorder.add(session.reset())
    steps(session, recorder, 7)
    recorder.close()
    episodes = Episodes.open(recorder.saved[0])
    assert sum(episode.length - 1 for episode in episodes.index) == 28


def test_switching_on_and_off_at_once_leaves_nothing(make_session, recorder):
    session = make_session()
    session.reset()
    recorder.toggle(session.last)
    assert recorder.toggle(session.last) == "Nothing was recorded"
    recorder.close()
    assert recorder.saved == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(ValueError, match="cannot write to .*file"):
        recording_place(blocked, "counting")
