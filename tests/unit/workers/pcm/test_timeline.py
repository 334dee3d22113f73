"""Where sound belongs when timestamps say another time than the samples: within a tenth of a second of a player's."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from decoding_here import decode

from workers.audio.container_decoder import DecodingOptions
from workers.engine import SAMPLE_RATE
from workers.pcm.pcm_writer import stretched
from workers.pcm.timeline import LEAST_GAP_SECONDS, Timeline

SECONDS, EVERY = 60, 10
"""A click every ten seconds."""


def clicks(seconds: float = SECONDS, rate: int = 48_000) -> np.ndarray:
    samples = np.random.default_rng(0).normal(0, 20, round(seconds * rate)).astype(np.int16)
    burst = (12_000 * np.sin(2 * np.pi * 1000 * np.arange(rate // 20) / rate)).astype(np.int16)
    for at in range(EVERY // 2, round(seconds), EVERY):
        samples[at * rate : at * rate + len(burst)] = burst
    return samples


def written(path: Path, codec: str, clock: Callable[[float], float]) -> Path:
    """Clicks, each packet with the timestamp that its clock says."""
    rate = 48_000
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=rate)
        stream.codec_context.layout = "mono"
        frame = av.AudioFrame.from_ndarray(clicks()[None, :], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        resampler = av.AudioResampler(
            stream.codec_context.format, "mono", rate, frame_size=stream.codec_context.frame_size or 1024
        )
        frames = [*resampler.resample(frame), *filter(None, resampler.resample(None))]
        for packet in [packet for piece in [*frames, None] for packet in stream.encode(piece)]:
            if packet.pts is not None and packet.time_base is not None:
                packet.pts = packet.dts = round(clock(float(packet.pts * packet.time_base)) / packet.time_base)
            file.mux(packet)
    return path


def heard(recording: Path) -> list[float]:
    """When each click begins."""
    pcm = recording.parent / "audio.s16"
    decode(recording, pcm, DecodingOptions(12 * 3600.0), lambda done_seconds: None)
    loud = np.flatnonzero(np.abs(np.fromfile(pcm, "<i2").astype(int)) > 4000)
    starts = [loud[0], *loud[1:][np.diff(loud) > SAMPLE_RATE]]
    return [float(start) / SAMPLE_RATE for start in starts]


@pytest.mark.parametrize("ratio", [0.95, 0.995, 0.9999, 1.005, 1.05])
@pytest.mark.parametrize(("name", "codec"), [("a.mka", "flac"), ("a.m4a", "alac"), ("a.ts", "mp2")])
def test_a_clock_that_runs_wrong_is_followed(tmp_path: Path, name: str, codec: str, ratio: float) -> None:
    found = heard(written(tmp_path / name, codec, lambda seconds: seconds * ratio))
    assert found == pytest.approx([at * ratio for at in range(EVERY // 2, SECONDS, EVERY)], abs=0.08)


@pytest.mark.parametrize("hole", [0.15, 1.0, 9.0, 100.0])
def test_a_hole_is_silence_of_its_length(tmp_path: Path, hole: float) -> None:
    found = heard(written(tmp_path / "a.mka", "flac", lambda seconds: seconds + (hole if seconds > 30 else 0)))
    wanted = [at + (hole if at > 30 else 0) for at in range(EVERY // 2, SECONDS, EVERY)]
    assert found == pytest.approx(wanted, abs=0.03)


def test_a_broadcast_whose_clock_jumps_lacks_nothing(tmp_path: Path) -> None:
    found = heard(written(tmp_path / "a.ts", "mp2", lambda seconds: seconds + (300 if seconds > 30 else 0)))
    assert found == pytest.approx(list(range(EVERY // 2, SECONDS, EVERY)), abs=0.05)


def test_timestamps_that_are_only_rounded_change_no_sample(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    timeline = Timeline(origin_seconds=0.0, claimed_seconds=0.0, longest_seconds=1e5)
    for second in range(100):
        for frame in range(50):
            at = second + frame / 50
            assert timeline.silence_before(at + float(rng.uniform(-0.005, 0.005)), at, 0.02) == 0.0
        assert timeline.stretch_due(1.0) == 0.0


def test_timestamps_that_fall_back_a_little_are_caught_up_with_without_losing_sound() -> None:
    timeline = Timeline(origin_seconds=0.0, claimed_seconds=0.0, longest_seconds=1e5)
    written_seconds, at = 100.0, 99.0
    for _ in range(20):
        for frame in range(50):
            assert timeline.silence_before(at + frame / 50, written_seconds + frame / 50, 0.02) == 0.0
        due = timeline.stretch_due(1.0)
        assert -0.16 <= due <= 0.0
        at, written_seconds = at + 1.0, written_seconds + 1.0 + due
    assert abs(at - written_seconds) < LEAST_GAP_SECONDS


@pytest.mark.parametrize("length", [15_200, 15_999, 16_000, 16_001, 16_800])
def test_stretched_sound_is_the_same_sound(length: int) -> None:
    at = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    tone = (10_000 * np.sin(2 * np.pi * 300 * at)).astype(np.int16)
    other = stretched(tone, length)
    assert len(other) == length and other.dtype == np.int16
    wanted = 10_000 * np.sin(2 * np.pi * 300 * np.arange(length) * (SAMPLE_RATE / length) / SAMPLE_RATE)
    assert np.abs(other[:-2] - wanted[:-2]).max() < 30
