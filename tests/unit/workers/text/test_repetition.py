"""What a model wrote over and over is cut down where nobody can have said it so often, and nowhere else."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.text.repetition import LEAST_COPIES, cut_down, longest_loop, shares_most_words


@pytest.mark.parametrize(
    ("text", "voice_seconds"),
    [
        ("Left, " * 20, 6.0),  # marching
        ("One, two, three, four. " * 8, 12.0),  # a drill
        ("Go " * 40, 10.0),  # a chant
        ("No, no, no.", 0.3),  # three times is no circle
        ("Call the harbour office if the weather turns. " * 9, 25.0),
        ("It was said far too fast to be true and yet nothing of it is said again", 0.5),
        ("はい" * 30, 10.0),
        ("Well .... then you said it all far too fast to be true", 0.5),
    ],
)
def test_what_can_have_been_said_stays(text: str, voice_seconds: float) -> None:
    assert cut_down(text, voice_seconds) == (text, None)


@pytest.mark.parametrize(
    ("text", "voice_seconds", "left", "copies"),
    [
        ("Thank you. " * 50, 0.0, "Thank you.", 50),
        ("So he said go. Go, go. Go! go go go go", 0.2, "So he said go.", 8),
        ("I do not know, I do not know, I do not know, I do not know, I do not", 0.1, "I do not know,", 4),
        ("Ring " * 100 + "bye.", 1.0, "Ring Ring Ring bye.", 100),
        ("and this is an O" + "-L" * 200, 0.5, "and this is an O-L-L-L", 200),
        ("ご視聴ありがとうございました" * 20, 0.1, "ご視聴ありがとうございました", 20),
    ],
)
def test_a_circle_is_cut_down_to_what_the_voice_had_time_for(
    text: str, voice_seconds: float, left: str, copies: int
) -> None:
    assert cut_down(text, voice_seconds) == (left, copies)


def test_a_second_try_that_says_the_same_words_says_that_they_were_repeated() -> None:
    circle = "Note to self, note to self, note to self, note to self, note to self, note to self."
    assert shares_most_words("Note to self, note to self. Note yourself, note to self.", circle)
    assert not shares_most_words("And then we went to the harbour to look for the boat itself.", circle)
    assert shares_most_words("はいはいはい", "はい" * 20)
    assert not shares_most_words("港へ行きました", "はい" * 20)


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=24))
def test_a_circle_is_the_same_unit_at_least_four_times_in_a_row(parts: list[str]) -> None:
    circle = longest_loop(parts)
    found = [
        parts[first : first + unit] * LEAST_COPIES == parts[first : first + unit * LEAST_COPIES]
        for unit in range(1, 7)
        for first in range(len(parts) - unit * LEAST_COPIES + 1)
    ]
    assert (circle is not None) == any(found)
    if circle is not None:
        run = parts[circle.first : circle.beyond]
        copies = [run[at : at + circle.unit] for at in range(0, circle.copies * circle.unit, circle.unit)]
        assert circle.copies >= LEAST_COPIES
        assert all(one == following for one, following in pairwise(copies))


@given(st.lists(st.sampled_from(["so", "Go.", "go", "no,"]), max_size=40), st.floats(0, 20))
def test_words_are_only_ever_left_out_and_never_changed(words: list[str], voice_seconds: float) -> None:
    text = " ".join(words)
    left, copies = cut_down(text, voice_seconds)
    assert (left == text) == (copies is None or left == text)
    rest = iter(words)
    assert all(word in rest for word in left.split())
