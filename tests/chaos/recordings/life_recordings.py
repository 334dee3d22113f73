"""Recordings as daily life makes them, each with the truth about it: what is heard when, and what must be said.

Runs in: the chaos run. PyAV writes them from the project's two voices; no ffmpeg program is needed.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
import recordings
from recordings import Samples

RATE = 16_000
SECONDS = {"memo": 12.6, "talk": 10.0}
"""Of each voice; of the long one its beginning."""
ZEROS_BYTES = 1 << 30

Clock = Callable[[float], float]
"""A packet's time in the sound → the timestamp that it gets."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A stretch of a voice in the right result."""

    voice: str
    at: Clock
    """Where each second of it belongs."""
    until: float
    """How much of it must be there."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What the right result of one recording is."""

    heard: tuple[Heard, ...]
    seconds: float | None
    """None: not known to a tenth of a second, as where it was cut."""
    must_say: frozenset[str] = frozenset()
    may_say: frozenset[str] = frozenset()
    """Codes of damage besides."""


@dataclass(frozen=True, slots=True)
class LifeRecording:
    """One kind with one choice of its parameters."""

    name: str
    make: Callable[[Path], Truth]


@dataclass(frozen=True, slots=True)
class Format:
    """A container, a codec, and the shape of its sound."""

    suffix: str
    codec: str
    rate: int = 48_000
    channels: int = 1
    container: str | None = None


FORMATS: dict[str, tuple[Format, ...]] = {
    "wav": tuple(
        Format("wav", "pcm_s16le", rate, channels) for rate in (8_000, 16_000, 44_100) for channels in (1, 2)
    ),
    "wav24": (Format("wav", "pcm_s24le", 48_000, 2), Format("wav", "pcm_f32le", 96_000)),
    "flac": tuple(Format("flac", "flac", rate, channels) for rate in (16_000, 48_000) for channels in (1, 2)),
    "opus": (Format("ogg", "libopus"), Format("ogg", "libopus", 48_000, 2)),
    "oggflac": (Format("ogg", "flac", 16_000), Format("ogg", "flac", 44_100, 2)),
    "mp3": tuple(Format("mp3", "libmp3lame", rate, channels) for rate in (22_050, 44_100) for channels in (1, 2)),
    "adts": (Format("aac", "aac", 24_000, 1, "adts"), Format("aac", "aac", 48_000, 2, "adts")),
    "ac3": (Format("ac3", "ac3", 48_000), Format("ac3", "ac3", 32_000, 2)),
    "ts": (Format("ts", "aac", 48_000), Format("ts", "mp2", 44_100, 2)),
    "m4a": (Format("m4a", "aac", 44_100), Format("m4a", "alac", 48_000, 2)),
    "mov": (Format("mov", "pcm_s16le", 44_100), Format("mov", "aac", 48_000, 2)),
    "mka": (Format("mka", "libopus"), Format("mka", "flac", 44_100, 2)),
    "aiff": (Format("aiff", "pcm_s16be", 44_100), Format("aiff", "pcm_s24be", 48_000, 2)),
    "caf": (Format("caf", "pcm_s16le", 44_100), Format("caf", "pcm_s16le", 48_000, 2)),
    "au": (Format("au", "pcm_s16be", 16_000), Format("au", "pcm_mulaw", 8_000)),
    "w64": (Format("w64", "pcm_s16le", 44_100), Format("w64", "pcm_s24le", 48_000, 2)),
    "others": (Format("wv", "wavpack", 44_100), Format("avi", "pcm_s16le", 44_100), Format("flv", "aac", 44_100)),
}
JOINABLE = ("wav", "flac", "opus", "oggflac", "mp3", "adts", "ac3", "m4a", "mka", "aiff", "caf", "au", "w64", "ts")
CLAIMING = ("wav", "flac", "mp3", "aiff", "caf", "au", "w64", "adts", "opus")
GARBAGE = b"HTTP/1.1 206 Partial Content\r\nServer: x\r\nContent-Type: audio/mpeg\r\n\r\n"


def life_recordings() -> dict[str, list[LifeRecording]]:
    """By kind, so that a small share still has one of each."""
    return {
        "whole": list(_whole()),
        "joined": list(_joined()),
        "cut off": list(_cut()),
        "old size": list(_old_sizes()),
        "zeros behind": list(_zeros()),
        "garbage before": list(_garbage()),
        "clock that runs wrong": list(_clocks()),
        "holes and jumps": list(_holes()),
        "loudness": list(_loudness()),
    }


@cache
def voice(name: str) -> Samples:
    """16 kHz, as loud as it was recorded."""
    path = recordings.MEMO if name == "memo" else recordings.TALK
    return recordings.voice(path)[: round(SECONDS[name] * RATE)]


