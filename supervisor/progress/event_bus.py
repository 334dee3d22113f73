"""Publish and subscribe: events from the daemon's parts to the socket's clients.

Runs in: supervisor.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from ipc.events import DaemonEvent, JobChanged, JobProgressed

BACKLOG = 1000
"""The queue of a slow subscriber, in events. If it is full, the stream ends; the client reconnects and reads the
state again."""


class _Listener:
    def __init__(self, job_id: int | None) -> None:
        self.job_id = job_id
        self.events: asyncio.Queue[DaemonEvent | None] = asyncio.Queue(BACKLOG)

    def wants(self, event: DaemonEvent) -> bool:
        if self.job_id is None:
            return True
        match event:
            case JobChanged(job=job):
                return job.id == self.job_id
            case JobProgressed(running=running):
                return running.id == self.job_id
            case _:
                return False


class EventBus:
    """Publishing never waits, and never fails because of a slow client."""

    def __init__(self) -> None:
        self._listeners: set[_Listener] = set()

    def publish(self, event: DaemonEvent) -> None:
        """Sends the event to every subscriber that wants it."""
        for listener in list(self._listeners):
            if not listener.wants(event):
                continue
            try:
                listener.events.put_nowait(event)
            except asyncio.QueueFull:
                self._end(listener)

    def close(self) -> None:
        """Ends every stream: the daemon stops."""
        for listener in list(self._listeners):
            self._end(listener)

    @asynccontextmanager
    async def subscribe(self, job_id: int | None = None) -> AsyncGenerator[AsyncIterator[DaemonEvent], None]:
        """Events from this moment on, of one job or of everything; the iterator ends when the bus closes."""
        listener = _Listener(job_id)
        self._listeners.add(listener)
        try:
            yield self._stream(listener)
        finally:
            self._listeners.discard(listener)

    def _end(self, listener: _Listener) -> None:
        self._listeners.discard(listener)
        if listener.events.full():
            listener.events.get_nowait()
        listener.events.put_nowait(None)

    @staticmethod
    async def _stream(listener: _Listener) -> AsyncIterator[DaemonEvent]:
        while (event := await listener.events.get()) is not None:
            yield event
