"""What becomes of a recording, whole or hurt, on its way to PCM."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import decoding_here
import numpy as np
import pytest
from decoding_here import decode
from recordings import MEMO, TALK, encoded, long_silence, noise, silence, tone, voice, wav

from workers.audio.container_decoder import DecodingOptions
from workers.engine import SAMPLE_RATE, EngineRefusal
from workers.pcm.pcm_file import PcmFile
from workers.pcm.timeline import Timeline
from workers.recording.recording_file import Recording

TWELVE_HOURS = 12 * 3600.0


def decoded(recording: Path, longest_seconds: float = TWELVE_HOURS) -> np.ndarray:
    pcm_path = recording.parent / "audio.s16"
    seconds, _ = decode(recording, pcm_path, DecodingOptions(longest_seconds), lambda done_seconds: None)
    with PcmFile(pcm_path) as pcm:
        assert pcm.seconds == pytest.approx(seconds, abs=1e-3)
        audio = pcm.audio(0, seconds)
    pcm_path.unlink()
    assert [found.name for found in recording.parent.glob("audio.s16*")] == []
    return audio


def is_loud(audio: np.ndarray, start: float, end: float) -> bool:
    return float(np.abs(audio[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]).max()) > 0.05


def main_hertz(audio: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(audio))
    return float(spectrum.argmax()) * SAMPLE_RATE / len(audio)


def refusal(recording: Path, longest_seconds: float = TWELVE_HOURS) -> EngineRefusal:
    with pytest.raises(EngineRefusal) as caught:
        decode(recording, recording.parent / "audio.s16", DecodingOptions(longest_seconds), lambda done_seconds: None)
    assert [found.name for found in recording.parent.glob("audio.s16*")] == []
    return caught.value


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("a.m4a", "aac", 44_100),
        ("a.m4a", "alac", 44_100),
        ("a.mp3", "libmp3lame", 44_100),
        ("a.ogg", "libopus", 48_000),
        ("a.webm", "libopus", 48_000),
        ("a.mka", "flac", 16_000),
        ("a.aac", "aac", 22_050),
        ("a.ac3", "ac3", 48_000),
        ("a.avi", "mp2", 48_000),
        ("a.ts", "mp2", 48_000),
        ("a.mov", "pcm_s16le", 8_000),
        ("a.aiff", "pcm_s16be", 96_000),
        ("a.w64", "pcm_s24le", 16_000),
        ("a.au", "pcm_mulaw", 8_000),
        ("a.wv", "wavpack", 16_000),
        ("a.flv", "aac", 44_100),
    ],
)
def test_a_tone_keeps_its_pitch_and_its_length_from_every_container(
    tmp_path: Path, name: str, codec: str, rate: int
) -> None:
    audio = decoded(encoded(tmp_path / name, tone(2, rate), codec, rate=rate))
    assert len(audio) / SAMPLE_RATE == pytest.approx(2, abs=0.1)
    assert main_hertz(audio) == pytest.approx(440, abs=1)


def test_the_name_of_a_recording_means_nothing(tmp_path: Path) -> None:
    recording = encoded(tmp_path / "-a\n%s\u0301.txt", tone(1), "aac", container="mp4")
    assert len(decoded(recording)) / SAMPLE_RATE == pytest.approx(1, abs=0.1)


def test_lossless_16_khz_arrives_sample_for_sample(tmp_path: Path) -> None:
    recording = tmp_path / "memo.flac"
    recording.write_bytes(MEMO.read_bytes())
    assert np.array_equal(decoded(recording), voice(MEMO).astype(np.float32) / 32768)


def test_a_microphone_on_any_nameless_channel_is_heard(tmp_path: Path) -> None:
    for channel in range(3):
        samples = np.zeros((48_000, 3), dtype=np.int16)
        samples[:, channel] = tone(1, 48_000)
        audio = decoded(wav(tmp_path / "field.wav", samples, rate=48_000))
        assert main_hertz(audio) == pytest.approx(440, abs=1)
        assert float(np.abs(audio).max()) == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("channels", [7, 8, 9, 32, 64])
def test_a_field_recorder_may_have_many_microphones(tmp_path: Path, channels: int) -> None:
    everywhere = np.repeat(tone(0.5)[:, None], channels, axis=1)
    audio = decoded(wav(tmp_path / "field.wav", everywhere))
    assert main_hertz(audio) == pytest.approx(440, abs=3)
    assert float(np.abs(audio).max()) == pytest.approx(0.3, abs=0.01)


def test_a_sound_track_that_starts_late_is_late_in_the_pcm_as_in_a_player(tmp_path: Path) -> None:
    recording = encoded(tmp_path / "a.mkv", tone(1), "flac", start_seconds=1.5, picture=True)
    audio = decoded(recording)
    assert len(audio) / SAMPLE_RATE == pytest.approx(2.5, abs=0.05)
    assert not is_loud(audio, 0, 1.45) and is_loud(audio, 1.5, 1.6)


def test_a_stream_whose_clock_was_running_before_starts_at_zero(tmp_path: Path) -> None:
    audio = decoded(encoded(tmp_path / "a.mka", tone(1), "flac", start_seconds=500))
    assert len(audio) / SAMPLE_RATE == pytest.approx(1, abs=0.05)
    assert is_loud(audio, 0, 0.05)


def test_a_hole_in_the_recording_becomes_silence_of_its_length(tmp_path: Path) -> None:
    audio = decoded(encoded(tmp_path / "a.mka", tone(2), "flac", holes=[(1.0, 4.0)]))
    assert len(audio) / SAMPLE_RATE == pytest.approx(5, abs=0.1)
    assert is_loud(audio, 0.5, 0.6) and not is_loud(audio, 1.5, 3.8) and is_loud(audio, 4.4, 4.5)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.flac", "flac"), ("a.mp3", "libmp3lame"), ("a.ogg", "libopus"), ("a.mkv", "aac")]
)
def test_half_a_recording_gives_half_its_audio(tmp_path: Path, name: str, codec: str) -> None:
    whole = encoded(tmp_path / name, noise(10, 48_000), codec, rate=48_000)
    content = whole.read_bytes()
    whole.write_bytes(content[: len(content) // 2])
    assert len(decoded(whole)) / SAMPLE_RATE == pytest.approx(5, abs=1.1)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.flac", "flac"), ("a.ogg", "libopus"), ("a.mkv", "flac"), ("a.m4a", "aac")]
)
def test_a_scratch_in_the_middle_does_not_move_what_follows(tmp_path: Path, name: str, codec: str) -> None:
    samples = np.concatenate([tone(4, 48_000), noise(3, 48_000), silence(2, 48_000), tone(1, 48_000)])
    recording = encoded(tmp_path / name, samples, codec, rate=48_000)
    content = bytearray(recording.read_bytes())
    middle = content.find(content[len(content) // 2 :][:64])
    content[middle : middle + 3000] = np.random.default_rng(1).bytes(3000)
    recording.write_bytes(content)
    audio = decoded(recording)
    assert len(audio) / SAMPLE_RATE == pytest.approx(10, abs=0.3)
    assert not is_loud(audio, 7.4, 8.7) and main_hertz(audio[round(9.3 * SAMPLE_RATE) :]) == pytest.approx(440, abs=5)


def test_an_mp4_without_its_index_is_called_damaged(tmp_path: Path) -> None:
    recording = encoded(tmp_path / "a.m4a", tone(2), "aac")
    recording.write_bytes(recording.read_bytes()[:4000])
    assert refusal(recording).code == "damaged"


def test_a_header_without_sound_is_called_damaged(tmp_path: Path) -> None:
    assert refusal(wav(tmp_path / "a.wav", silence(0))).code == "damaged"


def test_pictures_without_sound_are_refused(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "a.mp4"), "w") as file:
        stream = file.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        file.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        file.mux(stream.encode(None))
    assert refusal(tmp_path / "a.mp4").code == "no_audio"


def test_hours_of_silence_in_a_tiny_file_are_refused_before_anything_is_decoded(tmp_path: Path) -> None:
    steps: list[float] = []
    with pytest.raises(EngineRefusal) as caught:
        decode(
            long_silence(tmp_path / "a.flac", hours=1.1),
            tmp_path / "audio.s16",
            DecodingOptions(3600.0),
            steps.append,
        )
    assert caught.value.code == "too_long"
    assert set(steps) == {0.0}


def test_a_stream_without_a_length_is_cut_off_at_the_cap(tmp_path: Path) -> None:
    recording = encoded(tmp_path / "a.aac", tone(30), "aac")
    assert refusal(recording, longest_seconds=10).code == "too_long"


@pytest.mark.parametrize("claimed_bytes", [0, 64, 0x7FFFFFF0, 0xFFFFFFF0, 0xFFFFFFFF])
def test_a_wav_header_that_claims_too_much_or_too_little_costs_nothing(tmp_path: Path, claimed_bytes: int) -> None:
    audio = decoded(wav(tmp_path / "a.wav", tone(3), claimed_bytes=claimed_bytes), longest_seconds=10)
    assert len(audio) == 3 * SAMPLE_RATE


def test_a_flac_header_that_claims_days_does_not_refuse_ten_seconds(tmp_path: Path) -> None:
    recording = encoded(tmp_path / "a.flac", noise(10), "flac")
    content = bytearray(recording.read_bytes())
    # STREAMINFO: 36 bits of total samples end at byte 26 of the file.
    content[21] |= 0x0F
    recording.write_bytes(content)
    assert len(decoded(recording)) / SAMPLE_RATE == pytest.approx(10)


def test_a_disk_that_fails_in_the_middle_refuses_rather_than_loses_half(tmp_path: Path) -> None:
    class FailingFile(Recording):
        def read_at(self, offset: int, size: int) -> bytes:
            if 200_000 < offset < 400_000:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return super().read_at(offset, size)

    @contextmanager
    def open_failing(path: Path) -> Iterator[Recording]:
        with path.open("rb") as file:
            yield FailingFile(file.fileno())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding_here, "open_recording", open_failing)
        assert refusal(wav(tmp_path / "a.wav", noise(20))).code == "not_readable"


def test_a_cancelled_decode_leaves_nothing_behind(tmp_path: Path) -> None:
    class Cancelled(Exception):
        pass

    def cancel_later(done_seconds: float) -> None:
        if done_seconds > 10:
            raise Cancelled

    with pytest.raises(Cancelled):
        decode(TALK, tmp_path / "audio.s16", DecodingOptions(TWELVE_HOURS), cancel_later)
    assert list(tmp_path.iterdir()) == []


def test_a_jump_of_timestamps_is_believed_within_reason() -> None:
    timeline = Timeline(origin_seconds=5.0, claimed_seconds=3000.0, longest_seconds=4000.0)
    assert timeline.silence_before(None, 10.0) == 0.0
    assert timeline.silence_before(15.05, 10.0) == 0.0, "rounding"
    assert timeline.silence_before(17.0, 10.0) == 2.0, "a hole"
    assert timeline.silence_before(1005.0, 10.0) == 990.0, "a long hole inside the length claimed"
    assert timeline.silence_before(99999.0, 1000.0) == 0.0, "nonsense, from where time goes on:"
    assert timeline.silence_before(100002.0, 1001.0) == 2.0
    assert timeline.silence_before(0.0, 1003.0) == 0.0, "a new start, from where time goes on:"
    assert timeline.silence_before(3.0, 1004.0) == 2.0
