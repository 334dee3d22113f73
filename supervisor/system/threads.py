"""asyncio's threads, all there before anybody needs one, and none where it can do without.

Runs in: supervisor.

asyncio hires them one by one as work comes. Where the system allows no more, to_thread would raise what nobody at
work on a job or a folder could know how to answer; so a daemon has them from its start, or does not start.
"""

import asyncio
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

THREADS = min(32, (os.cpu_count() or 1) + 4)
"""As many as asyncio itself would come to have."""


class TooFewThreads(Exception):
    """The system allows this user or machine no more."""


def hired_threads() -> ThreadPoolExecutor:
    """Raises TooFewThreads where there cannot be so many."""
    executor = ThreadPoolExecutor(THREADS, thread_name_prefix="asyncio")
    all_there = threading.Barrier(THREADS + 1)
    try:
        for _ in range(THREADS):
            executor.submit(all_there.wait)
        all_there.wait()
    except RuntimeError as refused:
        all_there.abort()  # or those that are there would wait for the others, and nobody could leave
        raise TooFewThreads(
            f"{refused}: {THREADS} are needed; end other programs of this user, or raise the limit (ulimit -u)"
        ) from refused
    return executor


def wait_for_children_without_threads() -> None:
    """On the running loop, as Python 3.12 does by itself: 3.11 would hire a thread for each child, and raise where
    there is none."""
    if sys.version_info < (3, 12) and hasattr(os, "pidfd_open"):
        watcher = asyncio.PidfdChildWatcher()
        watcher.attach_loop(asyncio.get_running_loop())
        asyncio.set_child_watcher(watcher)
