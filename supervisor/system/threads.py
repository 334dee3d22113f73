"""asyncio's threads, all started in advance, and threads for work on a disk that may never answer.

Runs in: supervisor.

asyncio starts threads one by one as work comes. At the system's limit to_thread would raise what no
caller at work on a job or a folder could answer; so a daemon has them from its start, or does not start.

They are few and are joined at exit: a handful of calls stuck on a dead network disk would take all of them. So such
work is detached: in a thread of its own, which no caller has to wait for. A thread whose work is done waits a while
for more: starting one holds up the event loop until that had its turn.
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
"""A disk that takes longer is not there for a client that waits for the answer."""

IDLE_SECONDS = 10.0
"""How long an idle thread waits for work."""

Answer = TypeVar("Answer")
Inbox = queue.SimpleQueue[Callable[["Inbox"], None]]
"""Of one thread: its next work, which is told whose it is."""
_IDLE: deque[Inbox] = deque()
"""The inboxes of those that wait, the one that waits longest first."""
THREADS = min(32, (os.cpu_count() or 1) + 4)
"""As many as asyncio itself would come to have."""


def run_detached(work: Callable[[], Answer]) -> asyncio.Future[Answer]:
    """What `work` returns or raises, once it does; OSError where there is no thread for it.

    To cancel is to stop waiting: the thread ends when its work does.
    """
    answer: Future[Answer] = Future()

    def run(inbox: Inbox) -> None:
        tell: partial[None] | None = None
        if answer.set_running_or_notify_cancel():
            try:
                tell = partial(answer.set_result, work())
            except BaseException as error:  # noqa: BLE001 - carried to the caller, as an executor does
                tell = partial(answer.set_exception, error)
        # Before the answer, whose reader may have more to do for this very thread.
        _IDLE.append(inbox)
        if tell is not None:
            tell()

    try:
        _IDLE.pop().put(run)
    except IndexError:
        try:
            threading.Thread(target=_live, args=(run,), name="disk", daemon=True).start()
        except RuntimeError as none_left:
            # For the caller it is one more thing that a disk may say, and may not say the next time.
            answer.set_exception(OSError(errno.EAGAIN, str(none_left)))
    return asyncio.wrap_future(answer)


def _live(run: Callable[[Inbox], None]) -> None:
    inbox: Inbox = queue.SimpleQueue()
    while True:
        run(inbox)
        del run  # and with it the answer, while the thread waits
        try:
            run = inbox.get(timeout=IDLE_SECONDS)
        except queue.Empty:
            try:
                _IDLE.remove(inbox)
            except ValueError:
                run = inbox.get()  # taken from the list in this very moment
            else:
                return


class TooFewThreads(Exception):
    """The system's limit of threads is reached."""


def preallocated_pool() -> ThreadPoolExecutor:
    """Raises TooFewThreads where the system's limit is lower."""
    executor = ThreadPoolExecutor(THREADS, thread_name_prefix="asyncio")
    all_there = threading.Barrier(THREADS + 1)
    try:
        for _ in range(THREADS):
            executor.submit(all_there.wait)
        all_there.wait()
    except RuntimeError as refused:
        all_there.abort()  # or those that are there would wait for the others, and none could leave
        raise TooFewThreads(
            f"{refused}: {THREADS} are needed; end other programs of this user, or raise the limit (ulimit -u)"
        ) from refused
    return executor


def wait_for_children_without_threads() -> None:
    """On the running loop, as Python 3.12 does: 3.11 would hire a thread for each child, and raise where
    there is none."""
    if sys.version_info < (3, 12) and hasattr(os, "pidfd_open"):
        watcher = asyncio.PidfdChildWatcher()
        watcher.attach_loop(asyncio.get_running_loop())
        asyncio.set_child_watcher(watcher)
