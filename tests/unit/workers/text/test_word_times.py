"""Words get their times however the tokenizer cuts the text, and no character is lost."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.text.word_times import WordPiece, shorten_long_words, split_words, times_of_words


@given(st.text(max_size=60), st.sampled_from(["en", "de", "zh", "ja", "th"]))
def test_words_joined_are_the_text(text: str, language: str) -> None:
    words = split_words(text, language)
    assert all(words)
    assert "".join(words) == "".join(text.split())
    if language in {"en", "de"}:
        assert words == text.split()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("今日は iPhone15 を、買う。", ["今", "日", "は", "iPhone15", "を、", "買", "う。"]),
        ("「はい」", ["「", "は", "い」"]),
    ],
)
def test_without_spaces_each_character_is_a_word_and_marks_stay_behind_one(text: str, words: list[str]) -> None:
    assert split_words(text, "ja") == words


def test_a_number_cut_into_tokens_is_one_word_again() -> None:
    pieces = [
        WordPiece(" 9", 1.0, 1.2, 0.5),
        WordPiece(".", 1.2, 1.3, 0.9),
        WordPiece("30", 1.3, 1.8, 1.0),
        WordPiece(",", 1.8, 2.9, 0.2),
    ]
    timed = times_of_words(["9.30,"], pieces)
    assert timed is not None
    assert (timed[0].text, timed[0].start, timed[0].end) == ("9.30,", 1.0, 1.8)


@given(st.data(), st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_any_cut_of_the_text_gives_every_word_a_time_in_order(data: st.DataObject, text: str) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)))) | {0, len(text)})
    pieces = [WordPiece(text[a:b], float(a), float(b), 1.0) for a, b in pairwise(cuts)]
    words = text.split()
    timed = times_of_words(words, pieces)
    assert timed is not None
    assert [word.text for word in timed] == words
    edges = [edge for word in timed for edge in (word.start, word.end)]
    assert edges == sorted(edges)


def test_pieces_that_spell_something_else_give_nothing() -> None:
    assert times_of_words(["hello"], [WordPiece(" hell", 0, 1, 1), WordPiece("\ufffd", 1, 2, 1)]) is None


def test_a_pause_is_taken_from_the_first_word_of_a_sentence() -> None:
    words = [
        WordPiece("One", 0.0, 0.3, 1),
        WordPiece("two.", 0.3, 0.6, 1),
        WordPiece("Three", 0.6, 4.0, 1),
        WordPiece("four", 4.0, 4.3, 1),
    ]
    third = shorten_long_words(words)[2]
    assert third.end == 4.0
    assert third.start == pytest.approx(3.4)
