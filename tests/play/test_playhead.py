import numpy as np
import pytest

from aapt_env.play.playhead import HOLD, Meter, Playhead
from aapt_env.play.session import Latent


def latent(number, first, frames=4, seconds=0.01, over=False):
    pixels = np.stack([np.full((2, 2, 3), first + i, np.uint8) for i in range(frames)])
    return Latent(
        frames=pixels, row=np.zeros(1), number=number, seed=0, seconds=seconds, busy=seconds,
        terminated=over,
    )  # fmt: skip


class Feed:
    """A model that is always in time, and notes what it was told."""

    def __init__(self, latents):
        self.latents, self.needed = list(latents), []

    def take(self):
        return self.latents.pop(0) if self.latents else None

    def need(self, when):
        self.needed.append(when)


def watch(playhead, until, tick=0.001):
    """Frames shown and when, on a clock of our own."""
    seen, now = [], 0.0
    while now < until:
        if playhead.advance(now):
            seen.append((now, int(playhead.latent.frames[playhead.index][0, 0, 0])))
        now += tick
    return seen


def test_frames_come_in_order_none_dropped_and_24_to_the_second():
    feed = Feed([latent(0, 0, frames=1), *(latent(i, 4 * i - 3) for i in range(1, 13))])
    seen = watch(Playhead(feed.take, feed.need, 24.0), 2.2)
    times, values = zip(*seen, strict=True)
    assert list(values) == list(range(49))
    assert np.allclose(np.diff(times), 1 / 24, atol=0.0015)


def test_frames_late_to_the_screen_are_not_shown_in_a_burst():
    feed = Feed([latent(i, 4 * i) for i in range(1, 4)])
    playhead = Playhead(feed.take, feed.need, 24.0)
    assert playhead.advance(0.0)
    assert playhead.advance(1.0)  # the UI was stuck for a second
    assert not playhead.advance(1.03)
    assert playhead.advance(1.0 + 1 / 24 + 1e-6)


def test_a_slow_world_plays_evenly_in_slow_motion():
    feed = Feed([latent(i, 4 * i, seconds=0.4) for i in range(1, 8)])
    seen = watch(Playhead(feed.take, feed.need, 24.0), 2.4)
    gaps = np.diff([t for t, _ in seen])
    assert np.allclose(gaps, 0.1, atol=0.002)


def test_the_next_latent_is_needed_when_the_last_frame_has_stood():
    feed = Feed([latent(1, 0)])
    playhead = Playhead(feed.take, feed.need, 24.0)
    playhead.advance(0.0)
    assert feed.needed[-1] == pytest.approx(4 / 24)


def test_pause_stands_still_and_resume_goes_on_without_a_jump():
    feed = Feed([latent(i, 4 * i) for i in range(1, 8)])
    playhead = Playhead(feed.take, feed.need, 24.0)
    playhead.advance(0.0)
    playhead.pause(0.01)
    assert not any(playhead.advance(t) for t in np.linspace(0.02, 5.0, 50))
    playhead.resume(5.01)
    assert not playhead.advance(5.02)
    assert playhead.advance(5.0 + 1 / 24 + 1e-3)
    assert feed.needed[-1] > 5.0


def test_the_end_of_an_episode_stands_for_a_moment():
    feed = Feed([latent(1, 0, over=True), latent(0, 9, frames=1)])
    seen = watch(Playhead(feed.take, feed.need, 24.0), 2.0)
    assert [v for _, v in seen] == [0, 1, 2, 3, 9]
    assert seen[-1][0] - seen[-2][0] == pytest.approx(HOLD + 1 / 24, abs=0.005)


def test_a_latent_that_is_late_is_counted_once():
    feed = Feed([latent(1, 0, frames=1)])
    playhead = Playhead(feed.take, feed.need, 24.0)
    watch(playhead, 0.5)
    assert playhead.late == 1
    feed.latents.append(latent(2, 5))
    assert playhead.advance(0.6)


def test_a_meter_tells_median_and_99th_percentile():
    meter = Meter()
    assert meter.text() == "-"
    for ms in range(1, 101):
        meter.add(ms / 1e3)
    assert meter.text() == "50 / 99 ms" or meter.text() == "51 / 99 ms"
