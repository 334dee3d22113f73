"""Transcripts as an agent reads them: a passage by time that says where it continues, and the lines with a query.

Runs in: a process that an agent's host starts. Pure.
"""

import math
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

import srt  # type: ignore[import-untyped]  # https://github.com/cdown/srt ships no types

from ipc.transcript import Segment


@dataclass(frozen=True)
class Piece:
    """The least that is shown or left out: a line, a subtitle, a JSON object."""

    start: float
    """Seconds from the start of the recording."""
    end: float
    shown: str


@dataclass(frozen=True)
class Passage:
    """What fits, and the second from which the rest can be asked for; None: nothing was left out."""

    text: str
    continues_at: float | None


def timed_lines(segments: Iterable[Segment]) -> Iterator[Piece]:
    """`[0:07:31] Good morning.`"""
    return (Piece(one.start, one.end, f"[{clock(one.start)}] {one.text}") for one in segments)


def json_lines(segments: Iterable[Segment]) -> Iterator[Piece]:
    """One object a line, with the times of its words."""
    return (Piece(one.start, one.end, one.model_dump_json(exclude_defaults=True)) for one in segments)


def subtitles(text: str) -> Iterator[Piece]:
    """The daemon's own SRT, subtitle by subtitle, each with its number."""
    second = timedelta(seconds=1)
    for one in srt.parse(text):
        yield Piece(one.start / second, one.end / second, one.to_srt().rstrip("\n") + "\n")


def passage(pieces: Iterable[Piece], from_seconds: float, to_seconds: float, most: int) -> Passage:
    """The whole pieces of that time, `most` characters of them.

    Raises ValueError, with the length of the first piece, where not even that one fits.
    """
    taken: list[Piece] = []
    length = 0
    for piece in pieces:
        if piece.end <= from_seconds or piece.start >= to_seconds:
            continue
        length += len(piece.shown) + 1
        if length - 1 > most:
            if not taken:
                raise ValueError(len(piece.shown))
            # Up to the next millisecond, so that what was shown is not shown again.
            return Passage(_joined(taken), math.ceil(taken[-1].end * 1000) / 1000)
        taken.append(piece)
    return Passage(_joined(taken), None)


def _joined(pieces: Iterable[Piece]) -> str:
    return "\n".join(piece.shown for piece in pieces)


def folded(text: str) -> str:
    """For comparing: without case and without accents."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in apart if not unicodedata.combining(letter))


def holds(text: str, words: Sequence[str]) -> bool:
    """Whether all the words, each `folded`, stand in the text, in any order."""
    compared = folded(text)
    return all(word in compared for word in words)


def hits(segments: Sequence[Segment], words: Sequence[str]) -> Iterator[tuple[float, str]]:
    """Start and text of each segment with all the words, and of two neighbours that only have them together."""
    alone = [holds(segment.text, words) for segment in segments]
    for (here, one), (there, next_one) in pairwise([*zip(alone, segments, strict=True), (True, None)]):
        if here and one is not None:
            yield one.start, one.text
        elif not there and one is not None and next_one is not None:
            both = f"{one.text} {next_one.text}"
            if holds(both, words):
                yield one.start, both


def clock(seconds: float) -> str:
    """`0:07:31`."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
