"""A segment in pieces between which a line may break: words, and characters of scripts without spaces. Pure.

Runs in: supervisor.
"""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from ipc.transcript import Segment, Word
from supervisor.results.plain_text import plain
from supervisor.system.graphemes import clusters_of

LINE_COLUMNS = 42
"""Characters that broadcasters allow a line."""
WIDE_LINE_COLUMNS = 16
"""The same for a line with a Chinese, Japanese or Korean character in it."""
NEVER_BEGINS_A_LINE = frozenset("ぁぃぅぇぉっゃゅょゎゕゖァィゥェォッャュョヮヵヶ〜～")
"""Small kana and the wave dash. Closing brackets, stops and length marks are recognised by their Unicode category."""
MAY_END_A_LINE = frozenset("-‐–—/_.,&?=")
"""Where an address or a compound longer than a line is best broken."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A word on the screen, or a part of a broken word."""

    text: str
    start: float
    """Seconds from the start of the recording."""
    end: float
    spaced: bool
    """Whether white space precedes it in the segment's text."""
    begins_well: bool
    """Whether a line or a cue may begin with it; otherwise it does so only as a last resort."""
    token: int
    """Parts of the same word have the same number."""
    word: Word | None
    """None: the segment has no word times, and the piece's times are shares of the segment's."""

    @property
    def is_wide(self) -> bool:
        return has_wide(self.text)


def pieces_of(segment: Segment) -> list[Piece]:
    """The segment's text in pieces, in order; only white space and control characters are missing."""
    words = _timed(segment) if segment.words else _shared_out(segment)
    pieces: list[Piece] = []
    before = ""
    for token, (text, start, end, spaced, word) in enumerate(words):
        for part, part_start, part_end in _parts(text, start, end):
            is_spaced = spaced and part_start is start
            begins_well = not _only_closes(part) if is_spaced else not before or _may_part(before, part)
            pieces.append(Piece(part, part_start, part_end, is_spaced, begins_well, token, word))
            before = part
    return pieces


def has_wide(text: str) -> bool:
    """Whether it contains a Chinese, Japanese or Korean character, or another that takes two columns."""
    return not text.isascii() and any(unicodedata.east_asian_width(sign) in "WF" for sign in text)


_Token = tuple[str, float, float, bool, Word | None]


def _timed(segment: Segment) -> Iterator[_Token]:
    """The words, each with whether the text has a space before it."""
    rest = segment.text
    for word in segment.words:
        bare = rest.lstrip()
        # Words are the text (text is conserved); inner white space alone may differ, and then a space is right.
        is_next = bare.startswith(word.word)
        spaced = len(bare) < len(rest) or not is_next
        rest = bare[len(word.word) :] if is_next else bare
        if text := plain(word.word):
            yield text, word.start, word.end, spaced, word


def _shared_out(segment: Segment) -> Iterator[_Token]:
    """The text's words, each with a share of the segment's time in proportion to its letters."""
    texts = plain(segment.text).split()
    letters = sum(map(len, texts))
    seconds = segment.end - segment.start
    past = 0
    for text in texts:
        start = segment.start + seconds * past / letters
        past += len(text)
        yield text, start, segment.start + seconds * past / letters, True, None


def _parts(text: str, start: float, end: float) -> Iterator[tuple[str, float, float]]:
    """The whole word, or its graphemes if it may have to be broken, each with its time."""
    if len(text) <= LINE_COLUMNS and not has_wide(text):
        yield text, start, end
        return
    past = 0
    at = start
    for cluster in clusters_of(text):
        past += len(cluster)
        until = end if past == len(text) else start + (end - start) * past / len(text)
        yield cluster, at, until
        at = until


def _may_part(before: str, after: str) -> bool:
    """Whether a line may break between these two, which have no space between them."""
    return _parts_well(before[-1], after[0])


@lru_cache(maxsize=4096)
def _parts_well(last: str, first: str) -> bool:
    if not has_wide(last) and not has_wide(first):
        return last in MAY_END_A_LINE and first.isalnum()
    return unicodedata.category(last) not in ("Ps", "Pi") and not _closes(first)


def _closes(sign: str) -> bool:
    return sign in NEVER_BEGINS_A_LINE or unicodedata.category(sign) in ("Pe", "Pf", "Po", "Lm", "Mn", "Mc", "Me")


def _only_closes(text: str) -> bool:
    """The ` !` and ` »` of French, for example: no line begins with them although a space precedes them."""
    return unicodedata.category(text[0])[0] == "P" and all(map(_closes, text))
