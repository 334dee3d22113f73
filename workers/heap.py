"""glibc's heap, told to keep what an engine frees until it rests: the next step wants as much again.

Runs in: worker.

Left to itself, glibc asks the kernel for every buffer above 32 MB and gives it back once it is freed, page by page:
whisper base spent a third of its encoder's time on that, for attention takes 70 MB in each layer. And with arenas of
their own, threads would each keep as much (https://man7.org/linux/man-pages/man3/mallopt.3.html).
"""

import ctypes
import math
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8
"""malloc.h."""
NEVER = 2**31 - 1
KEPT_BYTES = 128 * 1024 * 1024
"""A worker at rest keeps no more than this: what a memo needs. Given back, a tenth of its time would go into asking
for it again."""


def keep_freed_memory() -> None:
    """Before the engine's threads begin. Does nothing where the system's allocator is another one, as on macOS."""
    if (libc := _glibc()) is not None:
        for name, value in ((M_ARENA_MAX, 1), (M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, NEVER)):
            libc.mallopt(name, value)


def give_freed_memory_back() -> None:
    """Between jobs, if it is much: a few milliseconds."""
    if (libc := _glibc()) is not None and freed_bytes(libc) > KEPT_BYTES:
        libc.malloc_trim(0)


def freed_bytes(libc: ctypes.CDLL) -> float:
    """What the heap holds and nothing uses. Infinite before glibc 2.33, which cannot tell."""
    if not hasattr(libc, "mallinfo2"):
        return math.inf
    libc.mallinfo2.restype = _Mallinfo2
    return int(libc.mallinfo2().fordblks)


class _Mallinfo2(ctypes.Structure):
    """malloc.h: `struct mallinfo2`, ten numbers."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks")
    ] + [("keepcost", ctypes.c_size_t)]


def _glibc() -> ctypes.CDLL | None:
    libc = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None  # musl has neither
