"""Speech on any channel is heard, whatever the others hold; what mixes well is mixed as before, bit for bit.

Runs in: the test process.
"""

from pathlib import Path

import av
import numpy as np
import pytest
from decoding_here import decode
from recordings import Samples, encoded, noise, silence, tone, voice, wav
from recordings_of_tracks import as_cinema, with_layout

from ipc.transcript import RecordingFacts
from workers.audio.container_decoder import DecodingOptions
from workers.engine import SAMPLE_RATE
from workers.pcm.channel_mix import ChannelMixer, MixPlan

SPOKEN = voice()[:100_000]
"""6 s of one voice."""
NOTHING = np.zeros_like(SPOKEN)


def heard(recording: Path) -> tuple[np.ndarray, RecordingFacts]:
    pcm_path = recording.parent / "audio.s16"
    _, facts = decode(recording, pcm_path, DecodingOptions(3600.0), lambda done_seconds: None)
    assert facts is not None
    audio = np.fromfile(pcm_path, np.int16)
    pcm_path.unlink()
    return audio, facts


def likeness(audio: np.ndarray, spoken: np.ndarray = SPOKEN) -> float:
    """How much of the audio is the voice, from 0 to 1, whatever its sign and a codec's delay."""
    size = len(spoken) + len(audio)
    product = np.fft.rfft(audio, size) * np.conj(np.fft.rfft(spoken, size))
    powers = np.sqrt(float((audio.astype(float) ** 2).sum()) * float((spoken.astype(float) ** 2).sum()))
    return float(np.abs(np.fft.irfft(product, size)).max()) / max(powers, 1e-9)


def decibels(audio: np.ndarray) -> float:
    return 10 * float(np.log10(max(float((audio.astype(float) ** 2).mean()), 1e-9))) - 90.3


