"""glibc's heap, told to keep what an engine frees until it rests: the next step wants as much again.

Runs in: worker.

Left to itself, glibc asks the kernel for every buffer above 32 MB and gives it back once it is freed, page by page:
whisper base spent a third of its encoder's time on that, for attention takes 70 MB in each layer. And with arenas of
their own, threads would each keep as much (https://man7.org/linux/man-pages/man3/mallopt.3.html).
"""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8
"""malloc.h."""
NEVER = 2**31 - 1


def keep_freed_memory() -> None:
    """Before the engine's threads begin. Does nothing where the system's allocator is another one, as on macOS."""
    if (libc := _glibc()) is not None:
        for name, value in ((M_ARENA_MAX, 1), (M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, NEVER)):
            libc.mallopt(name, value)


def give_freed_memory_back() -> None:
    """Between jobs: a few milliseconds."""
    if (libc := _glibc()) is not None:
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    libc = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None  # musl has neither
