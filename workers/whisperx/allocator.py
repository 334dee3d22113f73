"""Settings of glibc's heap: keep what an engine frees until its job ends, for the next step needs as much again.

Runs in: worker. Stands alone: it is independent of any engine.

By default, glibc maps every buffer above 32 MB and unmaps it when it is freed: Whisper base spent a third of its
encoder's time on that, for attention takes 70 MB in each layer. And with one arena per thread, each thread would keep
as much (https://man7.org/linux/man-pages/man3/mallopt.3.html).
"""

import ctypes
import sys

import psutil

M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8
"""malloc.h."""
NEVER = 2**31 - 1
KEPT_BYTES = 128 * 1024 * 1024
"""An idle worker keeps no more than this, which is enough for a memo. If it were freed, allocating it again would
take a tenth of the memo's time."""


class Heap:
    """The heap of one worker. Does nothing with another allocator, as on macOS."""

    def __init__(self) -> None:
        """Create it before the engine starts threads."""
        self._libc = _glibc()
        self._needed_bytes = 0
        if self._libc is not None:
            for name, value in ((M_ARENA_MAX, 1), (M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, NEVER)):
                self._libc.mallopt(name, value)

    def give_back(self) -> None:
        """Frees all unused memory, after an engine is loaded: reading a model takes more than it keeps."""
        if self._libc is not None:
            self._libc.malloc_trim(0)
            self._needed_bytes = resident_bytes()

    def rest(self) -> None:
        """Frees unused memory between jobs: takes a few milliseconds."""
        # Not glibc's own number of free bytes: that includes pages which the kernel already has back.
        if self._libc is not None and resident_bytes() - self._needed_bytes > KEPT_BYTES:
            self.give_back()


def resident_bytes() -> int:
    """The resident memory of this process."""
    return int(psutil.Process().memory_info().rss)


def _glibc() -> ctypes.CDLL | None:
    libc = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None  # musl has neither
