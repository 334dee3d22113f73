"""Recordings made for tests: tones, silence of any length, every kind of container, and two real voices.

Runs in: the test process. PyAV writes the files; no ffmpeg program is needed.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

AUDIO = Path(__file__).parents[2] / "client" / "recordings"
MEMO = AUDIO / "memo.flac"
"""12.6 s of one voice; its words are in memo.txt."""
TALK = AUDIO / "talk.flac"
"""49.8 s of one voice with a pause of 4 s; its words are in talk.txt."""

Samples = npt.NDArray[np.int16]
"""Shape (n,) or (n, channels)."""


def silence(seconds: float, rate: int = 16_000) -> Samples:
    return np.zeros(round(seconds * rate), dtype=np.int16)


def tone(seconds: float, rate: int = 16_000, hertz: float = 440.0, loudness: float = 0.3) -> Samples:
    at = np.arange(round(seconds * rate)) / rate
    return (loudness * 32767 * np.sin(2 * np.pi * hertz * at)).astype(np.int16)


def noise(seconds: float, rate: int = 16_000, loudness: float = 0.1) -> Samples:
    drawn = np.random.default_rng(0).normal(0, loudness * 32767, round(seconds * rate))
    return drawn.clip(-32768, 32767).astype(np.int16)


def voice(path: Path = MEMO) -> Samples:
    """The samples of one of the real recordings, 16 kHz."""
    with av.open(str(path)) as container:
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)]).astype(np.int16)


def wav(path: Path, samples: Samples, rate: int = 16_000, claimed_bytes: int | None = None) -> Path:
    """A WAV file, whose header may claim another number of bytes than follow."""
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    body = samples.astype("<i2").tobytes()
    claimed = len(body) if claimed_bytes is None else claimed_bytes
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * channels * 2, channels * 2, 16)
    riff = struct.pack("<I", min(claimed + 36, 0xFFFFFFFF))
    path.write_bytes(b"RIFF" + riff + b"WAVEfmt " + struct.pack("<I", 16) + form + b"data")
    with path.open("ab") as file:
        file.write(struct.pack("<I", claimed) + body)
    return path


def encoded(
    path: Path,
    samples: Samples,
    codec: str,
    container: str | None = None,
    rate: int = 16_000,
    holes: Sequence[tuple[float, float]] = (),
    start_seconds: float = 0.0,
    picture: bool = False,
    options: Mapping[str, str] | None = None,
) -> Path:
    """Samples in any codec and container FFmpeg can write (by the path's suffix, or `container` by name).

    `holes` are (from, to) seconds that the file skips: the timestamps jump, the sound continues. `start_seconds` is
    the first timestamp. `picture` adds a video track that starts at 0.
    """
    layout = "mono" if samples.ndim == 1 else "stereo"
    with av.open(str(path), "w", format=container, options=dict(options or {})) as file:
        video = file.add_stream("mpeg4", rate=10) if picture else None
        if video is not None:
            video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        stream = file.add_stream(codec, rate=rate)
        stream.codec_context.layout = layout
        if video is not None:
            for number in range(20):
                image = av.VideoFrame(64, 64, "yuv420p")
                image.pts, image.time_base = number, Fraction(1, 10)
                file.mux(video.encode(image))
            file.mux(video.encode(None))
        resampler = av.AudioResampler(
            format=stream.codec_context.format,
            layout=layout,
            rate=rate,
            frame_size=stream.codec_context.frame_size or 1024,
        )
        for frame in [*resampler.resample(_frame(samples, layout, rate)), *_flushed(resampler)]:
            frame.pts = _shifted(frame.pts or 0, rate, holes) + round(start_seconds * rate)
            frame.time_base = Fraction(1, rate)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def long_silence(path: Path, hours: float) -> Path:
    """Hours of digital silence as FLAC: a tiny file, quickly made with the largest blocks FLAC knows."""
    rate, block = 8_000, 65_535
    with av.open(str(path), "w", format="flac") as file:
        stream = file.add_stream("flac", rate=rate, options={"frame_size": str(block)})
        stream.codec_context.layout = "mono"
        frame = _frame(np.zeros(block, dtype=np.int16), "mono", rate)
        for number in range(round(hours * 3600 * rate / block)):
            frame.pts, frame.time_base = number * block, Fraction(1, rate)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def _frame(samples: Samples, layout: str, rate: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples).reshape(1, -1), format="s16", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    return frame


def _flushed(resampler: av.AudioResampler) -> Iterable[av.AudioFrame]:
    return [frame for frame in resampler.resample(None) if frame is not None]


def _shifted(sample: int, rate: int, holes: Sequence[tuple[float, float]]) -> int:
    for begin, end in holes:
        if sample >= round(begin * rate):
            sample += round((end - begin) * rate)
    return sample
