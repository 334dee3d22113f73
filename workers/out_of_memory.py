"""Whether an error means that the system is out of memory. Pure.

Runs in: worker.
"""

import errno

WORDS = (
    "failed to map segment",  # dlopen, of a library
    "cannot allocate memory",
    "can't allocate memory",  # torch's allocator
    "can't start new thread",  # no memory for its stack, or the process limit is reached
    "unable to start watchdog thread",  # the same from faulthandler
    "bad_alloc",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Libraries raise different errors for it, and wrap them."""
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return True
    if isinstance(error, ImportError | RuntimeError) and any(words in str(error).lower() for words in WORDS):
        return True
    return error.__cause__ is not None and is_out_of_memory(error.__cause__)
