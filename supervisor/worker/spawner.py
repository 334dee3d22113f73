"""The one thread from which workers are started and reaped.

Runs in: supervisor.

Linux sends a child its parent-death signal when the *thread* that spawned it ends, so this thread never ends while
there are children. multiprocessing's start may hang when the child crashes early (cpython#118981). Then the hung
thread stays alive for the children that it spawned, and a new thread takes over.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Result = TypeVar("Result")


class Spawner:
    """Runs calls one after the other in a thread that outlives every child. One for the whole supervisor."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        """The current thread; replaced ones hang in a call, or wait for the process to end."""
        self._hire()

    async def call(
        self, work: Callable[[], Result], deadline_seconds: float, *, undo: Callable[[], None] | None = None
    ) -> Result:
        """Returns the result of `work()`, run in the thread. Raises TimeoutError, and what `work` raises.

        After the deadline or a cancel, `undo` runs as soon as `work` is done, if it finishes.
        """
        future: Future[Result] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(work())
            except Exception as error:  # noqa: BLE001  it is raised in the caller
                future.set_exception(error)

        self._calls.put(run)
        try:
            async with asyncio.timeout(deadline_seconds):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            # No thread could be started: the calls wait behind this one until a later call starts a thread.
            with contextlib.suppress(RuntimeError):
                self._hire()
            self._afterwards(future, undo)
            raise
        except asyncio.CancelledError:
            self._afterwards(future, undo)
            raise

    def close(self) -> None:
        """End the thread. Call it only when no child is left: the system would kill a child with the thread."""
        self._calls.put(None)

    def _hire(self) -> None:
        threading.Thread(target=self._work, name="spawner", daemon=True).start()

    def _work(self) -> None:
        # The thread registers itself before its first call. If `_hire` did it after the start, the new thread could
        # run first and take itself for the replaced one.
        self._thread = threading.current_thread()
        while (call := self._calls.get()) is not None:
            call()
            if threading.current_thread() is not self._thread:
                # Replaced while it hung. Its children live as long as it does, so it waits for the process to end.
                threading.Event().wait()

    def _afterwards(self, future: "Future[Result]", undo: Callable[[], None] | None) -> None:
        if undo is not None:
            future.add_done_callback(lambda _: undo())
