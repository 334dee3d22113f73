"""uvicorn inside our own event loop: peer check, deadlines for requests, and a stop that never hangs.

Runs in: supervisor.
"""

import asyncio
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import cast

import h11
import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from ipc.api_messages import Problem
from supervisor.api.dialects import PROBLEM_JSON, UPLOAD_PATHS
from supervisor.api.peer_process import peer_at
from supervisor.api.unix_socket import peer_may_enter

MOST_CONNECTIONS = 64
"""Including event streams. A further one replaces the oldest idle one; if none is idle, it gets 503."""
MOST_NETWORK_CONNECTIONS = 256
"""Over TCP, where slow uploads and programs that keep connections open are usual."""
UPLOAD_SILENCE_SECONDS = 30.0
"""An upload that sends nothing for this long is given up."""
HEADERS_LIMIT_BYTES = 64 * 1024
REQUEST_SECONDS = 8.0
"""From a connection, or a request's first byte, to the request's last."""
IDLE_SECONDS = 30
"""How long a connection between two requests is kept."""
LINGER_SECONDS = 1.0
"""How long a refused client may take to read the reason. Closing immediately, with the request unread, would reset
the connection and lose our response."""
GRACE_SECONDS = 1
"""How long responses in progress may continue at stop."""

log = structlog.get_logger()


class Connection(H11Protocol):
    """uvicorn's connection with a peer check and deadlines.

    Adds to uvicorn 0.54: the peer check, a deadline for the whole request (its own timers start only after the first
    response), a connection limit that counts connections without a request and that incomplete requests cannot
    exhaust, problem+json throughout.
    """

    most_connections = MOST_CONNECTIONS
    _late: asyncio.TimerHandle | None = None
    _turned_away = False
    _waits_since = 0.0
    """When it connected, or began its newest request; the loop's seconds."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        if not self.peer_may_enter(transport):
            log.warning("peer_refused")
            self._turn_away(Problem(status=403, code="not_yours", detail="this daemon serves its owner", hint="none"))
        elif len(self.connections) > self.most_connections and not self._somebody_made_room():
            log.warning("connection_refused", connections=len(self.connections))
            self._turn_away(
                Problem(
                    status=503,
                    code="too_many_connections",
                    detail=f"{self.most_connections} connections are open",
                    hint="close some, and retry",
                )
            )
        else:
            self._await_request()

    def data_received(self, data: bytes) -> None:
        if self._turned_away:
            return
        super().data_received(data)
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._stop_waiting()
        elif self.conn.their_state is h11.SEND_BODY and self._is_upload:
            # A recording of hours takes longer than any request of ours; what must not be is silence.
            self._stop_waiting()
            self._await_request(UPLOAD_SILENCE_SECONDS)
        else:
            self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        self._turn_away(Problem(status=400, code="bad_request", detail=msg, hint="speak HTTP/1.1"))

    def peer_may_enter(self, transport: asyncio.Transport) -> bool:
        """Whether this client is served at all."""
        raise NotImplementedError

    @property
    def _is_upload(self) -> bool:
        return self.cycle is not None and self.cycle.scope["path"] in UPLOAD_PATHS

    @property
    def _is_asking(self) -> bool:
        """Whether a complete request waits for the end of its response; an event stream always does."""
        return self._late is None and self.cycle is not None and not self.cycle.response_complete

    def _somebody_made_room(self) -> bool:
        """Closes the oldest connection without a complete request, incomplete requests before idle connections."""
        others = (cast(Connection, one) for one in self.connections if one is not self)
        silent = [one for one in others if not (one._is_asking or one._turned_away)]
        if not silent:
            return False
        oldest = min(silent, key=lambda one: (one._late is None, one._waits_since))
        log.debug("connection_dropped", connections=len(self.connections))
        oldest._turned_away = True
        oldest.transport.abort()
        return True

    def _await_request(self, seconds: float | None = None) -> None:
        if self._late is None:
            self._waits_since = self.loop.time()
            self._late = self.loop.call_later(seconds or REQUEST_SECONDS, self._request_is_late)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _request_is_late(self) -> None:
        self._late = None
        if self.cycle is None or self.cycle.response_complete:
            detail = f"no complete request within {REQUEST_SECONDS:g} s"
            self._turn_away(Problem(status=408, code="too_slow", detail=detail, hint="send it at once"))
        else:
            self.transport.abort()  # its endpoint already waits for the body and sees the disconnect

    def _turn_away(self, problem: Problem) -> None:
        """Responds without the application, stops reading and closes."""
        self._stop_waiting()
        self._turned_away = True
        body = problem.model_dump_json().encode()
        headers = {"content-type": PROBLEM_JSON, "content-length": str(len(body)), "connection": "close"}
        answer = (
            h11.Response(status_code=problem.status, headers=list(headers.items())),
            h11.Data(data=body),
            h11.EndOfMessage(),
        )
        with suppress(h11.LocalProtocolError):  # part of a response is sent: closing ends it
            for event in answer:
                self.transport.write(self.conn.send(event) or b"")
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._late = self.loop.call_later(LINGER_SECONDS, self.transport.abort)


class OwnersConnection(Connection):
    """Over the Unix socket: the client's process must be our user's."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        self.app_state = {**self.app_state, "peer": peer_at(transport.get_extra_info("socket"))}
        super().connection_made(transport)

    def peer_may_enter(self, transport: asyncio.Transport) -> bool:
        return peer_may_enter(transport.get_extra_info("socket"))


class NetworkConnection(Connection):
    """Over TCP: each request is admitted by its headers."""

    most_connections = MOST_NETWORK_CONNECTIONS

    def peer_may_enter(self, transport: asyncio.Transport) -> bool:
        return True


class QuietServer(uvicorn.Server):
    """uvicorn without signal handlers, and without its polling ten times a second."""

    def __init__(self, config: uvicorn.Config, stop: asyncio.Event) -> None:
        super().__init__(config)
        self.stop = stop

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """The daemon handles signals itself."""
        yield

    async def main_loop(self) -> None:
        """uvicorn.Server.main_loop, but waits for an event instead of polling."""
        await self.on_tick(0)
        await self.stop.wait()


async def serve(app: ASGIApp, listener: socket.socket, *, stop: asyncio.Event) -> None:
    """Serves on `listener` until `stop` is set, then returns within 2 s, even with clients connected.

    Event streams end at `app.state.stop`; other responses have GRACE_SECONDS. Afterwards a Unix socket's file is
    removed.
    """
    path = Path(os.fsdecode(listener.getsockname())) if listener.family == socket.AF_UNIX else None
    config = uvicorn.Config(
        app,
        http=NetworkConnection if path is None else OwnersConnection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        h11_max_incomplete_event_size=HEADERS_LIMIT_BYTES,
    )
    server = QuietServer(config, stop)
    try:
        await server.serve(sockets=[listener])
    finally:
        for connection in list(server.server_state.connections):
            cast(Connection, connection).transport.abort()
        listener.close()
        if path is not None:
            # No other process can have created a socket there: the daemon's lock is still held.
            path.unlink(missing_ok=True)
