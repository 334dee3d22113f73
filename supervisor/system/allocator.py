"""glibc's heap, told to give back what it does not need: a daemon that runs for a year is measured by what it keeps.

Runs in: supervisor. Stands alone: called before anything else is imported.

Left to itself, glibc gives every thread an arena of its own, and raises its limits with every large buffer that is
freed, from which on such buffers come from the heap and leave holes behind. Each looks like a small leak
(https://man7.org/linux/man-pages/man3/mallopt.3.html). Python's threads allocate one at a time anyway.
"""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
"""malloc.h."""
LARGE_BYTES = 128 * 1024
"""glibc's own first limit; to set it is what makes it stay."""


def keep_heap_small() -> bool:
    """Before there are other threads. False where the system's allocator is another one, as on macOS."""
    libc = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
    mallopt = getattr(libc, "mallopt", None)  # musl has none
    wanted = ((M_ARENA_MAX, 1), (M_MMAP_THRESHOLD, LARGE_BYTES), (M_TRIM_THRESHOLD, LARGE_BYTES))
    return mallopt is not None and all(mallopt(name, value) == 1 for name, value in wanted)
