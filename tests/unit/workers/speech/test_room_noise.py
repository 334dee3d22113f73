"""What is always there becomes softer, and what is said stays as it is."""

import numpy as np
import pytest
from recordings import TALK, voice

from workers.engine import SAMPLE_RATE, Audio
from workers.speech import room_noise
from workers.speech.room_noise import with_less_noise

TALKING: Audio = voice(TALK)[: 16 * SAMPLE_RATE].astype(np.float32) / 32768
ROOM: Audio = np.random.default_rng(0).normal(0, 0.01, len(TALKING)).astype(np.float32)


def level_db(audio: Audio) -> float:
    return 20 * float(np.log10(audio.std() + 1e-9))


def test_a_room_alone_becomes_softer_by_several_decibels_and_by_no_more_than_ten() -> None:
    assert -11 < level_db(with_less_noise(ROOM)) - level_db(ROOM) < -5


def test_speech_comes_out_of_the_noise_and_without_noise_it_stays_as_it_is() -> None:
    noisy = with_less_noise(TALKING + ROOM)
    assert level_db(noisy - TALKING) < level_db(ROOM) - 3
    assert level_db(with_less_noise(TALKING) - TALKING) < level_db(TALKING) - 25


@pytest.mark.parametrize("samples", [0, 1, 511, 10_239, 10_240, 10_241, 48_000])
def test_a_sound_keeps_its_length_and_silence_its_silence(samples: int) -> None:
    assert with_less_noise(np.zeros(samples, np.float32)).tolist() == [0.0] * samples


def test_where_nothing_is_taken_away_every_sample_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_noise, "LEAST_GAIN", 1.0)
    assert with_less_noise(ROOM) == pytest.approx(ROOM, abs=1e-6)
