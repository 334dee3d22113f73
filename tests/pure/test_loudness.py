"""A sound is brought to the loudness of speech, whatever knocks, hums or stands still in it."""

import numpy as np
import pytest
from recordings import MEMO, TALK, Samples, noise, voice

from workers.engine import SAMPLE_RATE, Audio
from workers.loudness import USUAL_LEVEL, at_usual_loudness, levels_of, speech_level


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
