"""What makes a transcript sound, on every input an aligner could think of.

Runs in: the test process.
"""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipc.api_messages import JobOptions
from ipc.transcript import EngineUsed, Segment, Word
from supervisor.disks.file_identity import FileIdentity
from supervisor.results.transcript import transcript_of
from supervisor.results.transcript_rules import SLACK_SECONDS, fold_repeats, joined, with_words
from supervisor.store.job import Job

SEGMENT = Segment(id=4, start=10.0, end=14.0, text="nobody was hurt", avg_logprob=-0.2)


def said(*words: tuple[str, float, float]) -> tuple[Word, ...]:
    return tuple(Word(word=word, start=start, end=end) for word, start, end in words)


def segments_saying(*texts: str) -> list[Segment]:
    return [Segment(id=at + 5, start=at, end=at + 1, text=text) for at, text in enumerate(texts)]


def job(**fields: object) -> Job:
    identity = FileIdentity(device=1, inode=2, size=3, mtime_ns=4)
    known = {"id": 1, "path": "/x/a.mp3", "options": JobOptions(), "status": "writing", "identity": identity}
    return Job(**{**known, "created_at": 0.0, **fields})  # type: ignore[arg-type]  # fields are named by each test


def test_words_that_are_the_text_in_order_are_taken_as_they_are() -> None:
    words = said(("nobody", 10.0, 10.5), ("was", 10.5, 10.75), ("hurt", 12.0, 14.0))
    timed, reason = with_words(SEGMENT, words)
    assert reason is None
    assert timed == SEGMENT.model_copy(update={"timing": "word", "words": words})


def test_small_overlaps_and_overhangs_are_clamped() -> None:
    words = said(("nobody", 9.9, 11.0), ("was", 10.8, 10.9), ("hurt", 10.75, 14.1))
    timed, reason = with_words(SEGMENT, words)
    assert reason is None
    assert [(word.start, word.end) for word in timed.words] == [(10.0, 10.8), (10.8, 10.8), (10.8, 14.0)]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (None, "alignment_failed"),
        ((), "alignment_failed"),
        (said(("nobody", 10, 11), ("was", 11, 12)), "alignment_text_mismatch"),
        (said(("nobody", 10, 11), ("was", 11, 12), ("Hurt", 12, 13)), "alignment_text_mismatch"),
        (said(("nobody", 10, 11), ("was", 11, 12), ("hurt", 12, 13), ("badly", 13, 14)), "alignment_text_mismatch"),
        (said(("nobody", 10, 11), (" ", 11, 11), ("was", 11, 12), ("hurt", 12, 13)), "alignment_text_mismatch"),
        (said(("nobody", 12, 13), ("was", 11, 12), ("hurt", 13, 14)), "alignment_failed"),
        (said(("nobody", 8, 9), ("was", 11, 12), ("hurt", 13, 14)), "alignment_failed"),
        (said(("nobody", 10, 11), ("was", 11, 12), ("hurt", 13, 15)), "alignment_failed"),
        (said(("nobody", 11, 10.5), ("was", 11, 12), ("hurt", 13, 14)), "alignment_failed"),
        (
            (Word.model_construct(word="nobody was hurt", start=math.nan, end=11.0),),
            "alignment_failed",
        ),
        ((Word.model_construct(word="nobody was hurt", start=10.5, end=math.inf),), "alignment_failed"),
    ],
)
def test_words_that_cannot_be_right_leave_the_segment_its_text(words: tuple[Word, ...] | None, reason: str) -> None:
    assert with_words(SEGMENT, words) == (SEGMENT, reason)


def test_an_aligner_that_splits_or_glues_words_has_not_changed_the_text() -> None:
    chinese = Segment(id=0, start=0, end=2, text="你好 世界")
    timed, reason = with_words(chinese, said(("你", 0, 0.5), ("好", 0.5, 1), ("世界", 1, 2)))
    assert (reason, timed.timing) == (None, "word")


