"""A recording is read to its end, whatever stands one behind the other in it, or its facts say what was not."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from decoding_here import decode
from recordings import encoded, noise, tone, wav

from ipc.transcript import RecordingFacts
from workers.audio.container_decoder import DecodingOptions
from workers.container.recording_view import RecordingView
from workers.engine import SAMPLE_RATE, EngineRefusal
from workers.pcm.pcm_file import PcmFile

TWELVE_HOURS = 12 * 3600.0
FIRST_HERTZ, SECOND_HERTZ = 440, 1000


def read(recording: Path, longest_seconds: float = TWELVE_HOURS) -> tuple[np.ndarray, RecordingFacts]:
    pcm_path = recording.parent / "audio.s16"
    seconds, facts = decode(recording, pcm_path, DecodingOptions(longest_seconds), lambda done_seconds: None)
    with PcmFile(pcm_path) as pcm:
        audio = pcm.audio(0, seconds)
    pcm_path.unlink()
    assert facts is not None and facts.size_bytes == recording.stat().st_size
    return audio, facts


def codes(facts: RecordingFacts) -> set[str]:
    return {damage.code for damage in facts.damage}


def main_hertz(audio: np.ndarray, start: float, end: float) -> float:
    stretch = audio[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
    return float(np.abs(np.fft.rfft(stretch)).argmax()) * SAMPLE_RATE / len(stretch)


def stereo(samples: np.ndarray) -> np.ndarray:
    return np.repeat(samples[:, None], 2, axis=1)


Maker = Callable[[Path, np.ndarray, int], Path]


def in_container(suffix: str, codec: str, container: str | None = None) -> Maker:
    return lambda path, samples, rate: encoded(path.with_suffix(suffix), samples, codec, container, rate=rate)


KINDS: dict[str, Maker] = {
    "wav": lambda path, samples, rate: wav(path.with_suffix(".wav"), samples, rate=rate),
    "flac": in_container(".flac", "flac"),
    "opus": in_container(".ogg", "libopus"),
    "flac_in_ogg": in_container(".ogg", "flac"),
    "mp3": in_container(".mp3", "libmp3lame"),
    "adts": in_container(".aac", "aac", "adts"),
    "ac3": in_container(".ac3", "ac3"),
    "ts": in_container(".ts", "aac"),
    "m4a": in_container(".m4a", "aac"),
    "mka": in_container(".mka", "libopus"),
    "aiff": in_container(".aiff", "pcm_s16be"),
    "caf": in_container(".caf", "pcm_s16le"),
    "au": in_container(".au", "pcm_s16be"),
    "w64": in_container(".w64", "pcm_s16le"),
    "wv": in_container(".wv", "wavpack"),
    "tta": in_container(".tta", "tta"),
    "avi": in_container(".avi", "libmp3lame"),
}
JOINS = [
    *((kind, kind) for kind in KINDS),
    *(("wav", kind) for kind in KINDS if kind not in ("wav",)),
    *((kind, "flac") for kind in KINDS if kind not in ("flac", "wav")),
    ("flac", "wav"),
    ("mp3", "wav"),
    ("adts", "m4a"),
    ("opus", "mka"),
    ("mka", "mp3"),
    ("ts", "adts"),
    ("ts", "mp3"),
]


@pytest.mark.parametrize(("first", "second"), JOINS)
@pytest.mark.parametrize("more", ["channels and rate", "nothing"])
def test_recordings_one_behind_the_other_are_read_whole(tmp_path: Path, first: str, second: str, more: str) -> None:
    rate = 48_000 if more == "channels and rate" else 24_000
    one = (
        KINDS[first](tmp_path / "one", tone(2, 24_000, FIRST_HERTZ), 24_000)
        if first != "ac3"
        else (KINDS[first](tmp_path / "one", tone(2, 32_000, FIRST_HERTZ), 32_000))
    )
    rate = max(rate, 32_000) if second == "ac3" else rate
    later = tone(3, rate, SECOND_HERTZ)
    two = KINDS[second](tmp_path / "two", stereo(later) if rate == 48_000 and second in ("wav",) else later, rate)
    joined = tmp_path / "joined.bin"
    joined.write_bytes(one.read_bytes() + two.read_bytes())
    audio, facts = read(joined)
    assert len(audio) / SAMPLE_RATE == pytest.approx(5, abs=0.15)
    assert main_hertz(audio, 0.3, 1.7) == pytest.approx(FIRST_HERTZ, abs=3)
    assert main_hertz(audio, 2.3, 4.7) == pytest.approx(SECOND_HERTZ, abs=3)
    assert facts.read_seconds == pytest.approx(5, abs=0.15)
    assert not codes(facts) and not facts.bytes_unread


# As Blu-rays are written, AAC and MP2 have the same kind of stream: there AC-3 must stand between them.
@pytest.mark.parametrize(
    ("container", "codecs"), [("mpegts", ("aac", "mp2", "ac3")), ("m2ts", ("aac", "ac3", "mp2"))]
)
def test_broadcasts_of_other_codecs_one_behind_the_other_are_read_whole(
    tmp_path: Path, container: str, codecs: tuple[str, ...]
) -> None:
    options = {} if container == "mpegts" else {"mpegts_m2ts_mode": "1"}
    parts = []
    for hertz, codec in zip((FIRST_HERTZ, SECOND_HERTZ, FIRST_HERTZ), codecs, strict=True):
        path = tmp_path / f"{codec}.ts"
        encoded(path, tone(2, 48_000, hertz), codec, "mpegts", rate=48_000, options=options)
        parts.append(path.read_bytes())
    recording = tmp_path / "joined.ts"
    recording.write_bytes(b"".join(parts))
    audio, facts = read(recording)
    assert len(audio) / SAMPLE_RATE == pytest.approx(6, abs=0.2)
    for start, hertz in ((0, FIRST_HERTZ), (2, SECOND_HERTZ), (4, FIRST_HERTZ)):
        assert main_hertz(audio, start + 0.4, start + 1.8) == pytest.approx(hertz, abs=3)
    assert not facts.damage


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_recording_raises_no_alarm(tmp_path: Path, kind: str) -> None:
    _, facts = read(KINDS[kind](tmp_path / "one", noise(3, 48_000), 48_000))
    assert facts.damage == () and facts.bytes_unread == 0
    assert facts.read_seconds == pytest.approx(3, abs=0.15)
    if facts.claimed_seconds is not None:
        assert facts.claimed_seconds == pytest.approx(3, abs=0.2)


@pytest.mark.parametrize("tail", [b"TAG" + bytes(125), b"ID3\x04\0\0\0\0\0\x20" + bytes(32), b"\0" * 5000])
@pytest.mark.parametrize("kind", ["mp3", "flac", "adts", "wav", "m4a"])
def test_tags_and_a_little_padding_behind_a_recording_are_no_damage(tmp_path: Path, kind: str, tail: bytes) -> None:
    recording = KINDS[kind](tmp_path / "one", noise(3, 48_000), 48_000)
    with recording.open("ab") as file:
        file.write(tail)
    audio, facts = read(recording)
    assert facts.damage == () and len(audio) / SAMPLE_RATE == pytest.approx(3, abs=0.15)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"ac3", "avi", "flac_in_ogg", "ts"}))
def test_half_a_recording_says_that_it_is_one(tmp_path: Path, kind: str) -> None:
    recording = KINDS[kind](tmp_path / "one", noise(8, 48_000), 48_000)
    if kind == "m4a":
        _put_the_index_first(recording)
    content = recording.read_bytes()
    recording.write_bytes(content[: len(content) // 2 + 7])
    audio, facts = read(recording)
    assert "cut_off" in codes(facts)
    assert len(audio) / SAMPLE_RATE == pytest.approx(4, abs=1.2)
    if facts.claimed_seconds is not None:
        assert (
            facts.damage[0].message
            == f"only {facts.read_seconds:.1f} s of {facts.claimed_seconds:.1f} s could be read"
        )


@pytest.mark.parametrize("kind", ["wav", "aiff", "caf", "au", "w64"])
def test_sound_behind_an_old_size_is_read_on(tmp_path: Path, kind: str) -> None:
    recording = KINDS[kind](tmp_path / "one", noise(2, 16_000), 16_000)
    more = tone(3, 16_000, SECOND_HERTZ)
    with recording.open("ab") as file:
        file.write(more.astype(">i2" if kind in ("aiff", "au") else "<i2").tobytes())
    audio, facts = read(recording)
    assert len(audio) / SAMPLE_RATE == pytest.approx(5, abs=0.01)
    assert main_hertz(audio, 2.1, 4.9) == pytest.approx(SECOND_HERTZ, abs=1)
    assert codes(facts) == {"size_field_wrong"} and facts.claimed_seconds == pytest.approx(2, abs=0.01)


def test_a_size_that_passed_4_gib_is_read_beyond_it(tmp_path: Path) -> None:
    """A sparse file: the minutes between are silence, which costs as little as it holds."""
    recording, rate = tmp_path / "long.wav", 192_000
    head, tail = tone(2, rate, FIRST_HERTZ), tone(3, rate, SECOND_HERTZ)
    frame_bytes, size = 16, 2**32 + 5 * rate * 16
    form = struct.pack("<HHIIHH", 1, 8, rate, rate * frame_bytes, frame_bytes, 16)
    claimed = struct.pack("<I", size % 2**32)
    with recording.open("wb") as file:
        file.write(b"RIFF" + claimed + b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + claimed)
        file.write(np.repeat(head[:, None], 8, axis=1).tobytes())
        file.seek(44 + size - len(tail) * frame_bytes)
        file.write(np.repeat(tail[:, None], 8, axis=1).tobytes())
    with pytest.raises(EngineRefusal) as caught:
        read(recording, longest_seconds=60.0)
    assert caught.value.code == "too_long", "by its bytes, not by what it claims"


def test_chunks_behind_the_sound_are_no_sound(tmp_path: Path) -> None:
    for claimed in (None, 0, 0xFFFFFFFF, 9000):
        recording = wav(tmp_path / "a.wav", noise(3), claimed_bytes=claimed)
        with recording.open("ab") as file:
            file.write(b"LIST" + struct.pack("<I", 4000) + b"INFO" + b"x" * 3996)
            file.write(b"id3 " + struct.pack("<I", 100) + b"y" * 100)
        audio, _ = read(recording)
        assert len(audio) == 3 * SAMPLE_RATE


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3", "adts", "m4a", "opus", "mka", "ts", "avi", "wv", "tta"])
def test_gigabytes_of_zeros_cost_no_time_and_are_named(tmp_path: Path, kind: str) -> None:
    recording = KINDS[kind](tmp_path / "one", noise(3, 48_000), 48_000)
    with recording.open("r+b") as file:
        file.truncate(4 << 30)
    audio, facts = read(recording)
    assert len(audio) / SAMPLE_RATE == pytest.approx(3, abs=0.15)
    assert codes(facts) == {"padding_skipped"}
    assert "4.3 GB" in facts.damage[0].message


def test_a_header_that_claims_the_zeros_set_aside_is_not_believed(tmp_path: Path) -> None:
    recording = wav(tmp_path / "a.wav", noise(3), claimed_bytes=0x7FF00000 - 100)
    with recording.open("r+b") as file:
        file.truncate(0x7FF00000)
    audio, facts = read(recording)
    assert len(audio) == 3 * SAMPLE_RATE and codes(facts) == {"padding_skipped"}


def test_digital_silence_at_the_end_of_a_recording_stays(tmp_path: Path) -> None:
    audio, facts = read(wav(tmp_path / "a.wav", np.concatenate([tone(2), np.zeros(30 * SAMPLE_RATE, np.int16)])))
    assert len(audio) == 32 * SAMPLE_RATE and facts.damage == ()


@pytest.mark.parametrize("kind", ["wav", "mp3", "flac", "m4a", "adts", "opus"])
def test_garbage_before_the_first_header_is_passed_over(tmp_path: Path, kind: str) -> None:
    recording = KINDS[kind](tmp_path / "one", tone(3, 48_000, FIRST_HERTZ), 48_000)
    content = recording.read_bytes()
    recording.write_bytes(b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nX: " + b"y" * 700 + b"\r\n\r\n" + content)
    audio, _ = read(recording)
    assert len(audio) / SAMPLE_RATE == pytest.approx(3, abs=0.15)
    assert main_hertz(audio, 0.3, 2.7) == pytest.approx(FIRST_HERTZ, abs=3)


def test_a_tag_with_a_wrong_size_does_not_hide_the_sound_behind_it(tmp_path: Path) -> None:
    recording = KINDS["mp3"](tmp_path / "one", tone(3, 48_000), 48_000)
    content = recording.read_bytes()
    recording.write_bytes(
        b"ID3\x03\0\0\x7f\x7f\x7f\x7f" + noise(0.1).tobytes() + content[content.index(b"\xff\xfb") :]
    )
    audio, _ = read(recording)
    assert len(audio) / SAMPLE_RATE == pytest.approx(3, abs=0.15)


def test_what_stands_behind_a_recording_and_is_none_is_counted(tmp_path: Path) -> None:
    recording = KINDS["m4a"](tmp_path / "one", noise(3, 48_000), 48_000)
    with recording.open("ab") as file:
        file.write(np.random.default_rng(1).bytes(50_000))
    audio, facts = read(recording)
    assert len(audio) / SAMPLE_RATE == pytest.approx(3, abs=0.15)
    assert facts.bytes_unread == 50_000 and codes(facts) == {"bytes_unread"}
    assert "50.0 kB of" in facts.damage[0].message


def test_a_length_that_is_only_estimated_refuses_nobody(tmp_path: Path) -> None:
    """Silence first, at 8 kbit/s: by that rate the rest would last for hours."""
    import av

    path = tmp_path / "vbr.mp3"
    samples = np.concatenate([np.zeros(20 * 24_000, np.int16), noise(40, 24_000, 0.3)])
    with av.open(str(path), "w", options={"write_xing": "0", "id3v2_version": "0"}) as file:
        stream = file.add_stream("libmp3lame", rate=24_000, options={"q": "0", "abr": "0"})
        stream.codec_context.layout = "mono"
        stream.codec_context.flags |= 2  # qscale: a variable rate
        stream.codec_context.global_quality = 118
        frame = av.AudioFrame.from_ndarray(samples[None, :], format="s16", layout="mono")
        frame.sample_rate = 24_000
        resampler = av.AudioResampler("s16p", "mono", 24_000, frame_size=576)
        for piece in [*resampler.resample(frame), *filter(None, resampler.resample(None))]:
            piece.pts = None
            file.mux(stream.encode(piece))
        file.mux(stream.encode(None))
    audio, facts = read(path, longest_seconds=90.0)
    assert len(audio) / SAMPLE_RATE == pytest.approx(60, abs=0.3)
    assert facts.claimed_seconds is None


def test_the_sound_of_a_locked_mp4_is_said_to_be_encrypted(tmp_path: Path) -> None:
    recording = KINDS["m4a"](tmp_path / "one", noise(1, 48_000), 48_000)
    for name in (b"enca", b"drms"):
        content = recording.read_bytes()
        at = content.index(b"stsd")
        recording.write_bytes(content[:at] + content[at:].replace(b"mp4a", name, 1).replace(b"enca", name, 1))
        with pytest.raises(EngineRefusal, match="is encrypted") as caught:
            read(recording)
        assert caught.value.code == "encrypted"


def test_an_mp4_whose_size_field_hides_its_index_is_read(tmp_path: Path) -> None:
    for claimed in (16, 0x7FFFFFFF):
        recording = KINDS["m4a"](tmp_path / "one", tone(2, 48_000, FIRST_HERTZ), 48_000)
        content = bytearray(recording.read_bytes())
        at = content.index(b"mdat") - 4
        content[at : at + 4] = struct.pack(">I", claimed)
        recording.write_bytes(content)
        audio, _ = read(recording)
        assert main_hertz(audio, 0.3, 1.7) == pytest.approx(FIRST_HERTZ, abs=3)


def test_opening_has_an_end_however_large_the_junk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.container.recording_view.MOST_OPENING_BYTES", 200_000)
    recording = tmp_path / "junk.mka"
    whole = KINDS["mka"](tmp_path / "one", noise(0.1, 48_000), 48_000).read_bytes()
    recording.write_bytes(whole[:60] + np.random.default_rng(2).bytes(3_000_000))
    signs: list[float] = []
    with pytest.raises(EngineRefusal) as caught:
        decode(recording, tmp_path / "audio.s16", DecodingOptions(60.0), signs.append)
    assert caught.value.code == "not_media" and signs


def test_reading_shows_signs_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.container.recording_view.BETWEEN_SIGNS_SECONDS", 0.0)
    recording = wav(tmp_path / "a.wav", tone(1))
    signs: list[int] = []
    from decoding_here import open_recording

    with open_recording(recording) as file:
        view = RecordingView(file, 0, file.size, lambda: signs.append(1))
        while view.read(1000):
            pass
    assert len(signs) >= 32


def _put_the_index_first(recording: Path) -> None:
    import av

    content = recording.with_name("fast.m4a")
    with av.open(str(recording)) as source, av.open(str(content), "w", options={"movflags": "faststart"}) as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    content.replace(recording)