def usual_mix(recording: Path) -> np.ndarray:
    """What FFmpeg makes of it on its own."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE, frame_size=SAMPLE_RATE)
    with av.open(str(recording)) as container:
        parts = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
        parts += filter(None, resampler.resample(None))
    return np.concatenate([part.to_ndarray()[0] for part in parts])


def stereo(left: Samples, right: Samples) -> Samples:
    return np.stack([left, right], 1)


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("a.wav", "pcm_s16le", 44_100),
        ("a.wav", "pcm_u8", 16_000),
        ("a.wav", "pcm_f32le", 48_000),
        ("a.flac", "flac", 16_000),
        ("a.mp3", "libmp3lame", 44_100),
        ("a.m4a", "aac", 44_100),
        ("a.webm", "libopus", 48_000),
        ("a.mka", "pcm_s24le", 16_000),
        ("a.ts", "mp2", 48_000),
    ],
)
def test_channels_that_are_each_others_inverse_do_not_cancel(
    tmp_path: Path, name: str, codec: str, rate: int
) -> None:
    spoken = np.repeat(SPOKEN, 3) if rate == 48_000 else SPOKEN
    audio, facts = heard(encoded(tmp_path / name, stereo(spoken, -spoken), codec, rate=rate))
    assert decibels(audio) > decibels(SPOKEN) - 3
    assert facts.channels_used == "channel 1"


def test_a_quiet_recording_does_not_cancel_either(tmp_path: Path) -> None:
    quiet = (SPOKEN // 200).astype(np.int16)
    audio, _ = heard(wav(tmp_path / "a.wav", stereo(quiet, -quiet)))
    assert decibels(quiet) < -60 and np.array_equal(np.abs(audio), np.abs(quiet))


@pytest.mark.parametrize("share", [0.6, 0.75, 0.9, 0.98])
def test_channels_that_are_almost_each_others_inverse_do_not_cancel(tmp_path: Path, share: float) -> None:
    audio, _ = heard(wav(tmp_path / "a.wav", stereo(SPOKEN, (-share * SPOKEN).astype(np.int16))))
    assert decibels(audio) > decibels(SPOKEN) - 3 and likeness(audio) > 0.99


def test_a_recording_that_turns_inverse_half_way_is_whole(tmp_path: Path) -> None:
    right = SPOKEN.copy()
    right[50_000:] *= -1
    audio, _ = heard(wav(tmp_path / "a.wav", stereo(SPOKEN, right)))
    assert likeness(audio) > 0.99


def test_a_few_inverse_seconds_in_a_long_recording_are_not_lost(tmp_path: Path) -> None:
    long = np.tile(SPOKEN, 10)
    right = long.copy()
    right[450_000:466_000] *= -1
    audio, _ = heard(wav(tmp_path / "a.wav", stereo(long, right)))
    assert likeness(audio[450_000:466_000], long[450_000:466_000]) > 0.99


@pytest.mark.parametrize(("count", "speaking"), [(3, 2), (4, 3), (6, 5), (8, 0), (16, 9), (32, 31)])
def test_a_voice_on_one_of_many_channels_is_as_clear_as_alone(tmp_path: Path, count: int, speaking: int) -> None:
    channels = [SPOKEN if number == speaking else NOTHING for number in range(count)]
    audio, facts = heard(wav(tmp_path / "a.wav", np.stack(channels, 1)))
    assert likeness(audio) > 0.99 and decibels(audio) > decibels(SPOKEN) - 13
    assert facts.channels_used in ("mix", f"channel {speaking + 1}")


@pytest.mark.parametrize(("mask", "count"), [(0x3F, 6), (0x60F, 6), (0x63F, 8), (0xFF, 8), (0x0B, 3)])
def test_a_voice_on_any_named_channel_is_heard_the_subwoofers_too(tmp_path: Path, mask: int, count: int) -> None:
    for speaking in range(count):
        channels = [SPOKEN if number == speaking else NOTHING for number in range(count)]
        audio, _ = heard(as_cinema(tmp_path / "a.wav", channels, mask))
        assert likeness(audio) > 0.99 and decibels(audio) > decibels(SPOKEN) - 20


def test_a_soft_voice_on_a_side_channel_of_a_cinema_is_not_made_softer(tmp_path: Path) -> None:
    soft = SPOKEN // 16
    channels = [soft if number == 6 else NOTHING for number in range(8)]
    audio, facts = heard(as_cinema(tmp_path / "a.wav", channels, 0x63F))
    assert decibels(audio) > decibels(soft) - 1 and facts.channels_used == "channel 7"


def test_inverse_surrounds_do_not_cancel(tmp_path: Path) -> None:
    for path in (tmp_path / "a.flac", tmp_path / "a.mkv"):
        channels = [NOTHING, NOTHING, NOTHING, NOTHING, SPOKEN, -SPOKEN]
        audio, facts = heard(with_layout(path, channels, "5.1", "flac"))
        assert likeness(audio) > 0.99 and facts.channels_used == "channel 5"


@pytest.mark.parametrize("beside", ["hum", "hiss", "whistle"])
def test_a_loud_machine_on_the_other_channel_does_not_bury_the_voice(tmp_path: Path, beside: str) -> None:
    seconds = len(SPOKEN) / SAMPLE_RATE
    other = {
        "hum": tone(seconds, hertz=50, loudness=0.6),
        "hiss": noise(seconds, loudness=0.2),
        "whistle": tone(seconds, hertz=3000, loudness=0.5),
    }[beside]
    for speaking, channels in ((1, (SPOKEN, other)), (2, (other, SPOKEN))):
        audio, facts = heard(wav(tmp_path / "a.wav", stereo(*channels)))
        assert likeness(audio) > 0.99
        assert facts.channels_used == f"channel {speaking}"


def test_a_voice_with_crossed_wires_over_a_noise_that_both_channels_share_is_heard(tmp_path: Path) -> None:
    shared = noise(len(SPOKEN) / SAMPLE_RATE, loudness=0.03).astype(np.int32)
    channels = [(SPOKEN + shared).astype(np.int16), (shared - SPOKEN).astype(np.int16)]
    audio, _ = heard(wav(tmp_path / "a.wav", np.stack(channels, 1)))
    assert likeness(audio) > 0.9


def test_a_voice_in_the_middle_of_wide_music_stays_in_the_middle(tmp_path: Path) -> None:
    seconds = len(SPOKEN) / SAMPLE_RATE
    music = sum(tone(seconds, hertz=hertz, loudness=0.07).astype(np.int32) for hertz in (330, 415, 495))
    recording = wav(tmp_path / "a.wav", np.stack([SPOKEN + music, SPOKEN - music], 1).clip(-32768, 32767))
    audio, facts = heard(recording)
    assert facts.channels_used == "mix" and likeness(audio) > 0.9


def test_two_voices_on_two_of_eight_noisy_channels_are_both_heard(tmp_path: Path) -> None:
    first, second = np.concatenate([SPOKEN, NOTHING]), np.concatenate([NOTHING, SPOKEN[::-1]])
    channels = [np.random.default_rng(n).normal(0, 200, len(first)).astype(np.int16) for n in range(8)]
    channels[2], channels[6] = first, second
    audio, facts = heard(wav(tmp_path / "a.wav", np.stack(channels, 1)))
    assert likeness(audio[: len(SPOKEN)]) > 0.99
    assert likeness(audio[len(SPOKEN) :], SPOKEN[::-1]) > 0.99
    assert facts.channels_used == "channels 3 and 7, in phase"


def test_what_was_recorded_in_a_room_with_inverse_cables_adds_up(tmp_path: Path) -> None:
    # Two voices, a microphone each, both heard by both, one cable turned around: none of the two is enough alone.
    other = np.roll(SPOKEN[::-1], 5000)
    first, second = np.concatenate([SPOKEN, NOTHING]), np.concatenate([NOTHING, other])
    left = (first * 1.0 + second * 0.1).astype(np.int16)
    right = (-(first * 0.1 + second * 1.0)).astype(np.int16)
    audio, _ = heard(wav(tmp_path / "a.wav", stereo(left, right)))
    assert likeness(audio[: len(SPOKEN)]) > 0.98 and likeness(audio[len(SPOKEN) :], other) > 0.98


@pytest.mark.parametrize("kind", ["alike", "panned", "left alone", "interview", "with room", "quiet", "silent"])
def test_an_ordinary_stereo_recording_is_mixed_as_ever_bit_for_bit(tmp_path: Path, kind: str) -> None:
    half = len(SPOKEN) // 2
    first, second = SPOKEN.copy(), SPOKEN[::-1].copy()
    first[half:] = 0
    second[:half] = 0
    room = np.random.default_rng(5).normal(0, 60, len(SPOKEN)).astype(np.int16)
    channels = {
        "alike": (SPOKEN, SPOKEN),
        "panned": (SPOKEN, SPOKEN // 4),
        "left alone": (SPOKEN, NOTHING),
        "interview": (first, second),
        "with room": (SPOKEN + room, np.roll(SPOKEN // 2, 9) - room),
        "quiet": (SPOKEN // 64, SPOKEN // 64),
        "silent": (NOTHING, NOTHING),
    }[kind]
    recording = wav(tmp_path / "a.wav", np.repeat(stereo(*channels), 3, axis=0), rate=48_000)
    audio, facts = heard(recording)
    assert np.array_equal(audio, usual_mix(recording))
    assert facts.channels_used == "mix"


def test_a_film_in_five_channels_is_mixed_as_ever_bit_for_bit(tmp_path: Path) -> None:
    music = (SPOKEN[::-1] // 3).astype(np.int16)
    recording = with_layout(tmp_path / "a.flac", [music, music, SPOKEN, NOTHING, music, music], "5.1", "flac")
    audio, _ = heard(recording)
    assert np.array_equal(audio, usual_mix(recording))


def test_one_channel_is_mono(tmp_path: Path) -> None:
    audio, facts = heard(wav(tmp_path / "a.wav", SPOKEN))
    assert np.array_equal(audio, SPOKEN) and facts.channels_used == "mono"


def test_the_same_recording_is_mixed_the_same_every_time(tmp_path: Path) -> None:
    left, right = SPOKEN, np.roll(-SPOKEN, 3)
    right[:30_000] = 0
    recording = wav(tmp_path / "a.wav", stereo(left, right))
    first, second = heard(recording), heard(recording)
    assert np.array_equal(first[0], second[0]) and first[1] == second[1]


def test_the_mix_is_turned_where_the_channels_are_and_rests_in_pauses() -> None:
    mixer = ChannelMixer(MixPlan((0, 1)), 3, 1000)
    wave = np.sin(np.arange(250) / 5).astype(np.float32) * 0.5
    none = np.zeros(250, np.float32)
    inverse = mixer.mono(np.stack([wave, -wave, none], 1))
    assert np.allclose(np.abs(inverse), np.abs(wave) * 32_768, atol=2)
    assert not mixer.mono(np.stack([none, none, wave], 1)).any()
    alike = mixer.mono(np.stack([wave, wave, none], 1))
    assert np.allclose(alike[60:], wave[60:] * 32_768, atol=2)


def test_samples_beyond_full_scale_are_clipped_and_broken_ones_are_silence() -> None:
    mixer = ChannelMixer(MixPlan((0,)), 1, 1000)
    broken = np.array([[2.0], [-2.0], [np.nan], [np.inf]], np.float32)
    assert list(mixer.mono(broken)[:3]) == [32_767, -32_768, 0]


def test_the_length_does_not_depend_on_the_mix(tmp_path: Path) -> None:
    for rate in (8_000, 11_025, 44_100, 96_000):
        one = heard(wav(tmp_path / "a.wav", stereo(SPOKEN, SPOKEN), rate=rate))[0]
        other = heard(wav(tmp_path / "b.wav", stereo(SPOKEN, -SPOKEN), rate=rate))[0]
        assert abs(len(one) - len(other)) <= 1


def test_silence_is_no_reason_to_look_further(tmp_path: Path) -> None:
    audio, facts = heard(wav(tmp_path / "a.wav", stereo(silence(2), silence(2))))
    assert not audio.any() and facts.channels_used == "mix"
