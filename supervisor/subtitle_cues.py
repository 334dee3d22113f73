"""A transcript cut into cues a person can read in time: two short lines, a few seconds, at words' edges. Pure.

Runs in: supervisor.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ipc.transcript import Segment, Word

LINE_COLUMNS = 42
"""What broadcasters allow a line; a Chinese or Japanese character takes two columns."""
LINES = 2
LONGEST_CUE_SECONDS = 7.0
LONG_PAUSE_SECONDS = 1.5
"""After a silence like this a new cue begins."""
SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？")


@dataclass(frozen=True, slots=True)
class Piece:
    """One word on the screen."""

    text: str
    word: Word
    spaced: bool
    """Whether white space stands before it in the segment's text."""
    columns: int
    """How wide it is, without that space."""


@dataclass(frozen=True, slots=True)
class Cue:
    """What is on the screen at once."""

    start: float
    end: float
    lines: tuple[tuple[Piece, ...], ...] = ()
    """Words by line; empty where the segment has no word times."""
    text: str = ""
    """The segment's text where there are no lines."""


def cues_of(segments: Iterable[Segment]) -> Iterator[Cue]:
    """One or more cues a segment, in order. A segment without word times is one cue, however long."""
    for segment in segments:
        if not segment.words:
            yield Cue(start=segment.start, end=segment.end, text=segment.text)
            continue
        for pieces in _readable(_pieces(segment)):
            yield Cue(start=pieces[0].word.start, end=pieces[-1].word.end, lines=tuple(map(tuple, _broken(pieces))))


def _pieces(segment: Segment) -> list[Piece]:
    """The words, each with what the text says about the space before it."""
    pieces: list[Piece] = []
    rest = segment.text
    for word in segment.words:
        bare = rest.lstrip()
        # Words are the text (text is conserved); inner white space alone may differ, and then a space is right.
        is_next = bare.startswith(word.word)
        spaced = len(bare) < len(rest) or not is_next
        pieces.append(Piece(text=word.word, word=word, spaced=spaced, columns=_columns_of(word.word)))
        rest = bare[len(word.word) :] if is_next else bare
    return pieces


def _readable(pieces: Sequence[Piece]) -> Iterator[Sequence[Piece]]:
    """Runs of words that fit one cue. A single word always does."""
    begin = 0
    for end in range(1, len(pieces) + 1):
        if end == len(pieces) or _ends_before(pieces[begin:end], pieces[end]):
            yield pieces[begin:end]
            begin = end


def _ends_before(run: Sequence[Piece], following: Piece) -> bool:
    if following.word.start - run[-1].word.end >= LONG_PAUSE_SECONDS:
        return True
    if following.word.end - run[0].word.start > LONGEST_CUE_SECONDS:
        return True
    if run[-1].text.endswith(SENTENCE_ENDS) and _columns(run) > LINE_COLUMNS:
        return True
    return len(_filled([*run, following], LINE_COLUMNS)) > LINES


def _broken(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """The words in lines as narrow as the number of lines allows, so that two lines are of like length."""
    lines = _filled(pieces, LINE_COLUMNS)
    if len(lines) == LINES:
        half = (_columns(pieces) + 1) // LINES
        for columns in range(half, LINE_COLUMNS):
            balanced = _filled(pieces, columns)
            if len(balanced) == LINES:
                return balanced
    return lines


def _filled(pieces: Sequence[Piece], columns: int) -> list[list[Piece]]:
    lines: list[list[Piece]] = []
    taken = columns
    for piece in pieces:
        taken += piece.spaced + piece.columns
        if taken > columns or not lines:
            lines.append([])
            taken = piece.columns
        lines[-1].append(piece)
    return lines


def _columns(pieces: Sequence[Piece]) -> int:
    """How wide these words are in one line."""
    return sum(piece.spaced + piece.columns for piece in pieces) - pieces[0].spaced


def _columns_of(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)
