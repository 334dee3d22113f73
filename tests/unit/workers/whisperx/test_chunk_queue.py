"""Chunks wait in a line and are heard side by side; what comes of it is whole and in the recording's order."""

import itertools
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.engine import SAMPLE_RATE, Chunk, RawSegment, ignore_progress
from workers.shell.pausing import Border
from workers.text.decode_quality import DecodedChunk, Remainder
from workers.whisperx.chunk_queue import MOST_OPEN, MOST_WAITING, ChunkQueue, ReportProgress, decode_in_lanes
from workers.whisperx.lanes import Pace

LATEST_SECONDS = 20.0


def chunks_of(seconds: Sequence[int]) -> list[Chunk]:
    """One behind the other."""
    ends = itertools.accumulate(seconds)
    return [
        Chunk(end - long, np.ones(long * SAMPLE_RATE, np.float32)) for end, long in zip(ends, seconds, strict=True)
    ]


def line(most: int = 8) -> ChunkQueue:
    return ChunkQueue(lambda chunk: len(chunk.audio), most)


def in_two_parts(stretches: Sequence[Remainder], beat: ReportProgress) -> list[DecodedChunk]:
    """Hears a second of each and leaves the rest for another time."""
    decodings = []
    for stretch in stretches:
        beat()
        sound = stretch.sound
        rest = sound.after(1.0) if sound.end - sound.start > 1.0 else None
        decodings.append(DecodedChunk((RawSegment(sound.start, sound.start + 1.0, f"at {sound.start}"),), rest))
    return decodings


@pytest.fixture(scope="module")
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), max_size=50), st.sampled_from([1, 2]))
def test_every_chunk_is_told_once_in_order_with_all_that_was_heard_in_it(
    threads: ThreadPoolExecutor, seconds: list[int], lanes: int
) -> None:
    chunks = chunks_of(seconds)
    told = [
        one
        for some in decode_in_lanes(iter(chunks), line(), lanes, threads, in_two_parts, ignore_progress)
        for one in some
    ]
    assert [chunk for chunk, _ in told] == chunks
    for chunk, segments in told:
        assert [one.start for one in segments] == [
            chunk.start + second for second in range(int(chunk.end - chunk.start))
        ]


def test_a_chunk_is_told_as_soon_as_it_and_all_before_it_are_heard() -> None:
    waiting = line(most=1)
    for chunk in chunks_of([3, 2, 1]):
        waiting.add(chunk)
    first, second, third = (waiting.take(1, Pace(), more_to_come=True)[0] for _ in range(3))
    waiting.finish(second, DecodedChunk(()))
    assert waiting.ready() == []
    waiting.finish(first, DecodedChunk((), rest=first.sound.after(2.0)))
    assert waiting.ready() == []
    [rest] = waiting.take(1, Pace(), more_to_come=True)
    waiting.finish(rest, DecodedChunk(()))
    assert [chunk for chunk, _ in waiting.ready()] == [first.sound, second.sound]
    waiting.finish(third, DecodedChunk(()))
    assert [chunk for chunk, _ in waiting.ready()] == [third.sound]


def test_what_was_left_out_is_heard_before_what_is_younger() -> None:
    waiting = line(most=1)
    for chunk in chunks_of([3, 3, 3]):
        waiting.add(chunk)
    [first] = waiting.take(2, Pace(), more_to_come=True)
    waiting.finish(first, DecodedChunk((), rest=first.sound.after(1.0)))
    assert waiting.take(2, Pace(), more_to_come=True)[0].number == first.number


def test_a_slow_engine_is_given_one_chunk_at_a_time_and_a_fast_one_all_that_are_alike() -> None:
    for pace, size in ((Pace(), 1), (Pace(30.0), 1), (Pace(0.5), 8)):
        waiting = line()
        for chunk in chunks_of([3] * 10):
            waiting.add(chunk)
        assert len(waiting.take(1, pace, more_to_come=True)) == size


def test_a_lane_that_is_stuck_stops_the_others_in_the_end(threads: ThreadPoolExecutor) -> None:
    looked_for, may_go_on, others_rest = itertools.count(), threading.Event(), threading.Event()
    segments: list[int] = []

    def endless() -> Iterator[Chunk]:
        for number in looked_for:
            yield Chunk(float(number), np.ones(SAMPLE_RATE, np.float32))

    def hear(stretches: Sequence[Remainder], beat: ReportProgress) -> list[DecodedChunk]:
        if stretches[0].number == 0:
            assert may_go_on.wait(LATEST_SECONDS)
        segments.extend(stretch.number for stretch in stretches)
        if len(segments) == MOST_OPEN - 1:
            others_rest.set()
        return [DecodedChunk(()) for _ in stretches]

    told = decode_in_lanes(endless(), line(), 2, threads, hear, ignore_progress)
    listener = threading.Thread(target=lambda: next(told))
    listener.start()
    assert others_rest.wait(LATEST_SECONDS)
    may_go_on.set()
    listener.join(LATEST_SECONDS)
    assert sorted(segments)[:MOST_OPEN] == list(range(MOST_OPEN))
    assert next(looked_for) <= MOST_OPEN + MOST_WAITING
    told.close()  # type: ignore[attr-defined]  # a generator


def test_what_a_lane_raises_and_a_cancelled_request_reach_the_caller_and_end_the_lanes(
    threads: ThreadPoolExecutor,
) -> None:
    def fails(stretches: Sequence[Remainder], beat: ReportProgress) -> list[DecodedChunk]:
        raise MemoryError

    with pytest.raises(MemoryError):
        next(decode_in_lanes(iter(chunks_of([1])), line(), 2, threads, fails, ignore_progress))

    class Cancelled(Exception):
        """Nobody wants it any more."""

    ended: list[BaseException] = []
    has_ended = threading.Event()

    def goes_on(stretches: Sequence[Remainder], beat: ReportProgress) -> list[DecodedChunk]:
        try:
            for _ in iter(int, 1):
                beat()
        except BaseException as end:
            ended.append(end)
            has_ended.set()
            raise
        return []

    def cancelled() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        next(decode_in_lanes(iter(chunks_of([1])), line(), 2, threads, goes_on, cancelled))
    assert has_ended.wait(LATEST_SECONDS)
    assert [type(end).__name__ for end in ended] == ["RequestEnded"]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=40), st.sampled_from([1, 2]))
def test_while_it_pauses_a_lane_is_free_and_afterwards_every_chunk_comes_once(
    threads: ThreadPoolExecutor, seconds: list[int], lanes: int
) -> None:
    class Urgent:
        is_pause_wanted = True

    at_work: list[str] = []
    border = Border(Urgent())  # type: ignore[arg-type]  # all it asks of a pulse

    def hear(stretches: Sequence[Remainder], beat: ReportProgress) -> list[DecodedChunk]:
        at_work.append("begun")
        try:
            return in_two_parts(stretches, beat)
        finally:
            at_work.pop()

    chunks = chunks_of(seconds)
    told: list[Chunk] = []
    pauses = 0
    for some in decode_in_lanes(iter(chunks), line(1), lanes, threads, hear, ignore_progress, border.is_near):
        told += [chunk for chunk, _ in some]
        if border.is_reached(len(some)):
            assert len(at_work) < lanes, "one lane is free for the other recording"
            assert len(told) > pauses, "a chunk lies between two pauses"
            pauses += 1
            border.cross()
    assert told == chunks
    assert pauses >= min(1, len(chunks) - 2 * lanes)