def written(path: Path, samples: Samples, form: Format, clock: Clock = lambda seconds: seconds) -> bytes:
    """The samples, 16 kHz, in this format, each packet with the timestamp that its clock says."""
    path = path.with_suffix(f".{form.suffix}")
    layout = "mono" if form.channels == 1 else "stereo"
    with av.open(str(path), "w", format=form.container) as file:
        stream = file.add_stream(form.codec, rate=form.rate)
        stream.codec_context.layout = layout
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples)[None, :], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        resampler = av.AudioResampler(
            stream.codec_context.format, layout, form.rate, frame_size=stream.codec_context.frame_size or 1024
        )
        at = 0
        for piece in [*resampler.resample(frame), *filter(None, resampler.resample(None))]:
            piece.pts, piece.time_base = at, Fraction(1, form.rate)
            at += piece.samples
            for packet in stream.encode(piece):
                _set_clock(packet, clock)
                file.mux(packet)
        for packet in stream.encode(None):
            _set_clock(packet, clock)
            file.mux(packet)
    content = path.read_bytes()
    path.unlink()
    return content


def _set_clock(packet: av.Packet, clock: Clock) -> None:
    if packet.pts is not None and packet.time_base is not None:
        packet.pts = packet.dts = round(clock(float(packet.pts * packet.time_base)) / packet.time_base)


def _is(seconds: float) -> float:
    return seconds


def _later(by: float) -> Clock:
    return lambda seconds: seconds + by


def _one(name: str, clock: Clock = _is, until: float | None = None) -> tuple[Heard, ...]:
    return (Heard(name, clock, SECONDS[name] if until is None else until),)


def _whole() -> Iterator[LifeRecording]:
    for kind, forms in FORMATS.items():
        for number, form in enumerate(forms):

            def make(path: Path, form: Format = form) -> Truth:
                path.write_bytes(written(path, voice("memo"), form))
                return Truth(_one("memo"), SECONDS["memo"])

            yield LifeRecording(f"{kind} {number}: {form.codec} {form.rate} Hz, {form.channels} channels", make)


def _joined() -> Iterator[LifeRecording]:
    pairs = [
        *((kind, kind, 0, -1) for kind in JOINABLE if kind != "ts"),
        *((kind, kind, -1, 0) for kind in JOINABLE if kind != "ts"),
        ("ts", "ts", 0, 0),
        *(("wav", kind, 0, -1) for kind in ("flac", "opus", "mka", "m4a", "aiff")),
        *((kind, "wav", 0, 2) for kind in ("flac", "mp3", "opus", "m4a", "adts", "mka")),
    ]
    for first, second, one, two in pairs:

        def make(path: Path, first: str = first, second: str = second, one: int = one, two: int = two) -> Truth:
            path.write_bytes(
                written(path, voice("memo"), FORMATS[first][one]) + written(path, voice("talk"), FORMATS[second][two])
            )
            heard = (*_one("memo"), *_one("talk", _later(SECONDS["memo"])))
            # Codecs round each part up to whole frames.
            return Truth(heard, sum(SECONDS.values()))

        yield LifeRecording(f"{first} {one} then {second} {two}", make)


def _cut() -> Iterator[LifeRecording]:
    for kind in CLAIMING:
        for share in (0.35, 0.8):

            def make(path: Path, kind: str = kind, share: float = share) -> Truth:
                content = written(path, voice("memo"), FORMATS[kind][0])
                path.write_bytes(content[: round(len(content) * share) + 5])
                until = SECONDS["memo"] * (share - 0.15)
                return Truth(_one("memo", until=until), None, must_say=frozenset({"cut_off"}))

            yield LifeRecording(f"{kind}, {share:.0%} of it", make)


def _old_sizes() -> Iterator[LifeRecording]:
    def sound(form: Format) -> bytes:
        order = ">i2" if form.suffix in ("aiff", "au") else "<i2"
        return np.repeat(voice("talk")[:, None], form.channels, axis=1).astype(order).tobytes()

    for suffix in ("wav", "aiff", "caf", "au", "w64"):
        form = Format(suffix, "pcm_s16be" if suffix in ("aiff", "au") else "pcm_s16le", RATE)

        def make(path: Path, form: Format = form) -> Truth:
            path.write_bytes(written(path, voice("memo"), form) + sound(form))
            heard = (*_one("memo"), *_one("talk", _later(SECONDS["memo"])))
            return Truth(heard, sum(SECONDS.values()), must_say=frozenset({"size_field_wrong"}))

        yield LifeRecording(f"{suffix} whose size is that of its first part", make)
    for claimed in (0, 0xFFFFFFFF, 0x7FFFFFFF, 0xFFFFFFF0):

        def unknown(path: Path, claimed: int = claimed) -> Truth:
            recordings.wav(path, voice("memo"), claimed_bytes=claimed)
            return Truth(_one("memo"), SECONDS["memo"])

        yield LifeRecording(f"wav that claims {claimed:#x} bytes", unknown)

    def chunks(path: Path) -> Truth:
        recordings.wav(path, voice("memo"), claimed_bytes=0)
        with path.open("ab") as file:
            file.write(b"LIST" + struct.pack("<I", 8) + b"INFOISFT")
        return Truth(_one("memo"), SECONDS["memo"])

    yield LifeRecording("wav without a size, with chunks behind the sound", chunks)


