"""The rules of a valid transcript: words equal its text, times in order, no repetition loops. Pure.

Runs in: supervisor.
"""

import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby, islice

from ipc.transcript import Segment, Word

SLACK_SECONDS = 0.2
"""Aligners round and shift by a frame or two; a word this far out of order or out of its segment is moved back, a
word further out invalidates all times of its segment."""
REPEATS_TO_FOLD = 3
"""Whisper fills noise with one sentence repeated; people do say the same thing twice."""
LEAST_PAUSE_SECONDS = 0.25
"""A sentence repeated after a breath was spoken again: a looping model leaves no pause."""
MOST_CHARACTERS_A_SECOND = 60.0
"""Characters per second of voice, three times as fast as rapid speech: a copy with less voice was not spoken, however
wrong its times."""
NOT_SPOKEN = re.compile(r"[\W_]+")


def with_words(segment: Segment, words: Sequence[Word] | None) -> tuple[Segment, str | None]:
    """The segment with its words; or without them, and the reason as a stable code.

    If the aligner changes, loses or adds text, the transcriber's text wins (`alignment_text_mismatch`). Times that
    run backwards or leave the segment are rejected (`alignment_failed`), small overlaps repaired.
    """
    without = segment.model_copy(update={"timing": "segment", "words": (), "timing_doubtful": False})
    if not words:
        return without, "alignment_failed"
    if not all(word.word.strip() for word in words) or _bare("".join(w.word for w in words)) != _bare(segment.text):
        return without, "alignment_text_mismatch"
    repaired = _in_order(segment, words)
    if repaired is None:
        return without, "alignment_failed"
    doubtful = all(word.interpolated for word in repaired)
    return segment.model_copy(update={"timing": "word", "words": repaired, "timing_doubtful": doubtful}), None


def fold_repeats(segments: Iterable[Segment]) -> Iterator[Segment]:
    """Of three or more consecutive segments with the same text, folds those that cannot have been spoken into the one
    before them, flagged; spoken repetitions stay. Ids count from 0 again."""
    for position, segment in enumerate(_folded(segments)):
        yield segment if segment.id == position else segment.model_copy(update={"id": position})


def settled(segments: Sequence[Segment]) -> int:
    """The number of leading segments that no later segment can change: all before the last run of one text."""
    count = len(segments)
    while count and _spoken(segments[count - 1].text) == _spoken(segments[-1].text):
        count -= 1
    return count


def joined(texts: Iterable[str]) -> Iterator[str]:
    """The texts joined, with a space between them if their script uses spaces."""
    before: str | None = None
    for text in texts:
        if before is not None and not (_runs_on(before[-1:]) and _runs_on(text[:1])):
            yield " "
        yield text
        before = text


def _folded(segments: Iterable[Segment]) -> Iterator[Segment]:
    for _, run in groupby(segments, key=lambda segment: _spoken(segment.text)):
        alike = tuple(islice(run, REPEATS_TO_FOLD))
        if len(alike) < REPEATS_TO_FOLD:
            yield from alike
            continue
        kept = before = alike[0]
        # Hours of one sentence are counted, not kept.
        for copy in chain(alike[1:], run):
            if _was_said(copy, before):
                yield kept
                kept = copy
            else:
                kept = kept.model_copy(update={"repeats": (kept.repeats or 1) + (copy.repeats or 1)})
            before = copy
        yield kept


def _was_said(copy: Segment, before: Segment) -> bool:
    """Whether this was spoken again, or the model only repeated it."""
    voice_seconds = copy.end - copy.start if copy.voice_seconds is None else copy.voice_seconds
    if len(copy.text) > MOST_CHARACTERS_A_SECOND * voice_seconds:
        return False
    if copy.start - before.end >= LEAST_PAUSE_SECONDS:
        return True
    # Without a pause, voice or aligned words must prove it.
    is_heard = copy.voice_seconds is not None or copy.timing == "word"
    return is_heard and not copy.timing_doubtful


def _in_order(segment: Segment, words: Sequence[Word]) -> tuple[Word, ...] | None:
    """The words with rising times, inside the segment; None if that needs more than small repairs."""
    starts: list[float] = []
    earliest = segment.start
    for word in words:
        if not (math.isfinite(word.start) and math.isfinite(word.end) and word.start <= word.end):
            return None
        if word.start < earliest - SLACK_SECONDS or word.end > segment.end + SLACK_SECONDS:
            return None
        earliest = min(max(word.start, earliest), segment.end)
        starts.append(earliest)
    # A word ends at the latest where the next one starts.
    limits = [*starts[1:], segment.end]
    return tuple(
        word.model_copy(update={"start": start, "end": max(start, min(word.end, limit))})
        for word, start, limit in zip(words, starts, limits, strict=True)
    )


def _bare(text: str) -> str:
    return "".join(text.split())


def _spoken(text: str) -> str:
    """The text without case, punctuation and space; if nothing is left (`…`, `♪`), the characters themselves."""
    return NOT_SPOKEN.sub("", text.casefold()) or _bare(text)


def _runs_on(sign: str) -> bool:
    """Whether this character belongs to a script without spaces: Chinese, Japanese. Korean has spaces, and Thai, Lao,
    Khmer and Burmese put one between phrases, and segments are phrases."""
    return (
        sign != ""
        and unicodedata.east_asian_width(sign) in ("W", "F")
        and not unicodedata.name(sign, "").startswith("HANGUL")
    )
