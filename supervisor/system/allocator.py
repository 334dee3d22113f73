"""Makes glibc return free memory to the system: a daemon may run for a year.

Runs in: supervisor. Stands alone: called before anything else is imported.

By default, glibc gives every thread its own arena, and raises its thresholds with every large buffer that is freed;
later buffers of that size then come from the heap and fragment it. Each looks like a small leak
(https://man7.org/linux/man-pages/man3/mallopt.3.html). Python's threads allocate one at a time anyway.
"""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
"""malloc.h."""
LARGE_BYTES = 128 * 1024
"""glibc's initial threshold; setting it explicitly keeps it constant."""


def keep_heap_small() -> bool:
    """Call it before there are other threads. False: the system's allocator is not glibc's, as on macOS."""
    libc = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
    mallopt = getattr(libc, "mallopt", None)  # musl has none
    wanted = ((M_ARENA_MAX, 1), (M_MMAP_THRESHOLD, LARGE_BYTES), (M_TRIM_THRESHOLD, LARGE_BYTES))
    return mallopt is not None and all(mallopt(name, value) == 1 for name, value in wanted)
