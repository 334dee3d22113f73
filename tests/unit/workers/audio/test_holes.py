"""A stretch that a disk lost or something overwrote is told, and what stands behind it keeps its time."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from decoding_here import decode
from recordings import encoded, noise, tone

from ipc.transcript import RecordingFacts
from workers.audio.container_decoder import DecodingOptions
from workers.engine import SAMPLE_RATE

SECONDS, MARK_AT = 24, 20
"""A tone stands behind the hole."""


def read(recording: Path) -> tuple[np.ndarray, RecordingFacts]:
    pcm = recording.parent / "audio.s16"
    pcm.unlink(missing_ok=True)
    _, facts = decode(recording, pcm, DecodingOptions(12 * 3600.0), lambda done_seconds: None)
    assert facts is not None
    return np.fromfile(pcm, "<i2"), facts


def recorded(path: Path, codec: str, container: str, rate: int, channels: int = 1) -> Path:
    samples = noise(SECONDS, rate, 0.01)
    samples[MARK_AT * rate : (MARK_AT + 1) * rate] = tone(1, rate, 1000)
    whole = samples if channels == 1 else np.repeat(samples[:, None], channels, axis=1)
    return encoded(path, whole, codec, container, rate=rate)


def mark(audio: np.ndarray) -> float:
    """When the tone begins, by its end: what was overwritten may be loud as well."""
    return float(np.flatnonzero(np.abs(audio.astype(int)) > 5000)[-1]) / SAMPLE_RATE - 1


def zeros(length: int) -> bytes:
    return bytes(length)


KINDS = [
    *(("aac", "adts"), ("ac3", "ac3"), ("eac3", "eac3"), ("mp2", "mp2"), ("libmp3lame", "mp3")),
    *(("wavpack", "wv"), ("tta", "tta"), ("flac", "flac"), ("flac", "ogg"), ("aac", "mp4")),
    *(("libopus", "matroska"), ("libopus", "webm"), ("aac", "flv")),
    *(("mp2", "mpegts"), ("aac", "mpegts"), ("mp2", "mpeg")),
]


@pytest.mark.parametrize("filling", [zeros, random.Random(1).randbytes])
@pytest.mark.parametrize(("codec", "container"), KINDS)
def test_a_stretch_that_was_overwritten_is_told_and_what_follows_keeps_its_time(
    tmp_path: Path, codec: str, container: str, filling: Callable[[int], bytes]
) -> None:
    recording = recorded(tmp_path / "talk.bin", codec, container, 48_000 if codec == "libopus" else 44_100)
    whole = mark(read(recording)[0])
    content = bytearray(recording.read_bytes())
    begin, length = len(content) // 2, len(content) // 8
    content[begin : begin + length] = filling(length)
    recording.write_bytes(content)
    audio, facts = read(recording)
    assert mark(audio) == pytest.approx(whole, abs=0.1)
    assert "unreadable_packets" in {damage.code for damage in facts.damage}


@pytest.mark.parametrize(("codec", "container"), [("ac3", "ac3"), ("eac3", "eac3"), ("mp2", "mpeg")])
def test_frames_that_end_in_the_middle_of_one_are_said_to_be_cut(tmp_path: Path, codec: str, container: str) -> None:
    recording = recorded(tmp_path / "talk.bin", codec, container, 48_000)
    assert read(recording)[1].damage == ()
    recording.write_bytes(recording.read_bytes()[:-2500])
    assert [damage.code for damage in read(recording)[1].damage] == ["cut_off"]


@pytest.mark.parametrize("rates", [(22_050, 44_100), (44_100, 22_050), (48_000, 24_000)])
def test_broadcasts_whose_rate_changes_keep_their_length(tmp_path: Path, rates: tuple[int, int]) -> None:
    parts = [recorded(tmp_path / f"{rate}.ts", "aac", "mpegts", rate).read_bytes() for rate in rates]
    recording = tmp_path / "joined.ts"
    recording.write_bytes(b"".join(parts))
    audio, facts = read(recording)
    assert len(audio) / SAMPLE_RATE == pytest.approx(2 * SECONDS, abs=0.2)
    assert mark(audio[SECONDS * SAMPLE_RATE :]) == pytest.approx(MARK_AT, abs=0.15)
    assert facts.damage == ()


def test_an_mp3_with_a_tag_behind_aac_is_another_recording(tmp_path: Path) -> None:
    aac = recorded(tmp_path / "one.aac", "aac", "adts", 44_100)
    mp3 = recorded(tmp_path / "two.mp3", "libmp3lame", "mp3", 44_100)
    recording = tmp_path / "joined.bin"
    recording.write_bytes(aac.read_bytes() + mp3.read_bytes())
    audio, facts = read(recording)
    assert len(audio) / SAMPLE_RATE == pytest.approx(2 * SECONDS, abs=0.2) and facts.damage == ()


def test_a_pause_of_the_recorder_is_no_damage(tmp_path: Path) -> None:
    recording = encoded(tmp_path / "talk.mka", noise(8, 48_000), "libopus", rate=48_000, holes=[(4, 9)])
    audio, facts = read(recording)
    assert len(audio) / SAMPLE_RATE == pytest.approx(13, abs=0.1) and facts.damage == ()
