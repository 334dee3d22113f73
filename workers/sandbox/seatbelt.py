"""macOS: a sandbox profile that allows a process only to compute and to exit.

Runs in: worker (the decoder). Open descriptors stay usable: the sandbox checks only when a file is opened, as in
Chromium's renderers, which call the same function
(https://chromium.googlesource.com/chromium/src/+/HEAD/sandbox/mac/seatbelt_sandbox_design.md). Stands alone: one file
an operating system.
"""

import ctypes
import ctypes.util
import sys

OPERATIONS_ALLOWED = (
    # Time, processors and memory of the machine, which the C library reads while it computes.
    "(allow sysctl-read)",
    # A library that aborts sends the signal to itself.
    "(allow signal (target self))",
)


def profile() -> str:
    """The profile in the sandbox's own language: denies everything that it does not name. Pure."""
    return "\n".join(("(version 1)", "(deny default (with no-log))", *OPERATIONS_ALLOWED)) + "\n"


def shut_in_seatbelt() -> None:
    """From now on this process can open nothing; this cannot be undone. Raises OSError if the system refuses."""
    if sys.platform != "darwin":
        raise OSError(0, "this system has no sandbox profiles")
    else:  # noqa: RET506  without it, mypy finds what follows unreachable
        libsandbox = ctypes.CDLL(ctypes.util.find_library("sandbox") or "libsandbox.dylib", use_errno=True)
        why = ctypes.c_char_p()
        if libsandbox.sandbox_init(profile().encode(), ctypes.c_uint64(0), ctypes.byref(why)):
            said = (why.value or b"").decode(errors="replace")
            libsandbox.sandbox_free_error(why)
            raise OSError(0, f"sandbox_init: {said}")
