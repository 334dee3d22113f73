"""Words replaced: whole, once, the longest first.

Runs in: the test process.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from ipc.transcript import Segment
from supervisor.results.replacements import replaced, rewritten


@pytest.mark.parametrize(
    ("text", "replacements", "expected"),
    [
        ("Kate said: Kate!", {"Kate": "Käthe"}, "Käthe said: Käthe!"),
        ("Katesville, kate", {"Kate": "Käthe"}, "Katesville, kate"),
        ("STENO Steno steno stenos", {"steno": "stenod"}, "stenod stenod stenod stenos"),
        ("Steno D and Steno  d", {"Steno D": "stenod"}, "stenod and Steno d"),
        ("new york city, new york", {"new york": "NY", "new york city": "NYC"}, "NYC, NY"),
        ("a b", {"a": "b", "b": "a"}, "b a"),
        ("It is C++, not C.", {"c++": "Rust", "C": "Zig"}, "It is Rust, not Zig."),
        ("so um yes", {"um": ""}, "so yes"),
        ("um", {"um": ""}, "um"),
        ("größer ÄRZTE", {"ärzte": "Doktoren", "groß": "x"}, "größer Doktoren"),
        ("cafe\u0301 cafe", {"cafe": "bar"}, "cafe\u0301 bar"),
        ("我叫小明吧", {"小明": "小敏"}, "我叫小敏吧"),
        ("don't", {"don": "Don"}, "Don't"),
        ("price", {"price": r"\1 $5 \g<0>"}, r"\1 $5 \g<0>"),
        ("US us", {"US": "USA", "us": "we"}, "USA we"),
        ("nothing", {"  ": "x", "": "y"}, "nothing"),
    ],
)
def test_words_are_replaced(text: str, replacements: dict[str, str], expected: str) -> None:
    assert replaced(text, replacements) == expected


WORDS = some.text("abcé", min_size=1, max_size=3)


@given(
    words=some.lists(WORDS, min_size=1, max_size=12),
    replacements=some.dictionaries(WORDS, some.text("xyz ", max_size=4), max_size=6),
)
def test_each_word_stands_for_itself_and_nothing_is_replaced_twice(
    words: list[str], replacements: dict[str, str]
) -> None:
    text = " ".join(words)
    each = " ".join(" ".join(replacements.get(word, word) for word in words).split())
    assert replaced(text, replacements) == (each or text)


@given(text=some.text(), replacements=some.dictionaries(some.text(max_size=5), some.text(max_size=5), max_size=5))
def test_no_text_and_no_table_of_words_breaks_it_or_leaves_a_segment_empty(
    text: str, replacements: dict[str, str]
) -> None:
    new = replaced(text, replacements)
    assert bool(new) == bool(text)
    assert replaced(text, {}) == text


def test_segments_keep_all_but_their_text() -> None:
    heard = Segment(id=3, start=1.0, end=2.0, text="hello Kate", avg_logprob=-0.5)
    (new,) = rewritten((heard,), {"Kate": "Käthe"})
    assert new == heard.model_copy(update={"text": "hello Käthe"})


def test_ten_thousand_words_are_no_burden() -> None:
    many = {f"word{n}": f"Word {n}" for n in range(10_000)}
    assert replaced("word17 and word9999 " * 20, many) == ("Word 17 and Word 9999 " * 20).strip()
