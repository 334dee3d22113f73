"""Words come to begin and end where the sound does, and stay where the sound tells nothing.

Runs in: the test process.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipc.transcript import Segment, Word
from workers.engine import SAMPLE_RATE, Audio
from workers.text.word_edges import AROUND_LETTERS, AROUND_WORDS, Core, EdgeMargin, words_at_the_sound

NEAR = 0.015
"""Seconds: a window of the levels and a frame."""
AT = 100.0
"""Where the segment begins in its recording."""


def silence(seconds: float) -> Audio:
    return np.zeros(int(seconds * SAMPLE_RATE), np.float32)


def vowel(seconds: float, decibels: float = -12.0) -> Audio:
    """A voice of 120 Hz with its overtones up to 4 kHz."""
    times = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    tones = sum(np.sin(2 * np.pi * 120 * n * times + n * n) / n for n in range(1, 34))
    return as_loud(np.asarray(tones), decibels)


def hiss(seconds: float, decibels: float, seed: int = 0) -> Audio:
    return as_loud(np.random.default_rng(seed).standard_normal(int(seconds * SAMPLE_RATE)), decibels)


def soft_s(seconds: float, decibels: float) -> Audio:
    """Noise without its low part."""
    noise = np.diff(np.random.default_rng(1).standard_normal(int(seconds * SAMPLE_RATE) + 2), n=2)
    return as_loud(noise, decibels)


def as_loud(sound: np.ndarray, decibels: float) -> Audio:
    loud: Audio = (sound / max(float(sound.std()), 1e-9) * 10 ** (decibels / 20)).astype(np.float32)
    return loud


def word(text: str, start: float, end: float) -> Word:
    return Word(word=text, start=AT + start, end=AT + end, score=0.9)


def core(*letters: float) -> Core:
    times = tuple(AT + letter for letter in letters)
    return Core(times[0], times[-1], times)


def placed(audio: Audio, words: Sequence[Word], cores: Sequence[Core | None]) -> list[tuple[float, float]]:
    """Seconds from the start of the segment."""
    segment = Segment(id=0, start=AT, end=AT + len(audio) / SAMPLE_RATE, text=" ".join(one.word for one in words))
    found = words_at_the_sound(words, cores, audio, segment, AROUND_LETTERS)
    assert [one.word for one in found] == [one.word for one in words]
    return [(one.start - AT, one.end - AT) for one in found]


TWO_WORDS = np.concatenate([silence(0.3), vowel(0.5), silence(1.0), vowel(0.4), silence(0.6)])
"""From 0.3 to 0.8 and from 1.8 to 2.2."""
AS_NETWORKS_SAY = [word("one", 0.36, 1.75), word("two", 1.75, 2.0)]
"""The pause counted to the word before it; the last word over with its last letter."""
LETTERS = [core(0.36, 0.6), core(1.85, 2.0)]


def near(found: Sequence[tuple[float, float]], *edges: tuple[float, float]) -> bool:
    return bool(np.abs(np.asarray(found) - np.asarray(edges)).max() <= NEAR)


def test_words_beside_pauses_begin_and_end_where_the_sound_does() -> None:
    assert near(placed(TWO_WORDS, AS_NETWORKS_SAY, LETTERS), (0.3, 0.8), (1.8, 2.2))


@pytest.mark.parametrize("decibels", [-60, -40, -20, 10])
def test_edges_do_not_depend_on_how_loud_the_recording_is(decibels: float) -> None:
    quieter = (TWO_WORDS * 10 ** (decibels / 20)).astype(np.float32)
    assert placed(quieter, AS_NETWORKS_SAY, LETTERS) == placed(TWO_WORDS, AS_NETWORKS_SAY, LETTERS)


def test_a_clipped_recording_of_few_bits_has_the_same_edges() -> None:
    coarse = (np.round(np.clip(TWO_WORDS * 8, -0.5, 0.5) * 128) / 128).astype(np.float32)
    assert near(placed(coarse, AS_NETWORKS_SAY, LETTERS), (0.3, 0.8), (1.8, 2.2))


@pytest.mark.parametrize("noise", ["hiss", "hum", "offset"])
def test_noise_20_db_below_the_words_does_not_hide_their_edges(noise: str) -> None:
    times = np.arange(len(TWO_WORDS)) / SAMPLE_RATE
    hum = np.sin(2 * np.pi * 50 * times) + 0.5 * np.sin(2 * np.pi * 100 * times + 1)
    sounds = {"hiss": hiss(len(times) / SAMPLE_RATE, -32), "hum": as_loud(hum, -20), "offset": np.float32(0.1)}
    assert near(placed(TWO_WORDS + sounds[noise], AS_NETWORKS_SAY, LETTERS), (0.3, 0.8), (1.8, 2.2))


def test_a_word_as_soft_as_the_noise_stays_where_the_network_has_it() -> None:
    buried = TWO_WORDS * np.float32(0.05) + hiss(len(TWO_WORDS) / SAMPLE_RATE, -20)
    found = np.asarray(placed(buried, AS_NETWORKS_SAY, LETTERS))
    assert found == pytest.approx(np.asarray([(0.36, 1.75), (1.75, 2.0)]))


def test_where_noise_hides_how_a_word_ends_its_last_letter_has_its_usual_length() -> None:
    fading = np.concatenate([soft_s(0.1, -34), vowel(0.4), soft_s(0.15, -34)])
    audio = np.concatenate([silence(0.5), fading, silence(0.9)])
    audio = audio + hiss(len(audio) / SAMPLE_RATE, -26)
    [(start, end)] = placed(audio, [word("six", 0.52, 1.0)], [core(0.54, 1.0)])
    assert 0.5 <= start + NEAR <= 0.6 + 2 * NEAR
    assert end >= 1.1 - NEAR


def test_words_without_a_pause_between_them_stay_where_the_network_has_them() -> None:
    audio = np.concatenate([silence(0.3), vowel(1.2), silence(0.3)])
    found = placed(audio, [word("one", 0.3, 0.9), word("two", 0.9, 1.5)], [core(0.34, 0.6), core(0.92, 1.3)])
    assert near(found, (0.3, 0.9), (0.9, 1.5))
    assert found[0][1] == pytest.approx(0.9) == found[1][0]


def test_a_soft_consonant_belongs_to_its_word_on_both_sides() -> None:
    audio = np.concatenate(
        [silence(0.4), soft_s(0.12, -34), vowel(0.3), soft_s(0.14, -34), silence(0.8), vowel(0.3), silence(0.2)]
    )
    words = [word("safe", 0.5, 1.7), word("now", 1.7, 1.9)]
    assert near(placed(audio, words, [core(0.5, 0.84), core(1.8, 1.9)])[:1], (0.4, 0.96))


def test_a_closed_mouth_before_the_last_letter_does_not_end_the_word() -> None:
    audio = np.concatenate([silence(0.3), vowel(0.3), silence(0.08), hiss(0.05, -28), silence(0.8)])
    assert near(placed(audio, [word("bit", 0.34, 0.58)], [core(0.34, 0.56)]), (0.3, 0.73))


def test_a_voice_that_dies_away_is_heard_until_it_is_deep_below_its_peak() -> None:
    fading = vowel(1.0) * np.float32(10) ** (-np.arange(SAMPLE_RATE, dtype=np.float32) / SAMPLE_RATE * 80 / 20)
    audio = np.concatenate([silence(0.2), vowel(0.3), fading, silence(0.5)])
    [(start, end)] = placed(audio, [word("oh", 0.25, 0.3)], [core(0.25, 0.3)])
    assert start == pytest.approx(0.2, abs=NEAR)
    assert 0.5 + 20 / 80 < end < 0.5 + 40 / 80


def test_breath_and_clicks_in_a_pause_belong_to_no_word() -> None:
    click = np.full(60, 0.5, np.float32)
    pause = [silence(0.3), hiss(0.3, -30), silence(0.25), click, silence(0.25)]
    audio = np.concatenate([silence(0.3), vowel(0.5), *pause, vowel(0.4), silence(0.6)])
    second = 0.8 + sum(map(len, pause)) / SAMPLE_RATE
    words = [word("one", 0.36, second - 0.05), word("two", second - 0.05, second + 0.2)]
    found = placed(audio, words, [core(0.36, 0.6), core(second + 0.05, second + 0.2)])
    assert near(found, (0.3, 0.8), (second, second + 0.4))


def test_a_breath_right_before_a_word_is_no_part_of_it() -> None:
    audio = np.concatenate([silence(0.4), hiss(0.3, -30), vowel(0.4), silence(0.5)])
    found = placed(audio, [word("so", 0.69, 0.9)], [core(0.71, 0.9)])
    assert near(found, (0.69, 1.1))


def test_a_letter_misplaced_beyond_a_pause_does_not_tear_its_word_apart() -> None:
    words = [word("one", 0.36, 0.75), word("two", 0.78, 2.0)]
    found = placed(TWO_WORDS, words, [core(0.36, 0.6), core(0.78, 1.9, 2.0)])
    assert near(found, (0.3, 0.8), (1.8, 2.2))


def test_what_is_far_from_a_word_is_no_part_of_it() -> None:
    laughter = np.concatenate([silence(0.2), vowel(2.5), silence(0.3), vowel(2.0)])
    found = placed(laughter, [word("ha", 1.2, 1.5), word("so", 3.1, 3.3)], [core(1.22, 1.4), core(3.1, 3.2)])
    assert found[0] == (pytest.approx(1.2), pytest.approx(1.5))


def test_a_word_of_which_nothing_was_heard_stays_and_its_neighbours_find_their_other_edges() -> None:
    words = [word("one", 0.36, 0.9), word("2", 0.9, 1.7), word("three", 1.75, 2.0)]
    found = placed(TWO_WORDS, words, [core(0.36, 0.6), None, core(1.85, 2.0)])
    assert near(found, (0.3, 0.8), (0.9, 1.7), (1.75, 2.2))


def test_no_sound_and_no_words_are_no_trouble() -> None:
    assert placed(silence(0.004), [word("a", 0.0, 0.004)], [core(0.0)]) == [(0.0, pytest.approx(0.004))]
    assert placed(silence(1.0), [], []) == []


@given(
    st.lists(st.tuples(st.floats(0, 3), st.floats(0, 3), st.booleans()), min_size=1, max_size=8),
    st.integers(0, 9),
    st.sampled_from([AROUND_LETTERS, AROUND_WORDS]),
)
def test_words_run_forwards_inside_their_segment_whatever_the_network_says(
    times: list[tuple[float, float, bool]], seed: int, reach: EdgeMargin
) -> None:
    gates = np.repeat(np.random.default_rng(seed).integers(0, 2, 30), SAMPLE_RATE // 10)
    audio = (hiss(3.0, -20, seed) * gates).astype(np.float32)
    edges = sorted(min(time, 3.0) for one in times for time in one[:2])
    words = [word(str(n), *edges[2 * n : 2 * n + 2]) for n in range(len(times))]
    cores = [core(*sorted(one[:2])) if one[2] else None for one in times]
    segment = Segment(id=0, start=AT, end=AT + 3.0, text="-")
    found = words_at_the_sound(words, cores, audio, segment, reach)
    assert [one.word for one in found] == [one.word for one in words]
    assert all(AT <= one.start <= one.end <= AT + 3.0 for one in found)
    assert all(one.end <= following.start for one, following in pairwise(found))
