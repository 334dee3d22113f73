"""glibc's heap, told to keep what an engine frees until it rests: the next step wants as much again.

Runs in: worker. Stands alone: it knows of no engine.

Left to itself, glibc asks the kernel for every buffer above 32 MB and gives it back once it is freed, page by page:
whisper base spent a third of its encoder's time on that, for attention takes 70 MB in each layer. And with arenas of
their own, threads would each keep as much (https://man7.org/linux/man-pages/man3/mallopt.3.html).
"""

import ctypes
import sys

import psutil

M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8
"""malloc.h."""
NEVER = 2**31 - 1
KEPT_BYTES = 128 * 1024 * 1024
"""A worker at rest keeps no more than this: what a memo needs. Given back, a tenth of its time would go into asking
for it again."""


class Heap:
    """The memory of one worker. Does nothing where the system's allocator is another one, as on macOS."""

    def __init__(self) -> None:
        """Before the engine's threads begin."""
        self._libc = _glibc()
        self._needed_bytes = 0
        if self._libc is not None:
            for name, value in ((M_ARENA_MAX, 1), (M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, NEVER)):
                self._libc.mallopt(name, value)

    def give_back(self) -> None:
        """All that is free. Once an engine is loaded: reading a model takes more than it keeps."""
        if self._libc is not None:
            self._libc.malloc_trim(0)
            self._needed_bytes = resident_bytes()

    def rest(self) -> None:
        """Between jobs: a few milliseconds, if there is much to give back."""
        # Not what glibc calls free: that counts pages which the kernel has long had back.
        if self._libc is not None and resident_bytes() - self._needed_bytes > KEPT_BYTES:
            self.give_back()


def resident_bytes() -> int:
    """What this process has in memory."""
    return int(psutil.Process().memory_info().rss)


def _glibc() -> ctypes.CDLL | None:
    libc = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None  # musl has neither
