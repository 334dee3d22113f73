"""asyncio's threads, all started in advance, and threads for work on a disk that may never answer.

Runs in: supervisor.

asyncio starts threads on demand. At the system's thread limit, to_thread would raise an error that no caller could
handle; so the daemon starts all of them at its start, or refuses to start.

They are few and are joined at exit: a few calls that hang on a dead network disk would block all of them. So such
work is detached: it runs in a separate thread, which no caller has to wait for. An idle thread waits a while for more
work, because starting a thread blocks the event loop until the thread runs.
"""

import asyncio
import errno
import os
import queue
import sys
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

LONGEST_LOOK_SECONDS = 10.0
"""Deadline of a disk while a client waits for the reply."""

IDLE_SECONDS = 10.0
"""How long an idle thread waits for work."""

Answer = TypeVar("Answer")
Inbox = queue.SimpleQueue[Callable[["Inbox"], None]]
"""One thread's queue: its next work, which is called with this queue."""
_IDLE: deque[Inbox] = deque()
"""The inboxes of idle threads, the longest idle first."""
THREADS = min(32, (os.cpu_count() or 1) + 4)
"""The same number as asyncio's default."""


def run_detached(work: Callable[[], Answer]) -> asyncio.Future[Answer]:
    """A future of `work`'s result or exception; OSError: no thread can be started.

    Cancelling only stops the waiting: the thread continues until its work ends.
    """
    answer: Future[Answer] = Future()

    def run(inbox: Inbox) -> None:
        tell: partial[None] | None = None
        if answer.set_running_or_notify_cancel():
            try:
                tell = partial(answer.set_result, work())
            except BaseException as error:  # noqa: BLE001 - carried to the caller, as an executor does
                tell = partial(answer.set_exception, error)
        # Before the result is set: its reader may submit more work, which this thread can take.
        _IDLE.append(inbox)
        if tell is not None:
            tell()

    try:
        _IDLE.pop().put(run)
    except IndexError:
        try:
            threading.Thread(target=_live, args=(run,), name="disk", daemon=True).start()
        except RuntimeError as none_left:
            # The caller treats it like any other, possibly temporary, error of a disk.
            answer.set_exception(OSError(errno.EAGAIN, str(none_left)))
    return asyncio.wrap_future(answer)


def _live(run: Callable[[Inbox], None]) -> None:
    inbox: Inbox = queue.SimpleQueue()
    while True:
        run(inbox)
        del run  # and with it the result, while the thread is idle
        try:
            run = inbox.get(timeout=IDLE_SECONDS)
        except queue.Empty:
            try:
                _IDLE.remove(inbox)
            except ValueError:
                run = inbox.get()  # it was removed from the list just now: work is coming
            else:
                return


class TooFewThreads(Exception):
    """The system's thread limit is reached."""


def preallocated_pool() -> ThreadPoolExecutor:
    """Raises TooFewThreads where the system's limit is lower."""
    executor = ThreadPoolExecutor(THREADS, thread_name_prefix="asyncio")
    all_there = threading.Barrier(THREADS + 1)
    try:
        for _ in range(THREADS):
            executor.submit(all_there.wait)
        all_there.wait()
    except RuntimeError as refused:
        all_there.abort()  # otherwise the started threads would wait for the others forever
        raise TooFewThreads(
            f"{refused}: {THREADS} are needed; end other programs of this user, or raise the limit (ulimit -u)"
        ) from refused
    return executor


def wait_for_children_without_threads() -> None:
    """On the running loop, as Python 3.12 does: 3.11 would start a thread for each child, and raise if it cannot."""
    if sys.version_info < (3, 12) and hasattr(os, "pidfd_open"):
        watcher = asyncio.PidfdChildWatcher()
        watcher.attach_loop(asyncio.get_running_loop())
        asyncio.set_child_watcher(watcher)