def _zeros() -> Iterator[LifeRecording]:
    for kind in ("wav", "flac", "mp3", "adts", "m4a", "opus", "mka", "ts"):

        def make(path: Path, kind: str = kind) -> Truth:
            path.write_bytes(written(path, voice("memo"), FORMATS[kind][0]))
            with path.open("r+b") as file:
                file.truncate(ZEROS_BYTES)
            return Truth(_one("memo"), SECONDS["memo"], must_say=frozenset({"padding_skipped"}))

        yield LifeRecording(f"{kind} on disk set aside", make)


def _garbage() -> Iterator[LifeRecording]:
    for kind in ("wav", "flac", "mp3", "adts", "m4a", "opus", "mka"):

        def make(path: Path, kind: str = kind) -> Truth:
            path.write_bytes(GARBAGE + written(path, voice("memo"), FORMATS[kind][0]))
            return Truth(_one("memo"), SECONDS["memo"])

        yield LifeRecording(f"{kind} behind the headers of a download", make)


def _clocks() -> Iterator[LifeRecording]:
    for kind in ("mka", "m4a", "ts"):
        for ratio in (0.95, 0.99, 0.995, 1.0005, 1.005, 1.05):

            def make(path: Path, kind: str = kind, ratio: float = ratio) -> Truth:
                def clock(seconds: float) -> float:
                    return seconds * ratio

                long = np.concatenate([voice("talk"), voice("memo")])
                path.write_bytes(written(path, long, FORMATS[kind][0], clock))
                heard = (
                    *_one("talk", clock),
                    *_one("memo", lambda seconds: clock(seconds + SECONDS["talk"])),
                )
                return Truth(heard, clock(sum(SECONDS.values())))

            yield LifeRecording(f"{kind}, clock × {ratio}", make)


def _holes() -> Iterator[LifeRecording]:
    def from_the_second(by: float) -> Clock:
        return lambda seconds: seconds + (by if seconds >= SECONDS["talk"] else 0.0)

    cases = [
        *((kind, hole, hole) for kind in ("mka", "m4a") for hole in (0.5, 4.0, 30.0)),
        ("ts", 4.0, 4.0),
        # A broadcast's clock that jumps: nothing is missing there.
        ("ts", 300.0, 0.0),
    ]
    for kind, by, silence in cases:

        def make(path: Path, kind: str = kind, by: float = by, silence: float = silence) -> Truth:
            long = np.concatenate([voice("talk"), voice("memo")])
            path.write_bytes(written(path, long, FORMATS[kind][0], from_the_second(by)))
            heard = (*_one("talk"), *_one("memo", _later(SECONDS["talk"] + silence)))
            return Truth(heard, sum(SECONDS.values()) + silence)

        yield LifeRecording(f"{kind}, timestamps that jump by {by:g} s", make)
    for first, second in ((60.0, 0.0), (60.0, 65.0), (0.0, 5_000.0)):

        def broadcast(path: Path, first: float = first, second: float = second) -> Truth:
            form = FORMATS["ts"][0]
            path.write_bytes(
                written(path, voice("talk"), form, _later(first)) + written(path, voice("memo"), form, _later(second))
            )
            heard = (*_one("talk"), *_one("memo", _later(SECONDS["talk"])))
            return Truth(heard, sum(SECONDS.values()))

        yield LifeRecording(f"ts whose clock begins at {first:g} s and again at {second:g} s", broadcast)


def _loudness() -> Iterator[LifeRecording]:
    for kind in ("wav", "mp3", "opus"):
        for decibels in (-30, -12):

            def make(path: Path, kind: str = kind, decibels: int = decibels) -> Truth:
                quiet = (voice("memo") * 10 ** (decibels / 20)).astype(np.int16)
                path.write_bytes(written(path, quiet, FORMATS[kind][0]))
                return Truth(_one("memo"), SECONDS["memo"])

            yield LifeRecording(f"{kind} at {decibels} dB", make)
