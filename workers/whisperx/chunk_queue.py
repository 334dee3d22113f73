"""Chunks wait in a line, lanes hear groups of them side by side, and what was heard is told in the recording's order.

Runs in: worker. For an engine to which company does not matter: then nothing here can change a letter of its text.

The caller's thread finds the chunks and tells what was heard while the lanes, in threads of their own, compute: one
that is free takes what waits, and none is idle before the last groups. Only the caller's thread shows life.
"""

import bisect
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field

from workers.engine import Chunk, RawSegment, TranscribedChunk
from workers.text.decode_quality import DecodedChunk, Remainder
from workers.whisperx.lanes import Pace, next_group

LONGEST_LINE = 16
"""Chunks that wait: so many that most find company of their own length; 2 MB of sound each."""
MOST_OPEN = 2 * LONGEST_LINE
"""Chunks found and not told yet. A lane that is stuck on the oldest one stops the others too, and so is noticed."""

Beat = Callable[[], None]
"""A sign of life from a lane; raises GivenUp if no caller waits any more."""
Hear = Callable[[Sequence[Remainder], Beat], Sequence[DecodedChunk]]
"""Stretches in windows of one length → what was heard of each. Called in a lane's thread."""
News = queue.SimpleQueue[Future[Sequence[DecodedChunk]] | None]
"""A lane is done, or (None) shows life."""


class GivenUp(Exception):
    """The request is over; what a lane still had in hand is not wanted."""


class ChunkLine:
    """Who waits, who is heard, and what is ready to be told. Knows nothing of threads."""

    def __init__(self, window_of: Callable[[Chunk], int], most_together: int) -> None:
        """`window_of`: the length of the window in which a chunk is heard."""
        self._window_of = window_of
        self._most_together = most_together
        self._waiting: list[Remainder] = []
        self._open: dict[int, _Open] = {}
        self._added = 0

    @property
    def has_room(self) -> bool:
        """Whether more chunks should be looked for."""
        return len(self._waiting) < LONGEST_LINE and len(self._open) < MOST_OPEN

    def add(self, chunk: Chunk) -> None:
        """The next chunk of the recording."""
        self._open[self._added] = _Open(chunk)
        self._wait(Remainder(self._added, chunk))
        self._added += 1

    def take(self, lanes: int, pace: Pace, more_to_come: bool) -> list[Remainder]:
        """What a free lane hears next; empty: nothing waits."""
        windows = [self._window_of(stretch.sound) for stretch in self._waiting]
        places = next_group(windows, lanes, pace.size(self._most_together), more_to_come)
        group = [self._waiting[place] for place in places]
        self._waiting = [stretch for place, stretch in enumerate(self._waiting) if place not in places]
        return group

    def segments(self, stretch: Remainder, decoding: DecodedChunk) -> None:
        """A lane is through with it. What Whisper left out waits again, ahead of all that is younger."""
        chunk = self._open[stretch.number]
        chunk.segments += decoding.segments
        if decoding.rest is None:
            chunk.is_done = True
        else:  # strictly shorter: a decoding that would not advance has no rest
            self._wait(Remainder(stretch.number, decoding.rest))

    def ready(self) -> TranscribedChunk:
        """The oldest chunks that are heard to their end, each once."""
        told: TranscribedChunk = []
        for number in list(self._open):
            if not self._open[number].is_done:
                break
            done = self._open.pop(number)
            told.append((done.chunk, done.segments))
        return told

    def _wait(self, stretch: Remainder) -> None:
        if len(stretch.sound.audio):
            bisect.insort(self._waiting, stretch, key=lambda one: one.number)
        else:
            self._open[stretch.number].is_done = True


@dataclass(slots=True)
class _Open:
    """A chunk that is not told yet."""

    chunk: Chunk
    segments: list[RawSegment] = field(default_factory=list)
    is_done: bool = False


def hear_in_lanes(
    chunks: Iterator[Chunk], line: ChunkLine, lanes: int, threads: Executor, hear: Hear, alive: Beat
) -> Iterator[TranscribedChunk]:
    """Every chunk with what was heard in it, in order, as soon as it and all before it are done.

    `chunks` and `alive` are called in this thread alone. What they raise, and what a lane raises, passes through.
    """
    news: News = queue.SimpleQueue()
    at_work: dict[Future[Sequence[DecodedChunk]], tuple[list[Remainder], float]] = {}
    given_up = threading.Event()

    def beat() -> None:
        if given_up.is_set():
            raise GivenUp
        news.put(None)

    pace, more_to_come = Pace(), True
    try:
        while True:
            while len(at_work) < lanes and (group := line.take(lanes, pace, more_to_come)):
                future = threads.submit(hear, group, beat)
                at_work[future] = group, time.monotonic()
                future.add_done_callback(news.put)
            looks_for_more = more_to_come and line.has_room
            if looks_for_more:
                if (chunk := next(chunks, None)) is None:
                    more_to_come = False
                else:
                    line.add(chunk)
            elif not at_work:
                return
            for done in _arrived(news, wait=not looks_for_more):
                alive()
                if done is not None:
                    group, began = at_work.pop(done)
                    pace = pace.after(len(group), time.monotonic() - began)
                    for stretch, decoding in zip(group, done.result(), strict=True):
                        line.segments(stretch, decoding)
            if told := line.ready():
                yield told
    finally:
        given_up.set()


def _arrived(news: News, wait: bool) -> Iterator[Future[Sequence[DecodedChunk]] | None]:
    """All that has come from the lanes, and if there is nothing the next: its deadline is the worker's watchdog."""
    while True:
        try:
            yield news.get(block=wait)
        except queue.Empty:
            return
        wait = False
