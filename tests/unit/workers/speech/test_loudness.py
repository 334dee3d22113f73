"""A sound is brought to the loudness of speech, whatever knocks, hums or stands still in it."""

import numpy as np
import pytest
from recordings import MEMO, TALK, Samples, noise, voice

from workers.engine import SAMPLE_RATE, Audio
from workers.speech.loudness import (
    USUAL_LEVEL,
    WINDOWS_A_SECOND,
    at_usual_loudness,
    evenly_loud,
    levels_of,
    speech_level,
    surroundings,
    without_rumble,
)


def sound(samples: Samples) -> Audio:
    return samples.astype(np.float32) / np.float32(32768)


@pytest.mark.parametrize("gain_db", [-60, -40, -20, 0, 10, 30, 60])
def test_a_sound_is_the_same_at_every_gain(gain_db: int) -> None:
    plain = sound(voice(MEMO))
    assert at_usual_loudness(plain * np.float32(10 ** (gain_db / 20)), 1.0) == pytest.approx(
        at_usual_loudness(plain, 1.0), abs=1e-4
    )
    assert speech_level(levels_of(at_usual_loudness(plain, 1.0))) == pytest.approx(USUAL_LEVEL, rel=0.05)


def test_what_is_about_as_loud_as_usual_stays_as_it_is() -> None:
    plain = sound(voice(TALK))[: 5 * SAMPLE_RATE]
    assert at_usual_loudness(plain) is plain
    assert at_usual_loudness(plain / 3) is not plain


def test_a_knock_and_an_offset_do_not_count_as_loud() -> None:
    plain = sound(voice(TALK))[: 5 * SAMPLE_RATE]
    disturbed = 0.01 * plain + np.float32(0.1)
    disturbed[2 * SAMPLE_RATE : 2 * SAMPLE_RATE + 3200] = 0.9 * sound(noise(0.2, loudness=0.5))
    level = speech_level(levels_of(at_usual_loudness(disturbed)))
    assert level == pytest.approx(USUAL_LEVEL, rel=0.3)
    assert np.abs(at_usual_loudness(disturbed)).max() <= 1.0


@pytest.mark.parametrize("samples", [0, 1, 5, 100, 511, 513])
def test_silence_and_the_shortest_sounds_are_no_trouble(samples: int) -> None:
    nothing = np.zeros(samples, np.float32)
    assert at_usual_loudness(nothing).tolist() == nothing.tolist()
    blip = np.linspace(-1e-3, 1e-3, samples, dtype=np.float32)
    assert np.isfinite(at_usual_loudness(blip)).all() and len(at_usual_loudness(blip)) == samples


def level_db(audio: Audio, start: float, end: float) -> float:
    part = audio[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
    return 20 * float(np.log10(speech_level(levels_of(part), 0) + 1e-9))


def test_a_quiet_speaker_becomes_as_loud_as_the_loud_ones_on_either_side() -> None:
    loud, quiet = sound(voice(MEMO)), sound(voice(TALK))[: 20 * SAMPLE_RATE] * np.float32(10 ** (-35 / 20))
    room = np.random.default_rng(0).normal(0, 10 ** (-72 / 20), 2 * len(loud) + len(quiet)).astype(np.float32)
    even = evenly_loud(np.concatenate([loud, quiet, loud]) + room)
    first = len(loud) / SAMPLE_RATE
    middle, last = first + 20, 2 * first + 20
    levels = [
        level_db(even, *stretch) for stretch in ((1, first - 1), (first + 1, middle - 1), (middle + 1, last - 1))
    ]
    assert max(levels) - min(levels) < 4
    assert np.abs(even).max() <= 1.0


def test_a_room_does_not_roar_where_nobody_speaks() -> None:
    room = np.random.default_rng(0).normal(0, 10 ** (-60 / 20), 40 * SAMPLE_RATE).astype(np.float32)
    assert level_db(evenly_loud(room), 2, 38) < level_db(evenly_loud(sound(voice(TALK))), 2, 20) - 10


@pytest.mark.parametrize("samples", [0, 1, 511, 512, 513, 40_000])
def test_evenly_loud_keeps_the_length_of_every_sound_and_silence_silent(samples: int) -> None:
    assert evenly_loud(np.zeros(samples, np.float32)).tolist() == [0.0] * samples


def test_a_rumble_is_not_audible_and_a_voice_above_it_is() -> None:
    rumble = np.cumsum(np.random.default_rng(0).normal(0, 1, 30 * SAMPLE_RATE))
    rumble -= np.convolve(rumble, np.ones(4001) / 4001, mode="same")
    rumble = (rumble / np.abs(rumble).max() * 0.5).astype(np.float32)
    spoken = rumble.copy()
    spoken[10 * SAMPLE_RATE : 20 * SAMPLE_RATE] += 0.3 * sound(voice(TALK))[: 10 * SAMPLE_RATE]

    def audible_seconds(audio: Audio) -> float:
        heard = surroundings(levels_of(without_rumble(audio))).is_audible
        return float(heard.sum()) / WINDOWS_A_SECOND

    assert audible_seconds(rumble) < 0.5
    assert audible_seconds(spoken) > 5
