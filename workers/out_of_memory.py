"""Whether an error is the system's way of saying that there is no memory. Pure.

Runs in: worker.
"""

import errno

WORDS = (
    "failed to map segment",  # dlopen, of a library
    "cannot allocate memory",
    "can't allocate memory",  # torch's allocator
    "can't start new thread",  # no room for its stack, or one process too many
    "unable to start watchdog thread",  # the same from faulthandler
    "bad_alloc",
)


def is_want_of_memory(error: BaseException) -> bool:
    """Not every library says MemoryError; nor does a caller that passes its error on."""
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return True
    if isinstance(error, ImportError | RuntimeError) and any(words in str(error).lower() for words in WORDS):
        return True
    return error.__cause__ is not None and is_want_of_memory(error.__cause__)
