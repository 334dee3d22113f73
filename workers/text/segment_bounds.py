"""The bounds of segments: Whisper's timestamps in order, a little wider, and long enough for their text.

Runs in: worker.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from workers.engine import Chunk, RawSegment

WIDEN_SECONDS = 0.2
"""How far a segment grows into the silence beside it. Measured: growing over a neighbour, or moving the bound to the
quietest moment nearby, gives worse word times than Whisper's own bounds."""
FASTEST_CHARACTERS_A_SECOND = 30.0
"""No person speaks faster (rapid speech has about 20); a faster segment has wrong bounds."""


def widen(segments: Sequence[RawSegment], chunk: Chunk) -> list[RawSegment]:
    """The same text in order, inside the chunk, without overlaps, each segment up to 0.2 s wider.

    Drops segments without a letter or digit: Whisper writes lone full stops and notes (♪) for hiss and music.

    A segment too short for its text is joined with a neighbour: its words could not be timed otherwise.
    """
    said = [replace(one, text=one.text.strip()) for one in segments if says_something(one.text)]
    return joined(grown(in_order(said, chunk), chunk), chunk)


def says_something(text: str) -> bool:
    return any(character.isalnum() for character in text)


def in_order(segments: Sequence[RawSegment], chunk: Chunk) -> list[RawSegment]:
    """Clipped to the chunk, and none begins before the one ahead of it has ended."""
    free_from = chunk.start
    orderly: list[RawSegment] = []
    for one in segments:
        start = min(max(one.start, free_from), chunk.end)
        free_from = min(max(one.end, start), chunk.end)
        orderly.append(replace(one, start=start, end=free_from))
    return orderly


def grown(segments: Sequence[RawSegment], chunk: Chunk) -> list[RawSegment]:
    """Wider by at most WIDEN_SECONDS on either side and half the gap to the neighbour."""
    starts = [max(one.start - WIDEN_SECONDS, chunk.start) for one in segments]
    ends = [min(one.end + WIDEN_SECONDS, chunk.end) for one in segments]
    for before, (one, following) in enumerate(pairwise(segments)):
        middle = (one.end + following.start) / 2
        ends[before] = min(ends[before], middle)
        starts[before + 1] = max(starts[before + 1], middle)
    return [replace(one, start=start, end=end) for one, start, end in zip(segments, starts, ends, strict=True)]


def joined(segments: Sequence[RawSegment], chunk: Chunk) -> list[RawSegment]:
    """Joins each segment that is too short for its text with the one ahead, or the first one with the next."""
    wholes: list[RawSegment] = []
    for one in segments:
        if wholes and (too_short(one) or too_short(wholes[-1])):
            wholes[-1] = together(wholes[-1], one)
        else:
            wholes.append(one)
    if len(wholes) == 1 and too_short(wholes[0]):
        return [replace(wholes[0], start=chunk.start, end=chunk.end)]
    return wholes


def together(one: RawSegment, following: RawSegment) -> RawSegment:
    """Both texts as one segment, with the probabilities of the first: Whisper judges a window as a whole."""
    return replace(one, end=following.end, text=f"{one.text} {following.text}")


def too_short(segment: RawSegment) -> bool:
    return len(segment.text) > FASTEST_CHARACTERS_A_SECOND * (segment.end - segment.start)
