"""Videos and tables for tests: frames that tell their own time, or moving noise in whatever codec."""

import csv
from fractions import Fraction

import av
import numpy as np

MILLISECOND = Fraction(1, 1000)
CUE = 24  # pixels of the square that tells which key is down
EVEN = np.arange(0, 5, 1 / 24)


def film(path, shown, keys=(), size=(48, 64), codec="libx264rgb"):
    """A video whose frames tell their own time: grey is 40 x seconds; a square is white while a key is down.

    `shown`: the time of each frame in seconds. `keys`: (from, to) in which the key is down.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            codec, rate=1000, options={"qp": "0", "preset": "ultrafast", "bf": "0"}
        )
        stream.height, stream.width = size
        stream.pix_fmt = "rgb24"
        stream.codec_context.time_base = stream.time_base = MILLISECOND
        for time in shown:
            image = np.full((*size, 3), min(250, round(40 * time)), np.uint8)
            if any(a <= time < b for a, b in keys):
                image[:CUE, :CUE] = 255
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = round(1000 * time), MILLISECOND
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def noise(path, codec="libx264", count=120, sound=0.0, container=None, **options):
    """A video of noise that moves, 24 frames a second, with `sound` seconds of it beside; options of the codec."""
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    wide = np.random.default_rng(0).integers(0, 256, (64, 96 + 2 * count, 3), np.uint8)
    with av.open(str(path), "w", options=container or {}) as file:
        stream = file.add_stream(codec, rate=24, options=options)
        stream.height, stream.width, stream.pix_fmt = 64, 96, pix_fmt
        audio = file.add_stream("aac", rate=48000) if sound else None
        for i in range(count):
            image = np.ascontiguousarray(wide[:, 2 * i : 2 * i + 96])
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(stream.encode())
        for i in range(int(sound * 48000 / 1024)):
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            silence.rate, silence.pts = 48000, 1024 * i
            file.mux(audio.encode(silence))
        if audio is not None:
            file.mux(audio.encode())
    return path


def copied(source, path, first):
    """The packets of a video from number `first` on, as they are."""
    with av.open(str(source)) as whole, av.open(str(path), "w") as part:
        video = whole.streams.video[0]
        stream = part.add_stream_from_template(video)
        for i, packet in enumerate(p for p in whole.demux(video) if p.size):
            if i >= first:
                packet.stream = stream
                part.mux(packet)
    return path


def table(path, head, rows):
    """A CSV table."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    return path


def told(frames):
    """The seconds that frames tell of."""
    return frames[:, -8:, -8:].mean((1, 2, 3)) / 40
