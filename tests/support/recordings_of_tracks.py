"""Recordings made for tests whose channels and tracks hold different things. PyAV writes the files.

Runs in: the test process.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition
from recordings import Samples


@dataclass(frozen=True, slots=True)
class MadeTrack:
    """One sound track to be written."""

    samples: Samples
    language: str | None = None
    title: str | None = None
    is_default: bool = False
    is_commentary: bool = False
    is_for_the_blind: bool = False


def with_layout(path: Path, channels: Sequence[Samples], layout: str, codec: str, rate: int = 16_000) -> Path:
    """Channels, of equal length, under the names that the layout gives them."""
    with av.open(str(path), "w") as file:
        _mux(file, [(file.add_stream(codec, rate=rate), np.stack(channels, 1), layout)], rate)
    return path


def with_tracks(path: Path, tracks: Sequence[MadeTrack], codec: str, rate: int = 16_000) -> Path:
    """A sound track each, mono or stereo by the shape of its samples."""
    with av.open(str(path), "w") as file:
        streams = []
        for track in tracks:
            stream = file.add_stream(codec, rate=rate)
            if track.language is not None:
                stream.metadata["language"] = track.language
            if track.title is not None:
                stream.metadata["title"] = track.title
            stream.disposition = Disposition(
                Disposition.default * track.is_default
                | Disposition.comment * track.is_commentary
                | Disposition.visual_impaired * track.is_for_the_blind
            )
            streams.append((stream, track.samples, "mono" if track.samples.ndim == 1 else "stereo"))
        _mux(file, streams, rate)
    return path


def _mux(
    file: "av.container.OutputContainer", streams: Sequence[tuple["av.AudioStream", Samples, str]], rate: int
) -> None:
    for stream, _, layout in streams:
        stream.codec_context.layout = layout
    for stream, samples, layout in streams:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples).reshape(1, -1), format="s16", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        resampler = av.AudioResampler(
            format=stream.codec_context.format,
            layout=layout,
            rate=rate,
            frame_size=stream.codec_context.frame_size or 1024,
        )
        for even in [*resampler.resample(frame), *filter(None, resampler.resample(None))]:
            even.time_base = Fraction(1, rate)
            file.mux(stream.encode(even))
        file.mux(stream.encode(None))


def as_cinema(path: Path, channels: Sequence[Samples], mask: int, rate: int = 16_000) -> Path:
    """A WAV whose header names its channels by `mask`, as WAVEFORMATEXTENSIBLE does: 0x3F is 5.1."""
    samples = np.stack(channels, 1)
    count = samples.shape[1]
    body = samples.astype("<i2").tobytes()
    form = struct.pack("<HHIIHHHHI", 0xFFFE, count, rate, rate * count * 2, count * 2, 16, 22, 16, mask)
    form += bytes.fromhex("0100000000001000800000aa00389b71")
    head = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(body))
    path.write_bytes(b"RIFF" + struct.pack("<I", len(head) + len(body)) + head + body)
    return path
