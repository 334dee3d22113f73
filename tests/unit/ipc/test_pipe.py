"""Frames: whole or refused, whatever comes out of the pipe.

Runs in: the test process.
"""

import os
from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import pytest
from hypothesis import given
from hypothesis import strategies as any_

from ipc.pipe import BadFrame, PipeClosed, receive, send
from ipc.transcript import Segment, Word
from ipc.worker_messages import (
    FRAME_LIMIT_BYTES,
    FROM_WORKER,
    TO_WORKER,
    Align,
    Cancel,
    Progress,
    SegmentsTranscribed,
    Stop,
    WordsAligned,
)

WORD = Word(word="naïve", start=0.1, end=0.4, score=0.9)
SEGMENT = Segment(id=3, start=0.1, end=2.0, text="a naïve \u2028 line", timing="word", words=(WORD,))


@pytest.fixture
def pipe() -> Iterator[tuple[Connection, Connection]]:
    ours, theirs = Pipe()
    yield ours, theirs
    for end in (ours, theirs):
        end.close()


Ends = tuple[Connection, Connection]


@pytest.mark.parametrize(
    "message",
    [
        Progress(request_id=None, phase="loading"),
        SegmentsTranscribed(request_id=1, segments=(SEGMENT,), done_seconds=2.0),
        WordsAligned(request_id=2, words={3: (WORD,)}),
    ],
    ids=lambda message: message.kind,
)
def test_what_a_worker_says_arrives_as_it_was(pipe: Ends, message: SegmentsTranscribed) -> None:
    send(pipe[0], message)
    assert receive(pipe[1], FROM_WORKER) == message


@pytest.mark.parametrize("message", [Stop(), Cancel(request_id=9)], ids=lambda message: message.kind)
def test_what_a_worker_is_told_arrives_as_it_was(pipe: Ends, message: Stop) -> None:
    send(pipe[0], message)
    assert receive(pipe[1], TO_WORKER) == message


def test_a_hundred_segments_fit_one_frame(pipe: Ends) -> None:
    request = Align(request_id=1, pcm_path="/p", language="en", segments=(SEGMENT,) * 100)
    send(pipe[0], request)
    assert receive(pipe[1], TO_WORKER) == request


def test_a_closed_end_is_a_closed_pipe_for_reader_and_writer(pipe: Ends) -> None:
    pipe[0].close()
    with pytest.raises(PipeClosed):
        receive(pipe[1], FROM_WORKER)
    with pytest.raises(PipeClosed):
        send(pipe[1], Stop())


@pytest.mark.parametrize("torn", [b"\x00", b"\x00\x00\x00\x10", b"\x00\x00\x00\x10{"], ids=["header", "bare", "body"])
def test_a_frame_torn_anywhere_is_a_closed_pipe(pipe: Ends, torn: bytes) -> None:
    os.write(pipe[0].fileno(), torn)
    pipe[0].close()
    with pytest.raises(PipeClosed):
        receive(pipe[1], FROM_WORKER)


@pytest.mark.parametrize("announced", [FRAME_LIMIT_BYTES + 1, 0x7FFFFFFF, 0xFFFFFFF0], ids=hex)
def test_a_frame_announced_too_long_is_refused_unread(pipe: Ends, announced: int) -> None:
    os.write(pipe[0].fileno(), announced.to_bytes(4, "big") + b"x" * 100)
    with pytest.raises(BadFrame):
        receive(pipe[1], FROM_WORKER)


def test_a_message_too_long_is_not_even_sent(pipe: Ends) -> None:
    monster = SEGMENT.model_copy(update={"text": "x" * FRAME_LIMIT_BYTES})
    with pytest.raises(BadFrame):
        send(pipe[0], SegmentsTranscribed(request_id=1, segments=(monster,), done_seconds=2.0))


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"null",
        b"[" * 50_000,
        b'{"kind": "no_such_thing"}',
        b'{"kind": "progress", "request_id": 1, "phase": "napping"}',
        b'{"kind": "progress", "request_id": 1, "phase": "speech", "done_seconds": NaN}',
        b'{"kind": "progress", "request_id": 1, "phase": "speech", "surprise": 1}',
        b'{"kind": "cancel", "request_id": 1}',
        b"\x80\x04\x95cposix\nsystem\n",
    ],
)
def test_what_is_no_message_is_refused(pipe: Ends, frame: bytes) -> None:
    pipe[0].send_bytes(frame)
    with pytest.raises(BadFrame):
        receive(pipe[1], FROM_WORKER)


def test_a_refused_frame_is_not_quoted(pipe: Ends) -> None:
    pipe[0].send_bytes(b'{"kind": "language_found", "request_id": 1, "language": 5, "secret words": "of somebody"}')
    with pytest.raises(BadFrame) as refused:
        receive(pipe[1], FROM_WORKER)
    assert "somebody" not in str(refused.value)


@given(frame=any_.binary(max_size=200))
def test_random_bytes_are_refused_and_never_anything_worse(frame: bytes) -> None:
    ours, theirs = Pipe()
    with ours, theirs:
        ours.send_bytes(frame)
        with pytest.raises(BadFrame):
            receive(theirs, FROM_WORKER)
