"""A segment's words as an aligner found them, some without times or in disorder → words with times that hold.

Runs in: worker. Pure.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeGuard

from ipc.transcript import Word


@dataclass(frozen=True, slots=True)
class Letter:
    """A character of a text as it was heard, in seconds from the start of the recording."""

    start: float
    end: float
    score: float
    known: bool
    """False for what the aligner has no letter for (digits, signs): it got what the others left."""


@dataclass(frozen=True, slots=True)
class UntimedWord:
    """A word as an aligner found it: times in seconds from the start of the recording, perhaps none, perhaps odd."""

    word: str
    start: float | None = None
    end: float | None = None
    score: float | None = None
    interpolated: bool = False
    """True if the times do not come from the sound of this word."""


def rough_word(word: str, letters: Sequence[Letter]) -> UntimedWord:
    """A word from those of its letters that were heard; guessed unless one of them is a letter the aligner knows."""
    if not letters:
        return UntimedWord(word)
    return UntimedWord(
        word,
        start=min(letter.start for letter in letters),
        end=max(letter.end for letter in letters),
        score=sum(letter.score for letter in letters) / len(letters),
        interpolated=not any(letter.known for letter in letters),
    )


def positions_of(words: Iterable[str], text: str) -> list[range]:
    """Where each word is in the text that they were cut from, in order."""
    places: list[range] = []
    search_from = 0
    for word in words:
        first = text.index(word, search_from)
        search_from = first + len(word)
        places.append(range(first, search_from))
    return places


def fill_gaps(
    rough: Sequence[UntimedWord], start: float, end: float, late_by_seconds: float = 0.0
) -> tuple[Word, ...]:
    """Every word with times in [start, end], in order and without overlap; empty if no word has any.

    `late_by_seconds` is how late the aligner's word starts are on average; it is taken off where there is room.
    Words without times share the gap between their neighbours by their length and are marked `interpolated`.
    """
    placed = put_in_order(rough, start, end, late_by_seconds)
    if all(place is None for place in placed):
        return ()
    words: list[Word] = []
    free_from = start
    position = 0
    while position < len(rough):
        place = placed[position]
        if place is not None:
            words.append(as_word(rough[position], place, start, end, interpolated=rough[position].interpolated))
            free_from = place[1]
            position += 1
            continue
        last = position
        while last < len(rough) and placed[last] is None:
            last += 1
        following = placed[last] if last < len(rough) else None
        free_to = following[0] if following is not None else end
        for one, share in zip(rough[position:last], shares(rough[position:last], free_from, free_to), strict=True):
            words.append(as_word(one, share, start, end, interpolated=True))
        position = last
    return tuple(words)


def doubted(words: tuple[Word, ...], least_score: float) -> tuple[Word, ...]:
    """All of them `interpolated` if the mean score of those that have one is lower: such times are guesses."""
    scores = [word.score for word in words if word.score is not None]
    if not scores or sum(scores) / len(scores) >= least_score:
        return words
    return tuple(word.model_copy(update={"interpolated": True}) for word in words)


def put_in_order(
    rough: Sequence[UntimedWord], start: float, end: float, late_by_seconds: float
) -> list[tuple[float, float] | None]:
    """The times that were found, made to run forwards inside [start, end]; None where there are none."""
    placed: list[tuple[float, float] | None] = []
    free_from = start
    for one in rough:
        if not is_finite(one.start) or not is_finite(one.end):
            placed.append(None)
            continue
        begins = min(max(one.start - late_by_seconds, free_from), end)
        free_from = min(max(one.end, begins), end)
        placed.append((begins, free_from))
    return placed


def is_finite(value: float | None) -> TypeGuard[float]:
    """Neither missing nor NaN nor infinite."""
    return value is not None and math.isfinite(value)


def shares(words: Iterable[UntimedWord], free_from: float, free_to: float) -> list[tuple[float, float]]:
    """A gap divided among words by their length."""
    lengths = [len(one.word) for one in words]
    room = max(free_to - free_from, 0.0)
    return list(pairwise(free_from + room * sum(lengths[:count]) / sum(lengths) for count in range(len(lengths) + 1)))


def as_word(rough: UntimedWord, times: tuple[float, float], start: float, end: float, interpolated: bool) -> Word:
    """Rounded to milliseconds, but never out of the segment."""
    first, last = (min(max(round(time, 3), start), end) for time in times)
    score = None if interpolated or not is_finite(rough.score) else round(min(max(rough.score, 0.0), 1.0), 3)
    return Word(word=rough.word, start=first, end=last, score=score, interpolated=interpolated)
