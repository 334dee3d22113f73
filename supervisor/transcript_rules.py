"""What makes a transcript sound: words that are its text, times in order, no echoes. Pure.

Runs in: supervisor.
"""

import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby, islice

from ipc.transcript import Segment, Word

SLACK_SECONDS = 0.2
"""Aligners round and shift by a frame or two; a word this far out of order or out of its segment is pushed back,
a word further out makes all times of its segment unbelievable."""
REPEATS_TO_FOLD = 3
"""Whisper fills noise with one sentence over and over; people say the same thing twice."""
NOT_SPOKEN = re.compile(r"[\W_]+")


def with_words(segment: Segment, words: Sequence[Word] | None) -> tuple[Segment, str | None]:
    """The segment with its words, or without them and the reason as a stable code.

    An aligner that changes, loses or adds text is overruled (`alignment_text_mismatch`): the transcriber's text
    stands. Times that run backwards or leave the segment are refused (`alignment_failed`), small overlaps repaired.
    """
    without = segment.model_copy(update={"timing": "segment", "words": ()})
    if not words:
        return without, "alignment_failed"
    if not all(word.word.strip() for word in words) or _bare("".join(w.word for w in words)) != _bare(segment.text):
        return without, "alignment_text_mismatch"
    repaired = _in_order(segment, words)
    if repaired is None:
        return without, "alignment_failed"
    return segment.model_copy(update={"timing": "word", "words": repaired}), None


def fold_repeats(segments: Iterable[Segment]) -> Iterator[Segment]:
    """Three or more segments of one text in a row become the first of them, flagged; ids count from 0 again."""
    for position, segment in enumerate(_folded(segments)):
        yield segment if segment.id == position else segment.model_copy(update={"id": position})


def joined(texts: Iterable[str]) -> Iterator[str]:
    """Pieces of the texts in a row, with a space between them where their script uses spaces."""
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
        else:
            # Hours of one sentence are counted, not kept.
            heard = sum(segment.repeats or 1 for segment in chain(alike, run))
            yield alike[0].model_copy(update={"repeats": heard})


def _in_order(segment: Segment, words: Sequence[Word]) -> tuple[Word, ...] | None:
    """The words with times that rise, inside the segment; None when that would take more than small repairs."""
    starts: list[float] = []
    earliest = segment.start
    for word in words:
        if not (math.isfinite(word.start) and math.isfinite(word.end) and word.start <= word.end):
            return None
        if word.start < earliest - SLACK_SECONDS or word.end > segment.end + SLACK_SECONDS:
            return None
        earliest = min(max(word.start, earliest), segment.end)
        starts.append(earliest)
    # A word ends where the next one starts, at the latest.
    limits = [*starts[1:], segment.end]
    return tuple(
        word.model_copy(update={"start": start, "end": max(start, min(word.end, limit))})
        for word, start, limit in zip(words, starts, limits, strict=True)
    )


def _bare(text: str) -> str:
    return "".join(text.split())


def _spoken(text: str) -> str:
    """Without case, punctuation and space; where nothing is left (`…`, `♪`), the signs themselves."""
    return NOT_SPOKEN.sub("", text.casefold()) or _bare(text)


def _runs_on(sign: str) -> bool:
    """Whether this character belongs to a script written without spaces: Chinese, Japanese. Korean has spaces, and
    Thai, Lao, Khmer and Burmese put one between phrases, which is what segments are."""
    return (
        sign != ""
        and unicodedata.east_asian_width(sign) in ("W", "F")
        and not unicodedata.name(sign, "").startswith("HANGUL")
    )
