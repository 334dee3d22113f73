"""Files on their way here: how far each is, room on the disk, and when to give up on a line that keeps breaking.

Runs in: worker.
"""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from workers.engine import EngineRefusal

LOOK_SECONDS = 0.2
"""How often a file that a library's code writes is looked at."""
TRIES_WITHOUT_A_BYTE = 4
"""A connection that breaks is opened again for as long as it brings something."""
PAUSE_SECONDS = 1.0
"""Before it is opened again."""


class Progressed(Protocol):
    """Is told how far a file is."""

    def __call__(self, file: str, done_bytes: int, total_bytes: int | None) -> None: ...


class RetryBudget:
    """Counts the tries that brought nothing."""

    def __init__(self, sleep: Callable[[float], None]) -> None:
        self._sleep = sleep
        self._in_vain = 0

    def may_try_again(self, brought_bytes: int) -> bool:
        """After a broken connection: waits a moment and says whether to open it again."""
        self._in_vain = 0 if brought_bytes > 0 else self._in_vain + 1
        if self._in_vain >= TRIES_WITHOUT_A_BYTE:
            return False
        self._sleep(PAUSE_SECONDS)
        return True


@contextmanager
def watched(size_now: Callable[[], int], told: Callable[[int], None]) -> Iterator[None]:
    """Tells the size whenever it has changed, from a thread of its own, for as long as the block runs."""
    over = threading.Event()

    def look() -> None:
        before = -1
        while not over.wait(LOOK_SECONDS):
            if (now := size_now()) != before:
                before = now
                _tell_or_leave(told, now)

    looking = threading.Thread(target=look, name="arrival", daemon=True)
    looking.start()
    try:
        yield
    finally:
        over.set()
        looking.join()


def _tell_or_leave(told: Callable[[int], None], now: int) -> None:
    try:
        told(now)
    except BrokenPipeError:
        # The command that asked for this is gone, and the main thread may sit in a socket for long. What has come
        # is on the disk.
        os._exit(os.EX_IOERR)


def room_for(folder: Path, coming_bytes: int, floor_bytes: int) -> None:
    """Raises EngineRefusal `disk_full` if so much more would leave less than `floor_bytes` on the folder's disk."""
    there = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
    free = shutil.disk_usage(there).free
    if coming_bytes + floor_bytes > free:
        raise EngineRefusal(
            "disk_full",
            f"{coming_bytes / 1e6:.0f} MB are to come and {free / 1e6:.0f} MB are free at {there}, of which "
            f"{floor_bytes / 1e6:.0f} MB are to stay free",
            "make room; `steno models list` shows what could go (`steno models remove NAME`)",
        )
