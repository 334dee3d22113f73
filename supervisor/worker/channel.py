"""The supervisor's end of a worker's pipe: two threads, so that no worker can hold up the event loop.

Runs in: supervisor.

One thread reads, for a worker stopped in the middle of a frame would stop its reader with it; one writes, for the
pipe of a stopped worker fills. Both end by themselves when the other side is gone.
"""

import asyncio
import os
import queue
import socket
import threading
from collections.abc import Callable
from typing import TypeVar

from ipc.pipe import BadFrame, Connection, PipeClosed, receive, send
from ipc.worker_messages import FROM_WORKER, FromWorker, ToWorker

Told = TypeVar("Told")

UNREAD_FRAMES = 16
"""Frames taken from the pipe before a caller asked for them; beyond that the worker has to wait."""


class WorkerChannel:
    """Used from the event loop only. `heard` and `ended` are called there."""

    def __init__(
        self,
        connection: Connection,
        name: str,
        heard: Callable[[FromWorker], None],
        ended: Callable[[BadFrame | None], None],
    ) -> None:
        """`heard` gets each frame in order, `ended` comes last, with what was no message if that was the reason.

        Raises RuntimeError where no thread is to be had; one that was had ends with the connection.
        """
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self._heard = heard
        self._ended = ended
        self._slots = threading.Semaphore(UNREAD_FRAMES)
        self._outbox: queue.SimpleQueue[ToWorker | None] = queue.SimpleQueue()
        self._threads = 0
        self._unheard = False
        for work in (self._read, self._write):
            threading.Thread(target=work, name=name, daemon=True).start()
            self._threads += 1

    def send(self, message: ToWorker) -> None:
        """Hand it to the writing thread: never blocks, and says nothing of arrival."""
        self._outbox.put(message)

    def acknowledge(self) -> None:
        """A frame was asked for: there is room for another."""
        self._slots.release()

    def shutdown(self) -> None:
        """No caller asks for frames any more: the threads may end, even if a process holds the other side."""
        self._unheard = True
        self._slots.release()
        if self._connection.closed:
            return
        with socket.socket(fileno=os.dup(self._connection.fileno())) as line:
            try:
                line.shutdown(socket.SHUT_RDWR)
            except OSError:
                # Already shut from the other side.
                return

    def _read(self) -> None:
        fault = None
        try:
            while True:
                frame = receive(self._connection, FROM_WORKER)
                if not self._unheard:
                    self._slots.acquire()
                    self._tell(self._heard, frame)
        except PipeClosed:
            pass
        except BadFrame as bad:
            fault = bad
        self._tell(self._reading_ended, fault)

    def _write(self) -> None:
        try:
            while (message := self._outbox.get()) is not None:
                send(self._connection, message)
        except PipeClosed:
            # Its reader knows; what was not sent is lost with the worker.
            pass
        self._tell(self._thread_ended, None)

    def _tell(self, listener: Callable[[Told], None], what: Told) -> None:
        try:
            self._loop.call_soon_threadsafe(listener, what)
        except RuntimeError:
            # The loop is closed: the supervisor is leaving.
            return

    def _reading_ended(self, fault: BadFrame | None) -> None:
        self._ended(fault)
        self._outbox.put(None)
        self._thread_ended(None)

    def _thread_ended(self, _: None) -> None:
        self._threads -= 1
        if self._threads == 0:
            # Not before: a thread must never read or write what has taken over the number.
            self._connection.close()
