"""asyncio's threads, all there before anybody needs one.

Runs in: supervisor.

asyncio hires them one by one as work comes. Where the system allows no more, to_thread would raise what nobody at
work on a job or a folder could know how to answer; so a daemon has them from its start, or does not start.
"""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

THREADS = min(32, (os.cpu_count() or 1) + 4)
"""As many as asyncio itself would come to have."""


def hired_threads() -> ThreadPoolExecutor:
    """Raises RuntimeError where there cannot be so many."""
    executor = ThreadPoolExecutor(THREADS, thread_name_prefix="asyncio")
    all_there = threading.Barrier(THREADS + 1)
    try:
        for _ in range(THREADS):
            executor.submit(all_there.wait)
        all_there.wait()
    except RuntimeError:
        all_there.abort()  # or those that are there would wait for the others, and nobody could leave
        raise
    return executor
