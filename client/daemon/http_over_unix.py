"""One HTTP exchange over the daemon's Unix socket, with the standard library alone.

Runs in: the user's shell. An HTTP library takes longer to load than the daemon takes to answer, by a hundred times.
"""

import errno
import math
import os
import socket
import stat
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from types import MappingProxyType

FIRST_ERROR = 400
FULL_BACKLOG_SECONDS = 1.0
"""How long a daemon with a full backlog is tried again: it accepts all of them in that time."""
BETWEEN_TRIES_SECONDS = 0.02
"""Nothing wakes a client when there is room again."""


class NobodyListens(Exception):
    """No connection: there is no socket, no process behind it, or the way to it is closed."""


class LineBroke(Exception):
    """The other end went away in the middle of an answer, or does not speak HTTP."""


class LineSilent(Exception):
    """The other end is there and does not say anything."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The whole of an answer."""

    status: int
    body: bytes
    leads_on: bool = False
    """Whether this is a page, and another one follows."""

    @property
    def is_error(self) -> bool:
        return self.status >= FIRST_ERROR


NO_HEADERS: Mapping[str, str] = MappingProxyType({})


def ask(
    path: Path,
    method: str,
    url: str,
    body: bytes | None,
    patience_seconds: float,
    headers: Mapping[str, str] = NO_HEADERS,
) -> Answer:
    """Raises NobodyListens, LineBroke, and LineSilent after `patience_seconds`."""
    with closing(_SocketConnection(path, patience_seconds)) as connection, _trouble_named():
        return _whole(_answered(connection, method, url, body, headers))


@contextmanager
def listen(
    path: Path, url: str, patience_seconds: float, silence_seconds: float, for_seconds: float = math.inf
) -> Iterator[Answer | Iterator[bytes]]:
    """What a stream of server-sent events says, event by event; or the answer that refuses it. Raises as `ask`.

    The stream ends when the other end closes it or `for_seconds` are over, and is given up after `silence_seconds`,
    heartbeats counted.
    """
    ends_at = time.monotonic() + for_seconds
    with closing(_SocketConnection(path, patience_seconds)) as connection:
        with _trouble_named():
            connection.connect()
            line = connection.sock
            response = _answered(connection, "GET", url, None)
            refusal = _whole(response) if response.status >= FIRST_ERROR else None
        with closing(response):
            yield events_in(_lines(response, line, silence_seconds, ends_at)) if refusal is None else refusal


def events_in(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The data of each event of a `text/event-stream`; an event that was not finished is none.

    https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
    """
    data: list[bytes] = []
    for line in lines:
        field, _, value = line.rstrip(b"\r\n").partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif not field and not value and data:
            # An empty line ends an event; with a colon it was a comment, which is how a heartbeat looks.
            yield b"\n".join(data)
            data = []


def connected(path: Path, patience_seconds: float, platform: str = sys.platform) -> socket.socket:
    """A connection to the daemon, tried again for as long as its backlog may be full.

    Raises NobodyListens, TimeoutError, and LineSilent where the backlog stays full.
    """
    gives_up_at = time.monotonic() + FULL_BACKLOG_SECONDS
    while True:
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        line.settimeout(patience_seconds)
        try:
            line.connect(os.fspath(path))
        except TimeoutError:
            line.close()
            raise
        except OSError as error:
            line.close()
            if not _may_be_full(error, path, platform):
                raise NobodyListens(str(error)) from error
            if time.monotonic() >= gives_up_at:
                if error.errno == errno.EAGAIN:
                    raise LineSilent("its backlog of connections is full") from error
                raise NobodyListens(str(error)) from error
            time.sleep(BETWEEN_TRIES_SECONDS)
        else:
            return line


def _may_be_full(error: OSError, path: Path, platform: str) -> bool:
    """Linux has an error of its own for a full backlog; macOS refuses, as where no process listens any more."""
    if error.errno == errno.EAGAIN:
        return True
    try:
        return platform == "darwin" and error.errno == errno.ECONNREFUSED and stat.S_ISSOCK(path.lstat().st_mode)
    except OSError:
        return False


class _SocketConnection(HTTPConnection):
    """HTTP to a path instead of a host."""

    def __init__(self, path: Path, patience_seconds: float) -> None:
        super().__init__("steno", timeout=patience_seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = connected(self._path, self.timeout or FULL_BACKLOG_SECONDS)


def _answered(
    connection: HTTPConnection, method: str, url: str, body: bytes | None, headers: Mapping[str, str] = NO_HEADERS
) -> HTTPResponse:
    # A connection for each exchange: an idle one would be closed by the daemon after seconds.
    connection.request(method, url, body, {"Connection": "close", "Content-Type": "application/json", **headers})
    return connection.getresponse()


def _whole(response: HTTPResponse) -> Answer:
    with closing(response):
        return Answer(response.status, response.read(), "next" in response.headers.get("Link", ""))


def _lines(
    response: HTTPResponse, connection: socket.socket, silence_seconds: float, ends_at: float
) -> Iterator[bytes]:
    while (left_seconds := ends_at - time.monotonic()) > 0:
        connection.settimeout(min(silence_seconds, left_seconds))
        try:
            # Around the reading alone: what goes wrong where an event is dealt with is not the line's fault.
            with _trouble_named():
                line = response.readline()
        except LineSilent:
            if time.monotonic() >= ends_at:
                return
            raise
        if not line:
            return
        yield line


@contextmanager
def _trouble_named() -> Iterator[None]:
    try:
        yield
    except TimeoutError as silent:
        raise LineSilent(str(silent)) from silent
    except (HTTPException, OSError) as broken:
        raise LineBroke(str(broken)) from broken
