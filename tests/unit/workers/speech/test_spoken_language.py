"""A recording's language is found where somebody speaks, not in the music before it."""

import numpy as np

from workers.engine import SAMPLE_RATE, WINDOW_SAMPLES, Audio, Chunk
from workers.speech.spoken_language import find_language, first_chunks


def chunk(number: int, voice_seconds: float | None, seconds: float = 20.0) -> Chunk:
    """A chunk whose samples are all its number."""
    windows = round(seconds * SAMPLE_RATE / WINDOW_SAMPLES)
    spoken = 0 if voice_seconds is None else round(voice_seconds * SAMPLE_RATE / WINDOW_SAMPLES)
    voice = None if voice_seconds is None else tuple(0.9 if window < spoken else 0.0 for window in range(windows))
    return Chunk(number * seconds, np.full(windows * WINDOW_SAMPLES, number, np.float32), voice)


class Ear:
    """Says what it is told of each chunk, and notes which ones it was asked about."""

    def __init__(self, *answers: tuple[str, float]) -> None:
        self.answers = answers
        self.asked: list[int] = []

    def __call__(self, audio: Audio) -> tuple[str, float]:
        self.asked.append(int(audio[0]))
        return self.answers[int(audio[0])]


def test_the_first_chunk_is_enough_where_much_is_spoken_in_a_language_that_is_sure() -> None:
    ear = Ear(("de", 0.97), ("en", 0.9))
    assert find_language([chunk(0, 12.0), chunk(1, 19.0)], ear) == ("de", 0.97)
    assert ear.asked == [0]


def test_music_and_a_few_words_are_passed_over_for_speech() -> None:
    ear = Ear(("la", 0.9), ("cy", 0.9), ("sv", 0.95))
    assert find_language([chunk(0, 0.0), chunk(1, 1.5), chunk(2, 15.0)], ear) == ("sv", 0.95)
    assert ear.asked == [2]


def test_where_one_stretch_is_unsure_others_are_heard_and_outvote_it() -> None:
    ear = Ear(("nn", 0.45), ("no", 0.6), ("no", 0.5))
    language, probability = find_language([chunk(0, 12.0), chunk(1, 11.0), chunk(2, 10.5)], ear)
    assert language == "no" and 0 < probability < 0.6
    assert ear.asked == [0, 1, 2]


def test_of_a_recording_without_a_voice_or_of_which_nothing_is_known_the_sound_is_heard() -> None:
    assert find_language([chunk(0, 0.0)], Ear(("en", 0.3))) == ("en", 0.3)
    assert find_language([chunk(0, None)], Ear(("fr", 0.9))) == ("fr", 0.9)


def test_no_more_of_a_long_recording_is_searched_than_it_may_take() -> None:
    day = iter([chunk(number, 5.0) for number in range(100)])
    assert [int(one.audio[0]) for one in first_chunks(day)] == [0, 1, 2, 3]
    assert int(next(day).audio[0]) == 4
