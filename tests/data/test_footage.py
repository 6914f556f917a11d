"""Whole videos of any kind are read without a word; of damaged ones what is good is what the whole one shows."""

from fractions import Fraction

import av
import numpy as np
import pytest

from aapt_env.data import footage
from aapt_env.data.importing import import_
from tests.films import EVEN, copied, film, noise, told

OPEN = {"x264-params": "open-gop=1:keyint=24:bframes=3:b-pyramid=strict:ref=4:scenecut=0"}
REFRESH = {"g": "24", "x264-params": "intra-refresh=1"}
WHOLE = [
    ("a.mp4", "libx264", {}),
    ("a.mkv", "libx264", OPEN),
    ("b.mp4", "libx264", REFRESH),
    ("c.mp4", "libx264", {"slices": "4"}),
    ("a.avi", "mpeg4", {}),
    ("b.avi", "mpeg4", {"bf": "2"}),
    ("c.avi", "mjpeg", {}),
    ("b.mkv", "mpeg2video", {"bf": "2"}),
    ("c.mkv", "ffv1", {}),
    ("a.webm", "libvpx", {"deadline": "realtime", "cpu-used": "8"}),
]


def read(path, begin=0.0, end=None):
    """(clock, times, frames, what was said)."""
    said = []
    clock = footage.read(path, said.append)
    shown = list(footage.frames(clock, begin, clock.end if end is None else end, said.append))
    return clock, [time for time, _ in shown], [frame for _, frame in shown], said


@pytest.mark.parametrize(("name", "codec", "options"), WHOLE)
def test_whole_videos_of_any_kind(tmp_path, name, codec, options):
    path = noise(tmp_path / name, codec, **options)
    clock, times, frames, said = read(path)
    assert not said and len(frames) == 120
    assert np.allclose(times, clock.times, atol=1e-6)
    _, late, there, said = read(path, 2.3)
    assert not said and abs(late[0] - 2.3) < 1 / 24 + 0.01
    assert all((a == b).all() for a, b in zip(there, frames[-len(there) :], strict=True))


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "libx264", {"g": "48"}),
        ("b.mp4", "libx264", {"g": "48", "slices": "4"}),
        ("a.avi", "mpeg4", {}),
        ("b.avi", "mjpeg", {}),
    ],
)
@pytest.mark.parametrize(("where", "size"), [(36, 2000), (72, 2000), (48, 300)])
def test_damage_is_told_and_what_is_kept_is_good(tmp_path, name, codec, options, where, size):
    path = noise(tmp_path / name, codec, **options)
    whole = read(path)[2]
    with av.open(str(path)) as container:
        places = [p.pos for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    at = places[where] + 100
    data[at : at + size] = np.random.default_rng(1).integers(0, 256, size, np.uint8).tobytes()
    path.write_bytes(data)
    _, _, frames, said = read(path)
    assert f"{path} is damaged after frame {len(frames) - 1} of 1" in said[-1]
    assert where - 50 < len(frames) <= where + 1
    assert all((a == b).all() for a, b in zip(frames, whole, strict=False))


@pytest.mark.parametrize(
    ("name", "sound", "container", "told_of"),
    [
        ("a.mkv", 0, {}, "it says that it lasts 5.0"),
        ("b.mkv", 8.0, {}, "it says that it lasts 8.0"),
        ("c.mkv", 0, {"live": "1"}, None),  # says nothing
        ("a.mp4", 0, {"movflags": "faststart"}, "it says that it has 120"),
        ("b.mp4", 0, {"movflags": "dash"}, "it says that it lasts 5.0"),
        ("a.avi", 0, {}, "it says that it has 120"),
    ],
)
def test_a_missing_end_is_told_and_a_whole_file_has_none(tmp_path, name, sound, container, told_of):
    codec = "mpeg4" if name.endswith("avi") else "libx264"
    path = noise(tmp_path / name, codec, sound=sound, container=container)
    assert not read(path)[3]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    said = read(path)[3]
    assert told_of is None or (told_of in said[0] and "was it cut off before its end?" in said[0])


def test_a_cut_video_stops_the_import_or_its_beginning_is_kept(tmp_path, capsys):
    path = noise(tmp_path / "half.mkv")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"half.mkv ends at 1\.\d\d s; it says that it lasts 5.0"):
        import_(path, out=tmp_path / "out")
    data = import_(path, out=tmp_path / "out", keep_good=True)
    assert 30 < sum(episode.length for episode in data.index) < 60
    assert capsys.readouterr().out.count("left out: ") == 1


def test_dropped_frames_of_an_avi_are_no_missing_end(tmp_path):
    """It counts them, and has nothing in their place."""
    path = tmp_path / "dropped.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=24)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        for i in (*range(40), *range(50, 90)):
            frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), i, np.uint8), format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 24)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    clock, _, frames, said = read(path)
    assert not said and len(frames) == 80 and abs(clock.end - 90 / 24) < 1e-6


@pytest.mark.parametrize("first", [30, 36, 50, 72])
def test_a_video_that_begins_between_key_frames_keeps_its_times(tmp_path, first):
    """What a cut left without the frames that it builds on is left out, and damages nothing."""
    source = noise(tmp_path / "whole.mkv", **OPEN)
    path = copied(source, tmp_path / "part.mkv", first)
    whole = read(source)
    clock, times, frames, said = read(path)
    assert not said and len(frames) >= 24
    begin = len(whole[2]) - len(frames)
    assert all((a == b).all() for a, b in zip(frames, whole[2][begin:], strict=True))
    assert np.allclose(np.array(times) + clock.start, whole[0].times[begin:], atol=2e-3)


def test_nothing_is_shown_before_the_first_frame_that_there_is(tmp_path):
    path = copied(film(tmp_path / "whole.mkv", EVEN), tmp_path / "part.mkv", 0)
    clock, _, _, _ = read(path)
    late = ((t, f) for t, f in footage.frames(clock, 0, 5, print) if t > 1.01)
    moments, frames = zip(*footage.even(late, 24, (48, 64), 0.0), strict=True)
    assert abs(moments[0] - told(np.stack(frames[:1]))[0]) < 0.06 and moments[0] > 0.95


def test_what_is_damaged_beside_the_pictures_is_no_damage(tmp_path):
    """Some cameras write remarks (SEI) that end too early; players show such videos, and so they are imported."""
    path, remark = tmp_path / "camera.mp4", bytes.fromhex("000000010605c80102030480")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"bf": "0"})
        stream.width = stream.height = 64
        for i in [*range(48), None]:
            grey = None if i is None else np.full((64, 64, 3), 4 * i, np.uint8)
            shown = None if grey is None else av.VideoFrame.from_ndarray(grey, format="rgb24")
            for packet in stream.encode(shown):
                noted = av.Packet(remark + bytes(packet))
                noted.pts, noted.dts, noted.time_base = packet.pts, packet.dts, packet.time_base
                noted.stream, noted.is_keyframe = stream, packet.is_keyframe
                container.mux(noted)
    said: list[str] = []
    times = [time for time, _ in footage.frames(footage.clock(path), 0.0, 9.0, said.append)]
    assert not said and np.allclose(times, np.arange(48) / 24)
