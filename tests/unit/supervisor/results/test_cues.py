"""Cues that can be read: two short lines, long enough on the screen, in order, and not a word less than was said.

Runs in: the test process.
"""

import itertools
import time
import unicodedata
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from ipc.transcript import Segment, Word
from supervisor.results.cues import Cue, cues_of
from supervisor.results.plain_text import plain
from supervisor.system.graphemes import clusters_of

WORDS = some.text("abcdefg,.!?-", min_size=1, max_size=14)
LONG = some.text("abcdefg-/.", min_size=43, max_size=120)
SPACELESS = some.text("会議録ですっー。、「」（）東京都a1", min_size=1, max_size=60)
THAI = some.text("กขคงเแำ่้ิ", min_size=1, max_size=90)
ANYTHING = some.text(some.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
SAID = some.lists(WORDS | WORDS | WORDS | LONG | SPACELESS | THAI | ANYTHING, min_size=1, max_size=30)


@some.composite
def spoken(draw: some.DrawFn) -> list[Segment]:
    """Segments one behind the other: timed or not, dense or with pauses, of any script."""
    segments: list[Segment] = []
    at = draw(some.floats(0, 100))
    for texts in draw(some.lists(SAID, min_size=1, max_size=5)):
        said = [text for text in (" ".join(text.split()) for text in texts) if plain(text)]
        if not said:
            continue
        start = at + draw(some.sampled_from([0.0, 0.0, 0.03, 0.5, 30.0]))
        pace = draw(some.sampled_from([0.0, 0.001, 0.05, 0.3, 1.0, 9.0]))
        end = start + pace * len(said)
        words = tuple(
            Word(word=word, start=start + n * pace, end=start + (n + 0.9) * pace)
            for n, text in enumerate(said)
            for word in [text]
        )
        if draw(some.booleans()):
            words = ()
        text = " ".join(said)
        segments.append(Segment(id=len(segments), start=start, end=end, text=text, words=words))
        at = end
    return segments


def text_of(cue: Cue) -> list[str]:
    return ["".join(" " * piece.spaced + piece.text for piece in line).strip() for line in cue.lines]


def letters(text: str) -> str:
    return "".join(text.split())


def is_wide(line: str) -> bool:
    return any(unicodedata.east_asian_width(sign) in "WF" for sign in line)


@settings(max_examples=150)
@given(spoken(), some.sampled_from([inf, 0.0, 50.0, 5000.0]))
def test_every_cue_can_be_read_and_no_word_is_lost(segments: list[Segment], duration: float) -> None:
    cues = list(cues_of(segments, duration))
    assert letters("".join("".join(text_of(cue)) for cue in cues)) == letters(
        "".join(plain(segment.text) for segment in segments)
    )
    for cue in cues:
        assert 1 <= len(cue.lines) <= 2
        assert 0 < cue.end_ms - cue.start_ms <= 7000
        for line in text_of(cue):
            limit = 16 if is_wide(line) else 42
            assert len(line) <= limit or len(clusters_of(line)) == 1, line
    for cue, following in itertools.pairwise(cues):
        assert cue.end_ms <= following.start_ms
        room = following.start_ms - cue.start_ms
        lasts = cue.end_ms - cue.start_ms
        assert lasts >= min(800, room)
        assert lasts >= min(cue.characters * 50, room, 6920)
        assert following.start_ms == cue.end_ms or following.start_ms - cue.end_ms >= 80
    for cue in cues[-1:]:
        assert cue.end_ms - cue.start_ms >= 800


@settings(max_examples=60)
@given(spoken())
def test_no_cue_begins_much_before_or_after_its_first_word(segments: list[Segment]) -> None:
    for segment in segments:
        for cue in cues_of([segment]):
            first = cue.lines[0][0]
            # Words that take no time at all are pushed apart by a millisecond each.
            assert 0 <= cue.start_ms - round(first.start * 1000) <= 120


@settings(max_examples=60)
@given(some.lists(SAID, min_size=1, max_size=3))
def test_no_character_as_readers_see_it_is_torn_apart(texts: list[list[str]]) -> None:
    said = [text for text in (plain(" ".join(words)) for words in texts) if text]
    segments = [Segment(id=n, start=n * 9.0, end=n * 9.0 + 8, text=text) for n, text in enumerate(said)]
    lines = [line for cue in cues_of(segments) for line in text_of(cue)]
    shown = [part for line in lines for word in line.split() for part in clusters_of(word)]
    assert shown == [part for text in said for word in text.split() for part in clusters_of(word)]


def lines_of(text: str, seconds: float = 6.0) -> list[list[str]]:
    return [text_of(cue) for cue in cues_of([Segment(id=0, start=0, end=seconds, text=text)])]


def test_a_long_segment_without_word_times_becomes_cues_with_shares_of_its_time() -> None:
    sentence = "We met at the station and walked along the river until it was dark. "
    segment = Segment(id=0, start=10.0, end=38.0, text=(sentence * 6).strip())
    cues = list(cues_of([segment]))
    assert [" ".join(text_of(cue)) for cue in cues] == [sentence.strip()] * 6
    for n, cue in enumerate(cues):
        assert cue.start_ms == pytest.approx(10_000 + n * 28_000 / 6, abs=100)
        assert not cue.has_word_times


def test_a_short_word_stays_until_the_next_is_said_or_it_can_be_read() -> None:
    words = (Word(word="No.", start=0.036, end=0.165),)
    alone = Segment(id=0, start=0.0, end=0.2, text="No.", words=words)
    (cue,) = cues_of([alone])
    assert (cue.start_ms, cue.end_ms) == (36, 836)
    later = Segment(id=1, start=0.5, end=2.0, text="I do not think so.")
    assert next(cues_of([alone, later])).end_ms == 500
    near = later.model_copy(update={"start": 0.9})
    assert next(cues_of([alone, near])).end_ms == 900  # 64 ms would be a flicker
    far = later.model_copy(update={"start": 0.92})
    assert next(cues_of([alone, far])).end_ms == 836


def test_the_last_cue_outlasts_the_recording_by_no_more_than_it_takes_to_be_seen() -> None:
    text = "This was said in a great hurry before the tape ran out."
    hurried = Segment(id=0, start=9.0, end=9.9, text=text)
    assert [cue.end_ms for cue in cues_of([hurried], 10.0)] == [10_000]
    assert [cue.end_ms for cue in cues_of([hurried], 60.0)] == [9000 + 50 * len(text)]
    assert [cue.end_ms for cue in cues_of([hurried.model_copy(update={"start": 9.7})], 10.0)] == [10_500]


def test_no_last_word_is_left_alone_for_a_blink() -> None:
    text = "and so we went on with the measurements on the second day of that week until we had all of them"
    texts = text.split()
    words = tuple(Word(word=text, start=n * 0.25, end=n * 0.25 + 0.24) for n, text in enumerate(texts))
    segment = Segment(id=0, start=0, end=5, text=text, words=words)
    following = Segment(id=1, start=5.0, end=7.0, text="Then we left.")
    cues = list(cues_of([segment, following]))
    assert [cue.end_ms - cue.start_ms >= 800 for cue in cues] == [True] * len(cues)
    assert len(cues) == 3


def test_cues_end_with_sentences_and_lines_with_clauses_where_there_is_a_choice() -> None:
    assert lines_of("It was late. He said that he would come again tomorrow, and then he closed the door.") == [
        ["It was late.", "He said that he would come again tomorrow,"],
        ["and then he closed the door."],
    ] or lines_of("It was late. He said that he would come again tomorrow, and then he closed the door.") == [
        ["It was late."],
        ["He said that he would come again tomorrow,", "and then he closed the door."],
    ]
    assert lines_of("When the rain had stopped, we took the bicycles.") == [
        ["When the rain had stopped,", "we took the bicycles."]
    ]


def test_no_japanese_line_begins_with_a_stop_or_ends_with_an_opening_bracket() -> None:
    text = "「今日は天気がとてもいいので、散歩に行きましょう」と彼は言った。"
    text += "それから『ローマの休日』を観て、チェックしてしまった。"
    shown = lines_of(text * 3, 29.0)
    assert "".join(itertools.chain(*shown)) == text * 3
    for line in itertools.chain(*shown):
        assert len(line) <= 16
        assert line[0] not in "。、」』ーっょゃゅェッ" and line[-1] not in "「『"


def test_latin_words_and_numbers_in_chinese_stay_whole() -> None:
    text = "我们在Berlin见面了然后坐ICE列车去了Hamburg港口城市那里有2024年的博物馆展览"
    words = {"Berlin", "ICE", "Hamburg", "2024"}
    shown = list(itertools.chain(*lines_of(text, 12.0)))
    assert "".join(shown) == text
    assert all(any(word in line for line in shown) for word in words)


def test_thai_without_spaces_is_broken_between_characters_as_readers_see_them() -> None:
    text = "เมื่อวานนี้ฉันไปตลาดเพื่อซื้อผักและผลไม้แล้วก็กลับบ้านมาทำอาหารเย็นให้ครอบครัวทุกคนกินด้วยกันอย่างมีความสุข"
    shown = list(itertools.chain(*lines_of(text, 12.0)))
    assert "".join(shown) == text
    for line in shown:
        assert len(line) <= 42
        assert unicodedata.category(line[0]) != "Mn" and line[-1] not in "เแโใไ"


def test_an_address_longer_than_a_line_is_broken_where_its_parts_begin() -> None:
    address = "https://archive.example.org/recordings/2026/november/thirty/interview-with-the-mayor.html"
    shown = list(itertools.chain(*lines_of(f"See {address} for more.")))
    assert "".join(shown).replace("See", "See ").replace("for", " for").split()[1] == address
    assert max(map(len, shown)) <= 42
    assert all(line[-1] in "/.-" for line in shown if address.startswith(line.removeprefix("See ")))


def test_french_marks_stand_on_the_line_of_their_word() -> None:
    shown = lines_of("Il a dit « Vous venez avec nous ce soir » ! Et elle a répondu : peut-être demain ?")
    assert not [line for line in itertools.chain(*shown) if line[0] in "!?:»"]


def test_arabic_and_hebrew_keep_the_order_of_their_words() -> None:
    for text in ("مرحبا بكم في هذا اللقاء الذي نتحدث فيه عن تاريخ المدينة القديمة وأهلها", "שלום לכולם " * 8):
        shown = lines_of(text.strip(), 8.0)
        assert " ".join(itertools.chain(*shown)) == text.strip()


def test_the_words_of_a_broken_word_are_that_word_again_in_each_line() -> None:
    text = "今日はとてもいい天気ですから散歩に行きましょう"
    word = Word(word=text, start=1.0, end=5.0)
    (cue,) = cues_of([Segment(id=0, start=1.0, end=5.0, text=text, words=(word,))])
    assert [len(line) for line in cue.lines] == [1, 1]
    first, second = (line[0] for line in cue.lines)
    assert first.word is second.word is word
    assert first.start == 1.0 and first.end == pytest.approx(second.start) and second.end == 5.0


def test_words_that_take_no_time_follow_one_another() -> None:
    words = tuple(Word(word="word", start=3.0, end=3.0) for _ in range(100))
    cues = list(cues_of([Segment(id=0, start=3.0, end=3.0, text="word " * 100, words=words)]))
    assert [cue.end_ms for cue in cues[:-1]] == [cue.start_ms for cue in cues[1:]]
    assert sum(len(line) for cue in cues for line in cue.lines) == 100


def test_segments_that_overlap_never_make_cues_that_do() -> None:
    segments = [Segment(id=n, start=n * 0.5, end=n * 0.5 + 3, text=f"Speaker {n} says something.") for n in range(9)]
    cues = list(cues_of(segments))
    assert all(cue.end_ms <= following.start_ms for cue, following in itertools.pairwise(cues))


def test_a_day_of_speech_is_cut_at_a_pace_of_hours_a_second() -> None:
    texts = ("this is how people talk when they have a lot to say, and then they pause. " * 3).split()
    words = tuple(Word(word=text, start=n * 0.4, end=n * 0.4 + 0.3) for n, text in enumerate(texts))
    segment = Segment(id=0, start=0, end=30, text=" ".join(texts), words=words)
    began = time.perf_counter()
    count = sum(1 for _ in cues_of(segment for _ in range(120)))
    # An hour; a hundred times slower than on a quiet machine would still do.
    assert count > 300 and time.perf_counter() - began < 20
