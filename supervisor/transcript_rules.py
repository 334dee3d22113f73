"""What makes a transcript sound: words that are its text, times in order, no echoes. Pure.

Runs in: supervisor.
"""

import math
import unicodedata
from collections.abc import Sequence
from itertools import groupby

from ipc.transcript import EnginesUsed, EngineUsed, Segment, Transcript, TranscriptTiming, Word
from supervisor.job import Job

SLACK_SECONDS = 0.2
"""Aligners round and shift by a frame or two; a word this far out of order or out of its segment is pushed back,
a word further out makes all times of its segment unbelievable."""
REPEATS_TO_FOLD = 3
"""Whisper fills noise with one sentence over and over; people say the same thing twice."""


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


def fold_repeats(segments: Sequence[Segment]) -> tuple[Segment, ...]:
    """Three or more segments of one text in a row become the first of them, flagged; ids count from 0 again."""
    folded: list[Segment] = []
    for _, run in groupby(segments, key=lambda segment: _spoken(segment.text)):
        alike = tuple(run)
        heard = sum(segment.repeats or 1 for segment in alike)
        if len(alike) >= REPEATS_TO_FOLD:
            alike = (alike[0].model_copy(update={"repeats": heard}),)
        folded.extend(alike)
    return tuple(segment.model_copy(update={"id": position}) for position, segment in enumerate(folded))


def timing_of(segments: Sequence[Segment]) -> TranscriptTiming:
    """`word` if every segment has its words, `segment` if none has, else `mixed`."""
    kinds = {segment.timing for segment in segments}
    if kinds == {"word"}:
        return "word"
    return "mixed" if "word" in kinds else "segment"


def joined(texts: Sequence[str]) -> str:
    """Texts in a row, with a space between them where their script uses spaces."""
    whole: list[str] = []
    for text in texts:
        if whole and not (_runs_on(whole[-1][-1:]) and _runs_on(text[:1])):
            whole.append(" ")
        whole.append(text)
    return "".join(whole)


def assemble(job: Job, segments: Sequence[Segment]) -> Transcript:
    """The transcript of a job as its segments stand, echoes folded."""
    segments = fold_repeats(segments)
    return Transcript(
        text=joined([segment.text for segment in segments]),
        language=job.language if segments else None,
        language_probability=job.language_probability if segments else None,
        duration=job.audio_seconds if job.audio_seconds is not None else max((s.end for s in segments), default=0.0),
        timing=timing_of(segments),
        no_speech=not segments,
        segments=segments,
        word_segments=tuple(word for segment in segments for word in segment.words),
        engine=EnginesUsed(transcriber=_engine(job.transcribed_by), aligner=_engine(job.aligned_by)),
    )


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
    letters = "".join(sign for sign in text.casefold() if sign.isalnum())
    return letters or _bare(text)


def _runs_on(sign: str) -> bool:
    """Whether this character belongs to a script written without spaces: Chinese, Japanese. Korean has spaces, and
    Thai, Lao, Khmer and Burmese put one between phrases, which is what segments are."""
    return (
        sign != ""
        and unicodedata.east_asian_width(sign) in ("W", "F")
        and not unicodedata.name(sign, "").startswith("HANGUL")
    )


def _engine(as_json: str | None) -> EngineUsed | None:
    return None if as_json is None else EngineUsed.model_validate_json(as_json)
