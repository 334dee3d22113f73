"""What the command reads from a daemon's socket, whole, torn and silent.

Runs in: the test process.
"""

import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from client.daemon import http_over_unix
from client.daemon.http_over_unix import (
    Answer,
    LineBroke,
    LineSilent,
    NobodyListens,
    ask,
    connected,
    events_in,
    listen,
)

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


@contextmanager
def full_backlog() -> Iterator[tuple[Path, socket.socket]]:
    """A listener with no room for another connection, and what takes the waiting ones."""
    with tempfile.TemporaryDirectory(prefix="steno-", dir="/tmp") as folder, ExitStack() as crowd:
        path = Path(folder) / "s"
        door = crowd.enter_context(socket.socket(socket.AF_UNIX))
        door.bind(str(path))
        door.listen(0)
        for _ in range(3):
            waiting = crowd.enter_context(socket.socket(socket.AF_UNIX))
            waiting.setblocking(False)
            with suppress(BlockingIOError, ConnectionRefusedError):
                waiting.connect(str(path))
        yield path, door


def test_a_daemon_with_a_full_backlog_is_tried_again_and_not_taken_for_none() -> None:
    with full_backlog() as (path, door):

        def make_room() -> None:
            door.settimeout(1.0)
            with suppress(TimeoutError):
                while True:
                    door.accept()[0].close()

        later = threading.Timer(0.2, make_room)
        later.start()
        connected(path, 5.0).close()
        later.join()


def test_a_backlog_that_stays_full_is_a_daemon_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_over_unix, "FULL_BACKLOG_SECONDS", 0.1)
    with full_backlog() as (path, _), pytest.raises((LineSilent, NobodyListens)):  # the latter on a Mac
        ask(path, "GET", "/", None, 5.0)


def test_on_a_mac_a_refusal_may_mean_a_full_backlog_while_there_is_a_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_over_unix, "FULL_BACKLOG_SECONDS", 0.2)
    with tempfile.TemporaryDirectory(prefix="steno-", dir="/tmp") as folder:
        path = Path(folder) / "s"
        with socket.socket(socket.AF_UNIX) as left_behind:
            left_behind.bind(str(path))
        # Nothing listens: the Mac cannot know and tries for its while, Linux knows at once.
        for platform, least, most in (("darwin", 0.2, 5.0), ("linux", 0.0, 0.2)):
            began = time.monotonic()
            with pytest.raises(NobodyListens):
                connected(path, 5.0, platform)
            assert least <= time.monotonic() - began < most
        listener = socket.socket(socket.AF_UNIX)

        def begin_to_listen() -> None:
            listener.bind(f"{path}.new")
            listener.listen()
            Path(f"{path}.new").rename(path)

        monkeypatch.setattr(http_over_unix, "FULL_BACKLOG_SECONDS", 5.0)
        later = threading.Timer(0.2, begin_to_listen)
        later.start()
        with listener:
            connected(path, 5.0, "darwin").close()
            later.join()
    began = time.monotonic()
    with pytest.raises(NobodyListens):
        connected(tmp_path / "none", 5.0, "darwin")
    assert time.monotonic() - began < 2.0


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


def test_a_stream_that_is_wanted_for_a_while_ends_quietly_when_that_is_over() -> None:
    said = STREAM + chunk(b"data: a\n\n")
    began = time.monotonic()
    with somebody_says(said, stays=True) as path, listen(path, "/", 5, 5, for_seconds=0.2) as heard:
        assert not isinstance(heard, Answer)
        assert list(heard) == [b"a"]
        assert 0.2 <= time.monotonic() - began < 2
