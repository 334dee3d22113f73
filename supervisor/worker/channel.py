"""The supervisor's end of a worker's pipe: two threads, so that no worker can block the event loop.

Runs in: supervisor.

One thread reads, because a worker that stops in the middle of a frame blocks its reader. One thread writes, because
the pipe of a stopped worker fills. Both end when the worker closes its end of the pipe.
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

Argument = TypeVar("Argument")

UNREAD_FRAMES = 16
"""Back-pressure: frames read from the pipe before a caller receives them. Beyond that the worker has to wait."""


class WorkerChannel:
    """Its methods and the callbacks `received` and `ended` run on the event loop."""

    def __init__(
        self,
        connection: Connection,
        name: str,
        received: Callable[[FromWorker], None],
        ended: Callable[[BadFrame | None], None],
    ) -> None:
        """`received` gets each frame in order. `ended` is called last, with the invalid frame if that was the reason.

        Raises RuntimeError when a thread cannot be started; a thread that was started ends with the connection.
        """
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self._received = received
        self._ended = ended
        self._slots = threading.Semaphore(UNREAD_FRAMES)
        self._outbox: queue.SimpleQueue[ToWorker | None] = queue.SimpleQueue()
        self._threads = 0
        self._discarding = False
        for work in (self._read, self._write):
            threading.Thread(target=work, name=name, daemon=True).start()
            self._threads += 1

    def send(self, message: ToWorker) -> None:
        """Hand it to the writing thread: never blocks, and says nothing of arrival."""
        self._outbox.put(message)

    def acknowledge(self) -> None:
        """A caller has received a frame: the reader may take another from the pipe."""
        self._slots.release()

    def shutdown(self) -> None:
        """No caller receives frames any longer: end both threads, even if a process keeps the other end open."""
        self._discarding = True
        self._slots.release()
        if self._connection.closed:
            return
        with socket.socket(fileno=os.dup(self._connection.fileno())) as pipe_end:
            try:
                pipe_end.shutdown(socket.SHUT_RDWR)
            except OSError:
                # The other side has closed it already.
                return

    def _read(self) -> None:
        fault = None
        try:
            while True:
                frame = receive(self._connection, FROM_WORKER)
                if not self._discarding:
                    self._slots.acquire()
                    self._call_on_loop(self._received, frame)
        except PipeClosed:
            pass
        except BadFrame as bad:
            fault = bad
        self._call_on_loop(self._reading_ended, fault)

    def _write(self) -> None:
        try:
            while (message := self._outbox.get()) is not None:
                send(self._connection, message)
        except PipeClosed:
            # The reading thread reports it; unsent messages are lost with the worker.
            pass
        self._call_on_loop(self._thread_ended, None)

    def _call_on_loop(self, listener: Callable[[Argument], None], argument: Argument) -> None:
        try:
            self._loop.call_soon_threadsafe(listener, argument)
        except RuntimeError:
            # The loop is closed: the supervisor is exiting.
            return

    def _reading_ended(self, fault: BadFrame | None) -> None:
        self._ended(fault)
        self._outbox.put(None)
        self._thread_ended(None)

    def _thread_ended(self, _: None) -> None:
        self._threads -= 1
        if self._threads == 0:
            # Only after both threads: otherwise one could read or write another file that got the same descriptor
            # number.
            self._connection.close()
