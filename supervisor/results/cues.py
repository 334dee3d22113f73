"""A transcript cut into readable subtitle cues: two short lines, a few seconds, cut between words. Pure.

Runs in: supervisor.

The ends of cues are chosen for a whole segment together, so that no cue is left with one word too short to read. When
a cue leaves the screen also depends on the next one.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from math import inf

from ipc.transcript import Segment
from supervisor.results.cue_pieces import LINE_COLUMNS, WIDE_LINE_COLUMNS, Piece, pieces_of

LINES = 2
LONGEST_CUE_SECONDS = 7.0
SHORTEST_CUE_SECONDS = 0.8
"""The shortest display of a cue, unless the next one comes."""
CHARACTERS_A_SECOND = 20
"""Reading speed: a cue that is spoken faster stays until it can be read, unless the next one comes."""
LEAST_GAP_SECONDS = 0.08
"""A shorter gap between two cues would flicker: the first stays until the second comes."""
LONG_PAUSE_SECONDS = 1.5
"""After a silence like this a new cue begins."""
SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？", "؟", "।", "۔", "։", "።")
CLAUSE_ENDS = (",", ";", ":", "、", "，", "；", "：", "،", "؛", "–", "—")
CLOSING_QUOTES = "\"'”’»›)]」』）】"

FILLED_SECONDS = LONGEST_CUE_SECONDS - LEAST_GAP_SECONDS
"""The longest speech in a cue: closing a gap may make the cue longer."""
POOR_CUE_COST = 6.0
POOR_LINE_COST = 3.0
"""Cost of a cue or a line that begins where none should, for example in the middle of a long word. Others cost 1 to
5."""


@dataclass(frozen=True, slots=True)
class Cue:
    """What the screen shows at one time."""

    start_ms: int
    """Milliseconds from the start of the recording, the precision of the files."""
    end_ms: int
    """After `start_ms`, and never after the start of the next."""
    lines: tuple[tuple[Piece, ...], ...]
    """One or two lines, each with at least one piece."""

    @property
    def characters(self) -> int:
        """The text in one line."""
        return sum(len(piece.text) + piece.spaced for line in self.lines for piece in line) - self.lines[0][0].spaced

    @property
    def has_word_times(self) -> bool:
        return self.lines[0][0].word is not None


def cues_of(segments: Iterable[Segment], duration_seconds: float = inf) -> Iterator[Cue]:
    """One or more cues for each segment, in order; the recording lasts `duration_seconds`.

    Each has at most two lines of 42 characters, or of 16 with a Chinese, Japanese or Korean one, and at most 7 s of
    speech. Unless the next one comes, it stays for 0.8 s and until it can be read. Cues never overlap.
    """
    held: Cue | None = None
    for cue in _as_said(segments):
        if held is not None:
            # Segments may touch or overlap by a rounding error: keep the order.
            start_ms = max(cue.start_ms, held.start_ms + 1)
            cue = replace(cue, start_ms=start_ms, end_ms=max(cue.end_ms, start_ms + 1))
            yield _shown_until(held, start_ms)
        held = cue
    if held is not None:
        yield _shown_to_the_end(held, duration_seconds)


def _shown_until(cue: Cue, next_ms: int) -> Cue:
    """The cue with the display time that it needs and the next one allows."""
    end_ms = min(max(cue.end_ms, _readable_by(cue)), cue.start_ms + round(FILLED_SECONDS * 1000), next_ms)
    if next_ms - end_ms < LEAST_GAP_SECONDS * 1000:
        end_ms = next_ms
    return replace(cue, end_ms=end_ms)


def _shown_to_the_end(cue: Cue, duration_seconds: float) -> Cue:
    """The last cue. It outlasts the recording only if it would not be visible otherwise: subtitles must not extend a
    film."""
    least_ms = max(cue.end_ms, cue.start_ms + round(SHORTEST_CUE_SECONDS * 1000))
    wished_ms = max(least_ms, int(min(_readable_by(cue), duration_seconds * 1000)))
    return replace(cue, end_ms=min(wished_ms, cue.start_ms + round(FILLED_SECONDS * 1000)))


def _readable_by(cue: Cue) -> int:
    seconds = max(SHORTEST_CUE_SECONDS, cue.characters / CHARACTERS_A_SECOND)
    return cue.start_ms + round(seconds * 1000)


def _as_said(segments: Iterable[Segment]) -> Iterator[Cue]:
    """The cues with the times of their speech."""
    held: list[Piece] = []
    for pieces in filter(None, map(pieces_of, segments)):
        if held:
            yield from _Cutting(held, pieces[0].start).cues()
        held = pieces
    if held:
        yield from _Cutting(held, inf).cues()


class _Cutting:
    """Cuts one segment's pieces into cues."""

    def __init__(self, pieces: Sequence[Piece], next_start: float) -> None:
        self._pieces = pieces
        self._next_start = next_start
        """Start of the next segment, in seconds."""
        self._columns = [0, *accumulate(len(piece.text) + piece.spaced for piece in pieces)]
        self._wide = [0, *accumulate(piece.is_wide for piece in pieces)]
        self._line_end = self._line_ends()
        """By a line's first piece: the index after its last piece if the line is filled."""
        good = [index if piece.begins_well else 0 for index, piece in enumerate(pieces)]
        self._last_good = list(accumulate(good, max))
        """By piece: the last one up to it with which a line may begin."""

    def cues(self) -> Iterator[Cue]:
        """Returns at least one cue; together they contain all pieces."""
        for begin, end in self._cheapest():
            pieces = self._pieces[begin:end]
            start_ms = round(pieces[0].start * 1000)
            end_ms = max(round(max(piece.end for piece in pieces) * 1000), start_ms + 1)
            yield Cue(start_ms, end_ms, tuple(_joined(line) for line in self._lines(begin, end)))

    def _line_ends(self) -> list[int]:
        ends: list[int] = []
        end = 0
        for begin in range(len(self._pieces)):
            end = max(end, begin + 1)  # one piece always fits: it is the smallest unit
            while end < len(self._pieces) and self._fits(begin, end + 1):
                end += 1
            ends.append(end)
        return ends

    def _fits(self, begin: int, end: int) -> bool:
        """Whether these pieces fit into one line."""
        most = WIDE_LINE_COLUMNS if self._wide[end] > self._wide[begin] else LINE_COLUMNS
        return self._characters(begin, end) <= most

    def _characters(self, begin: int, end: int) -> int:
        return self._columns[end] - self._columns[begin] - self._pieces[begin].spaced

    def _cheapest(self) -> Iterator[tuple[int, int]]:
        """The split into cues with the lowest total cost."""
        count = len(self._pieces)
        cost = [0.0] * (count + 1)
        chosen = [count] * (count + 1)
        for begin in reversed(range(count)):
            cost[begin] = inf
            for end in self._possible_ends(begin):
                price = self._price(begin, end) + cost[end]
                if price < cost[begin]:
                    cost[begin], chosen[begin] = price, end
        begin = 0
        while begin < count:
            yield begin, chosen[begin]
            begin = chosen[begin]

    def _possible_ends(self, begin: int) -> Iterator[int]:
        """Where a cue that begins here may end: within two lines, the longest cue, and before a long pause."""
        pieces = self._pieces
        first_line = self._line_end[begin]
        most = first_line if first_line == len(pieces) else self._line_end[first_line]
        until = pieces[begin].end
        for end in range(begin + 1, most + 1):
            until = max(until, pieces[end - 1].end)
            if end > begin + 1 and until - pieces[begin].start > FILLED_SECONDS:
                return
            yield end
            if end < len(pieces) and pieces[end].start - until >= LONG_PAUSE_SECONDS:
                return

    def _price(self, begin: int, end: int) -> float:
        """The cost of a cue of these pieces; 1 is for each cue."""
        pieces = self._pieces
        is_last = end == len(pieces)
        shown = (self._next_start if is_last else pieces[end].start) - pieces[begin].start
        characters = self._characters(begin, end)
        price = 1.0 + 0.3 * (1 - min(characters / (LINES * LINE_COLUMNS), 1)) ** 2
        if not is_last:
            price += _price_of_end(pieces[end - 1], pieces[end])
        if shown < SHORTEST_CUE_SECONDS:
            price += 2 * (1 - max(shown, 0.0) / SHORTEST_CUE_SECONDS)
        if characters > CHARACTERS_A_SECOND * shown:
            price += min(characters / max(CHARACTERS_A_SECOND * shown, 1) - 1, 2)
        line_end = self._line_end[begin]
        if end > line_end:
            best = self._last_good[line_end]
            price += 0 if best > begin and self._line_end[best] >= end else POOR_LINE_COST
        return price

    def _lines(self, begin: int, end: int) -> list[Sequence[Piece]]:
        """One line, or two of similar length that begin where a line may."""
        pieces = self._pieces
        if end <= self._line_end[begin]:
            return [pieces[begin:end]]

        def price(at: int) -> float:
            uneven = abs(self._characters(begin, at) - self._characters(at, end)) / LINE_COLUMNS
            closes = pieces[at - 1].text.rstrip(CLOSING_QUOTES).endswith(SENTENCE_ENDS + CLAUSE_ENDS)
            return uneven - 0.3 * closes + (0 if pieces[at].begins_well else POOR_LINE_COST)

        breaks = range(begin + 1, self._line_end[begin] + 1)
        at = min((at for at in breaks if self._line_end[at] >= end), key=price)
        return [pieces[begin:at], pieces[at:end]]


def _price_of_end(last: Piece, following: Piece) -> float:
    """The cost of ending a cue between these two."""
    price = 0.0 if following.begins_well else POOR_CUE_COST
    text = last.text.rstrip(CLOSING_QUOTES)
    if text.endswith(SENTENCE_ENDS) or following.start - last.end >= LONG_PAUSE_SECONDS:
        return price
    return price + (0.4 if text.endswith(CLAUSE_ENDS) else 1.0)


def _joined(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    """Joins the parts of one word within a line."""
    joined: list[Piece] = []
    for piece in pieces:
        if joined and joined[-1].token == piece.token:
            joined[-1] = replace(joined[-1], text=joined[-1].text + piece.text, end=piece.end)
        else:
            joined.append(piece)
    return tuple(joined)