@given(
    st.lists(
        st.builds(
            Word,
            word=st.sampled_from(["nobody", "was", "hurt", ""]),
            start=st.floats(9.5, 14.5),
            end=st.floats(9.5, 14.5),
        ),
        max_size=4,
    )
    | st.permutations([10.1, 10.9, 11.7]).map(
        lambda starts: [
            Word(word=word, start=start, end=start + 1)
            for word, start in zip(SEGMENT.text.split(), starts, strict=True)
        ]
    )
)
def test_whatever_an_aligner_says_the_text_stands_and_times_rise_inside_the_segment(words: list[Word]) -> None:
    timed, reason = with_words(SEGMENT, words)
    assert (timed.text, timed.start, timed.end, timed.id) == (SEGMENT.text, 10.0, 14.0, 4)
    assert (timed.timing == "word") == (reason is None) == bool(timed.words)
    times = [time for word in timed.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert all(10.0 <= time <= 14.0 for time in times)
    for before, after in zip(words, timed.words, strict=False):
        assert after.word == before.word
        assert abs(after.start - before.start) <= 2 * SLACK_SECONDS


def test_three_of_the_same_in_a_row_become_one_and_say_so() -> None:
    folded = list(fold_repeats(segments_saying("Hello.", "Thank you.", "thank you", "Thank, you!", "Bye.", "Bye.")))
    assert [(segment.id, segment.text, segment.repeats) for segment in folded] == [
        (0, "Hello.", None),
        (1, "Thank you.", 3),
        (2, "Bye.", None),
        (3, "Bye.", None),
    ]
    assert folded[1].start == 1.0


def again(count: int, gap: float, seconds: float = 2.4, **facts: object) -> list[Segment]:
    """One sentence so many times, with so much between them."""
    text = "Call the harbour office if the weather turns."
    return [
        Segment(id=n, start=n * (seconds + gap), end=n * (seconds + gap) + seconds, text=text, **facts)  # type: ignore[arg-type]  # named by each test
        for n in range(count)
    ]


@pytest.mark.parametrize("count", [3, 4, 10])
@pytest.mark.parametrize("gap", [0.3, 1.0, 6.0, 60.0])
def test_a_sentence_said_again_after_a_pause_is_a_line_of_its_own(count: int, gap: float) -> None:
    for said_again in (again(count, gap), again(count, gap, voice_seconds=2.0)):
        assert list(fold_repeats(said_again)) == said_again


@pytest.mark.parametrize("count", [3, 10, 40])
def test_a_chant_without_a_pause_stays_where_a_voice_is_heard(count: int) -> None:
    assert [segment.repeats for segment in fold_repeats(again(count, 0.0, voice_seconds=2.1))] == [None] * count
    go = [Segment(id=n, start=n / 4, end=(n + 1) / 4, text="Go!", voice_seconds=0.2) for n in range(count)]
    assert list(fold_repeats(go)) == go


def test_words_that_were_found_in_the_sound_were_said() -> None:
    timed = [
        with_words(segment, said(*[(word, segment.start, segment.end) for word in segment.text.split()]))[0]
        for segment in again(4, 0.0)
    ]
    assert list(fold_repeats(timed)) == timed
    guessed = [segment.model_copy(update={"timing_doubtful": True}) for segment in timed]
    assert [segment.repeats for segment in fold_repeats(guessed)] == [4]
    over_other_speech = [segment.model_copy(update={"voice_seconds": 2.0}) for segment in guessed]
    assert [segment.repeats for segment in fold_repeats(over_other_speech)] == [4]


@pytest.mark.parametrize("gap", [0.0, 0.5])
def test_a_model_that_goes_on_where_nobody_speaks_is_folded(gap: float) -> None:
    assert [segment.repeats for segment in fold_repeats(again(20, gap, voice_seconds=0.1))] == [20]
    # Said twice, and then the model went on by itself.
    real, made_up = again(2, 0.5, voice_seconds=2.0), again(9, gap, voice_seconds=0.0)[2:]
    assert [segment.repeats for segment in fold_repeats([*real, *made_up])] == [None, 8]


def test_a_segment_whose_times_are_all_guesses_says_so() -> None:
    words = said(("nobody", 10.0, 10.5), ("was", 10.5, 10.75), ("hurt", 12.0, 14.0))
    guesses = [word.model_copy(update={"interpolated": True}) for word in words]
    assert with_words(SEGMENT, guesses)[0].timing_doubtful
    assert not with_words(SEGMENT, [*guesses[:2], words[2]])[0].timing_doubtful
    assert not with_words(with_words(SEGMENT, guesses)[0], words)[0].timing_doubtful


def test_signs_without_letters_are_the_same_only_if_they_are_the_same_signs() -> None:
    assert [s.repeats for s in fold_repeats(segments_saying("♪", "…", "♪", "…", "…", "…"))] == [None, None, None, 3]


@given(st.lists(st.sampled_from(["a", "A.", "b"]), max_size=30).map(lambda texts: segments_saying(*texts)))
def test_folding_counts_everything_and_folding_again_changes_nothing(segments: list[Segment]) -> None:
    folded = list(fold_repeats(segments))
    assert sum(segment.repeats or 1 for segment in folded) == len(segments)
    assert [segment.id for segment in folded] == list(range(len(folded)))
    assert list(fold_repeats(folded)) == folded


def test_timing_is_true_to_the_content() -> None:
    timed, _ = with_words(SEGMENT, said(("nobody", 10, 11), ("was", 11, 12), ("hurt", 12, 13)))
    assert transcript_of(job(), []).timing == "segment"
    assert transcript_of(job(), [SEGMENT]).timing == "segment"
    assert transcript_of(job(), [timed]).timing == "word"
    assert transcript_of(job(), [timed, SEGMENT]).timing == "mixed"


def test_texts_are_joined_as_their_script_does_it() -> None:
    assert "".join(joined(["Hello.", "World."])) == "Hello. World."
    assert "".join(joined(["你好。", "世界"])) == "你好。世界"
    assert "".join(joined(["こんにちは", "Tokyo", "へ"])) == "こんにちは Tokyo へ"
    assert "".join(joined(["안녕하세요", "세계"])) == "안녕하세요 세계"
    assert "".join(joined([])) == ""


def test_a_transcript_says_who_heard_and_who_timed_it() -> None:
    timed, _ = with_words(SEGMENT, said(("nobody", 10, 11), ("was", 11, 12), ("hurt", 12, 13)))
    mlx = EngineUsed(engine="mlx", model="tiny.en", device="cpu")
    transcript = transcript_of(
        job(language="en", language_probability=0.9, audio_seconds=20.0, transcribed_by=mlx.model_dump_json()),
        [timed, Segment(id=1, start=15, end=16, text="bye")],
    )
    assert "".join(transcript.text()) == "nobody was hurt bye"
    assert (transcript.language, transcript.duration) == ("en", 20.0)
    assert (transcript.timing, transcript.no_speech) == ("mixed", False)
    assert tuple(transcript.words()) == timed.words
    assert (transcript.engine.transcriber, transcript.engine.aligner) == (mlx, None)


def test_silence_is_an_empty_transcript_that_says_nobody_speaks() -> None:
    transcript = transcript_of(job(language="en", audio_seconds=3.0), [])
    assert ("".join(transcript.text()), transcript.language, transcript.no_speech) == ("", None, True)
    assert (transcript.timing, transcript.duration) == ("segment", 3.0)
