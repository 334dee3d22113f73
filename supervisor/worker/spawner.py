"""The one thread from which workers are started and reaped.

Runs in: supervisor.

Linux sends a child its parent-death signal when the *thread* that spawned it ends, so this one never does while there
are children. multiprocessing's start may hang when the child dies early (cpython#118981): then the thread is left to
it, alive for the sake of the others it spawned, and a new one takes over.
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
        """The one that serves; others hang in a call, or wait for the process to end."""
        self._hire()

    async def call(
        self, work: Callable[[], Result], deadline_seconds: float, *, undo: Callable[[], None] | None = None
    ) -> Result:
        """What `work()` gives, off the loop. Raises TimeoutError, and what `work` raises.

        When no caller waits any more, after its deadline or a cancel, `undo` follows as soon as `work` is
        done, should it ever be.
        """
        future: Future[Result] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(work())
            except Exception as error:  # noqa: BLE001  it belongs to the caller, and is handed over
                future.set_exception(error)

        self._calls.put(run)
        try:
            async with asyncio.timeout(deadline_seconds):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            # No thread to be had: the calls stand behind this one until one of them finds another.
            with contextlib.suppress(RuntimeError):
                self._hire()
            self._afterwards(future, undo)
            raise
        except asyncio.CancelledError:
            self._afterwards(future, undo)
            raise

    def close(self) -> None:
        """Let the thread end. Only when no child is left: those that are would be killed with it."""
        self._calls.put(None)

    def _hire(self) -> None:
        threading.Thread(target=self._work, name="spawner", daemon=True).start()

    def _work(self) -> None:
        # It takes over before its first call: its caller may not even know yet that it runs, and by
        # a name given later it would take itself for the one that was replaced.
        self._thread = threading.current_thread()
        while (call := self._calls.get()) is not None:
            call()
            if threading.current_thread() is not self._thread:
                # Replaced while it hung. Its children live as long as it does, so it waits for the process to end.
                threading.Event().wait()

    def _afterwards(self, future: "Future[Result]", undo: Callable[[], None] | None) -> None:
        if undo is not None:
            future.add_done_callback(lambda _: undo())
