"""What the command reads from a daemon's socket, whole, torn and silent.

Runs in: the test process.
"""

import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from client.daemon.http_over_unix import Answer, LineBroke, LineSilent, NobodyListens, ask, events_in, listen

STREAM = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@contextmanager
def somebody_says(said: bytes, *, stays: bool = False) -> Iterator[Path]:
    """A socket whose other end answers the first question with these bytes, then hangs up unless it `stays`."""
    over = threading.Event()
    with tempfile.TemporaryDirectory(prefix="steno-", dir="/tmp") as folder, socket.socket(socket.AF_UNIX) as door:
        path = Path(folder) / "s"
        door.bind(str(path))
        door.listen()

        def answer() -> None:
            with door.accept()[0] as line:
                line.recv(65_536)
                line.sendall(said)
                if stays:
                    over.wait(10)

        somebody = threading.Thread(target=answer)
        somebody.start()
        try:
            yield path
        finally:
            over.set()
            somebody.join()


def chunk(text: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(text), text)


def test_an_event_is_its_data_and_comments_and_unfinished_events_are_none() -> None:
    said = b": still here\n\nevent: job\ndata: {}\n\ndata: one\r\ndata:two\r\n\r\ndata: unfinished\n"
    assert list(events_in(said.splitlines(keepends=True))) == [b"{}", b"one\ntwo"]


def test_a_stream_is_read_event_by_event_and_ends_where_it_is_closed() -> None:
    said = STREAM + chunk(b"data: a\n") + chunk(b"\ndata: b\n\n") + chunk(b"")
    with somebody_says(said) as path, listen(path, "/", 5, 5) as heard:
        assert not isinstance(heard, Answer)
        assert list(heard) == [b"a", b"b"]


def test_a_stream_that_is_torn_gives_what_was_whole_and_then_says_so() -> None:
    with somebody_says(STREAM + chunk(b"data: a\n\n") + b"9\r\ndat") as path, listen(path, "/", 5, 5) as heard:
        assert not isinstance(heard, Answer)
        assert next(heard) == b"a"
        with pytest.raises(LineBroke):
            next(heard)


def test_a_stream_that_falls_silent_is_given_up() -> None:
    with somebody_says(STREAM + chunk(b"data: a\n\n"), stays=True) as path, listen(path, "/", 5, 0.05) as heard:
        assert not isinstance(heard, Answer)
        assert next(heard) == b"a"
        with pytest.raises(LineSilent):
            next(heard)


def test_what_goes_wrong_with_an_event_is_not_the_lines_fault() -> None:
    with (
        somebody_says(STREAM + chunk(b"data: a\n\n") + chunk(b"")) as path,
        pytest.raises(BrokenPipeError),
        listen(path, "/", 5, 5),
    ):
        raise BrokenPipeError("stdout is gone")


def test_a_refused_stream_gives_the_refusal() -> None:
    with somebody_says(b"HTTP/1.1 404 No\r\ncontent-length: 2\r\n\r\n{}") as path, listen(path, "/", 5, 5) as heard:
        assert heard == Answer(404, b"{}")


@pytest.mark.parametrize("said", [b"", b"hello\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"])
def test_what_is_no_whole_answer_is_none(said: bytes) -> None:
    with somebody_says(said) as path, pytest.raises(LineBroke):
        ask(path, "GET", "/", None, 5)


def test_an_answer_that_does_not_come_is_not_waited_for() -> None:
    with somebody_says(b"", stays=True) as path, pytest.raises(LineSilent):
        ask(path, "GET", "/", None, 0.05)


def test_where_there_is_no_socket_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(NobodyListens):
        ask(tmp_path / "none", "GET", "/", None, 5)
