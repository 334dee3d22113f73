"""What a test must not leave behind: children, zombies, descriptors, threads, temporary files.

Runs in: the test process.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path

import psutil
from eventually import eventually


def children() -> list[psutil.Process]:
    """Children of this process, zombies included, except multiprocessing's tracker, which stays on purpose."""
    tracker = getattr(resource_tracker._resource_tracker, "_pid", None)
    return [child for child in psutil.Process().children(recursive=True) if child.pid != tracker]


def lives(process: psutil.Process) -> bool:
    """False for a zombie too: an orphan is for init to reap, whenever that finds the time."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def open_descriptors() -> int:
    return psutil.Process().num_fds()


def worker_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("worker-")]


@contextmanager
def no_leftovers(folder: Path | None = None) -> Iterator[None]:
    """Everything that the block starts is gone soon after it; in `folder`, no half-written file is left."""
    before = {child.pid for child in children()}
    yield
    eventually(lambda: {child.pid for child in children()} <= before, 5.0, "a child is left")
    eventually(lambda: not worker_threads(), 5.0, "a worker's thread is left")
    if folder is not None:
        kept = [name for _, _, names in os.walk(folder) for name in names if name.endswith((".part", ".tmp"))]
        assert kept == []
