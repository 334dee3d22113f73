"""Which uploads are known to be short before anything was decoded.

Runs in: the test process.
"""

from pathlib import Path

import pytest
from recordings import silence, wav

from supervisor.api.uploads.spool import PcmFormat, wav_header
from supervisor.api.uploads.upload_jobs import lasts_a_minute_at_most


@pytest.mark.parametrize(("seconds", "rate"), [(3, 16_000), (60, 16_000), (59, 48_000)])
def test_a_wav_file_of_a_minute_is_short_and_a_longer_one_is_not(tmp_path: Path, seconds: int, rate: int) -> None:
    for length, short in ((seconds, True), (61, False)):
        recording = wav(tmp_path / f"{length}.wav", silence(length, rate), rate)
        assert lasts_a_minute_at_most(recording, recording.stat().st_size) is short


def test_raw_samples_that_got_a_header_of_ours_count_as_they_were_sent(tmp_path: Path) -> None:
    file = tmp_path / "a.wav"
    file.write_bytes(wav_header(60 * 32_000, PcmFormat()) + bytes(60 * 32_000))
    assert lasts_a_minute_at_most(file, 60 * 32_000)
    assert not lasts_a_minute_at_most(file, 61 * 32_000)


def test_what_is_compressed_is_judged_by_its_size(tmp_path: Path) -> None:
    file = tmp_path / "a.m4a"
    file.write_bytes(bytes(100))
    assert lasts_a_minute_at_most(file, 960_000)
    assert not lasts_a_minute_at_most(file, 970_000)


def test_a_header_that_lies_makes_no_long_recording_urgent(tmp_path: Path) -> None:
    file = tmp_path / "a.wav"
    file.write_bytes(b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\0\0\0\0\xff\xff\xff\xff\0\0\0\0data\0\0\0\0")
    assert not lasts_a_minute_at_most(file, 50_000_000)
