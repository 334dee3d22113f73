"""A queue of chunks: lanes decode groups of them in parallel, and the results come out in the recording's order.

Runs in: worker. For an engine whose result does not depend on the batch: then grouping cannot change its text.

The caller's thread finds the chunks and yields the results while the lanes compute in their own threads: a free lane
takes what waits, and none is idle before the last groups. Only the caller's thread reports progress.
"""

import bisect
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field

from workers.engine import Chunk, RawSegment, TranscribedChunks, never
from workers.text.decode_quality import DecodedChunk, Remainder
from workers.whisperx.lanes import Pace, next_group

MOST_WAITING = 16
"""Waiting chunks: enough for most to be grouped with others of their length; 2 MB of sound each."""
MOST_OPEN = 2 * MOST_WAITING
"""Chunks found and not yielded yet. A lane that hangs on the oldest one stops the others too, and so is noticed."""

ReportProgress = Callable[[], None]
"""Reports progress from a lane; raises RequestEnded if the request has ended."""
DecodeGroup = Callable[[Sequence[Remainder], ReportProgress], Sequence[DecodedChunk]]
"""Parts in windows of one length → their decodings. Called in a lane's thread."""
LaneEvents = queue.SimpleQueue[Future[Sequence[DecodedChunk]] | None]
"""A lane's finished group, or None for progress."""


class RequestEnded(Exception):
    """The request has ended; a lane's current group is not needed."""


class ChunkQueue:
    """Which chunks wait, which are being decoded, and which are ready. Independent of threads."""

    def __init__(self, window_of: Callable[[Chunk], int], most_together: int) -> None:
        """`window_of`: the length of a chunk's window."""
        self._window_of = window_of
        self._most_together = most_together
        self._waiting: list[Remainder] = []
        self._open: dict[int, _Open] = {}
        self._added = 0

    @property
    def has_room(self) -> bool:
        """Whether to find more chunks."""
        return len(self._waiting) < MOST_WAITING and len(self._open) < MOST_OPEN

    def add(self, chunk: Chunk) -> None:
        """Adds the next chunk of the recording."""
        self._open[self._added] = _Open(chunk)
        self._wait(Remainder(self._added, chunk))
        self._added += 1

    def take(self, lanes: int, pace: Pace, more_to_come: bool) -> list[Remainder]:
        """The next group for a free lane; empty: nothing waits."""
        windows = [self._window_of(part.sound) for part in self._waiting]
        places = next_group(windows, lanes, pace.size(self._most_together), more_to_come)
        group = [self._waiting[place] for place in places]
        self._waiting = [part for place, part in enumerate(self._waiting) if place not in places]
        return group

    def finish(self, part: Remainder, decoding: DecodedChunk) -> None:
        """A lane has decoded this part. What Whisper left out waits again, ahead of all later chunks."""
        chunk = self._open[part.number]
        chunk.segments += decoding.segments
        if decoding.rest is None:
            chunk.is_done = True
        else:  # strictly shorter: a decoding that would not advance has no rest
            self._wait(Remainder(part.number, decoding.rest))

    def ready(self) -> TranscribedChunks:
        """The oldest chunks that are completely decoded, each once."""
        ready: TranscribedChunks = []
        for number in list(self._open):
            if not self._open[number].is_done:
                break
            done = self._open.pop(number)
            ready.append((done.chunk, done.segments))
        return ready

    def _wait(self, part: Remainder) -> None:
        if len(part.sound.audio):
            bisect.insort(self._waiting, part, key=lambda one: one.number)
        else:
            self._open[part.number].is_done = True


@dataclass(slots=True)
class _Open:
    """A chunk that has not been yielded yet."""

    chunk: Chunk
    segments: list[RawSegment] = field(default_factory=list)
    is_done: bool = False


def decode_in_lanes(
    chunks: Iterator[Chunk],
    waiting: ChunkQueue,
    lanes: int,
    threads: Executor,
    decode: DecodeGroup,
    alive: ReportProgress,
    is_pausing: Callable[[], bool] = never,
) -> Iterator[TranscribedChunks]:
    """Every chunk with its segments, in order, as soon as it and all before it are done.

    `chunks`, `alive` and `is_pausing` are called only in this thread. Their exceptions, and those of a lane,
    propagate. While `is_pausing`, the lanes begin nothing, and what is ready is yielded, even nothing, as soon as one
    is idle; the others finish what they have.
    """
    news: LaneEvents = queue.SimpleQueue()
    at_work: dict[Future[Sequence[DecodedChunk]], tuple[list[Remainder], float | None]] = {}
    given_up = threading.Event()

    def beat() -> None:
        if given_up.is_set():
            raise RequestEnded
        news.put(None)

    pace, more_to_come = Pace(), True
    try:
        while True:
            pausing = is_pausing()
            while not pausing and len(at_work) < lanes and (group := waiting.take(lanes, pace, more_to_come)):
                future = threads.submit(decode, group, beat)
                at_work[future] = group, time.monotonic()
                future.add_done_callback(news.put)
            looks_for_more = not pausing and more_to_come and waiting.has_room
            if looks_for_more:
                if (chunk := next(chunks, None)) is None:
                    more_to_come = False
                else:
                    waiting.add(chunk)
            elif not at_work and not pausing:
                return
            for done in _arrived(news, wait=not looks_for_more and (not pausing or len(at_work) == lanes)):
                alive()
                if done is not None:
                    group, began = at_work.pop(done)
                    if began is not None:
                        pace = pace.after(len(group), time.monotonic() - began)
                    for part, decoding in zip(group, done.result(), strict=True):
                        waiting.finish(part, decoding)
            if pausing and len(at_work) == lanes:
                continue
            if (ready := waiting.ready()) or pausing:
                yield ready
            if pausing:
                # How long the others took is not known after a pause.
                at_work = {future: (group, None) for future, (group, _) in at_work.items()}
    finally:
        given_up.set()


def _arrived(news: LaneEvents, wait: bool) -> Iterator[Future[Sequence[DecodedChunk]] | None]:
    """All news from the lanes; if there is none, waits for the next: the deadline is the worker's watchdog."""
    while True:
        try:
            yield news.get(block=wait)
        except queue.Empty:
            return
        wait = False
