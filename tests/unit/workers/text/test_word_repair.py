"""Rough words: whatever an aligner says, the words are the text's and their times run forwards inside the segment."""

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ipc.transcript import Word
from workers.text.word_repair import Letter, UntimedWord, doubted, fill_gaps, positions_of, rough_word
from workers.text.word_times import split_words

odd_times = st.none() | st.floats(allow_nan=True, allow_infinity=True, width=32)
rough_words = st.builds(
    UntimedWord,
    word=st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=8),
    start=odd_times,
    end=odd_times,
    score=odd_times,
    interpolated=st.booleans(),
)
moments = st.floats(0, 40_000)


@given(st.lists(rough_words, max_size=20), moments, st.floats(0, 30), st.floats(0, 0.1))
def test_any_times_become_words_in_order_inside_the_segment(
    rough: list[UntimedWord], start: float, seconds: float, late: float
) -> None:
    end = start + seconds
    words = fill_gaps(rough, start, end, late)
    timed = [one for one in rough if one.start is not None and one.end is not None]
    if any(math.isfinite(one.start or 0) and math.isfinite(one.end or 0) for one in timed):
        assert [word.word for word in words] == [one.word for one in rough]
    else:
        assert words == ()
    assert all(start <= word.start <= word.end <= end for word in words)
    assert all(before.end <= following.start for before, following in pairwise(words))
    assert all(word.score is None or 0 <= word.score <= 1 for word in words)


@given(st.text(), st.sampled_from(["en", "de", "zh", "th", "ja"]))
def test_words_are_found_again_where_they_stand_in_the_text(text: str, language: str) -> None:
    words = split_words(text, language)
    assert [text[place.start : place.stop] for place in positions_of(words, text)] == words


def test_words_without_times_share_the_gap_by_their_length_and_say_so() -> None:
    rough = [UntimedWord("at", 1.0, 2.0, 0.9), UntimedWord("9"), UntimedWord("300"), UntimedWord("on", 4.0, 4.5, 0.8)]
    assert fill_gaps(rough, 0.0, 5.0) == (
        Word(word="at", start=1.0, end=2.0, score=0.9),
        Word(word="9", start=2.0, end=2.5, interpolated=True),
        Word(word="300", start=2.5, end=4.0, interpolated=True),
        Word(word="on", start=4.0, end=4.5, score=0.8),
    )


def test_the_bias_is_taken_off_the_starts_but_not_past_a_neighbour_or_the_segment() -> None:
    rough = [UntimedWord("a", 1.01, 1.5), UntimedWord("b", 1.51, 1.8), UntimedWord("c", 2.5, 2.8)]
    assert [word.start for word in fill_gaps(rough, 1.0, 3.0, late_by_seconds=0.026)] == [1.0, 1.5, 2.474]
    assert [word.end for word in fill_gaps(rough, 1.0, 3.0, late_by_seconds=0.026)] == [1.5, 1.8, 2.8]


def test_a_word_with_one_known_letter_is_heard_and_one_without_is_guessed() -> None:
    known, wildcard = Letter(1.0, 1.2, 0.8, known=True), Letter(1.2, 1.3, 0.4, known=False)
    segments = rough_word("a1", [known, wildcard])
    assert (segments.start, segments.end, segments.interpolated) == (1.0, 1.3, False)
    assert rough_word("1", [wildcard]).interpolated
    assert rough_word("🦊", []) == UntimedWord("🦊")


def test_times_that_the_aligner_does_not_believe_are_guesses_of_all_words() -> None:
    words = tuple(Word(word=word, start=0.0, end=1.0, score=score) for word, score in [("so", 0.1), ("be", 0.4)])
    assert doubted(words, 0.2) == words
    assert [(word.interpolated, word.score) for word in doubted(words, 0.3)] == [(True, 0.1), (True, 0.4)]
    without = (Word(word="42", start=0.0, end=1.0, interpolated=True),)
    assert doubted(without, 0.3) == without
    assert doubted((*without, words[1]), 0.3) == (*without, words[1])
