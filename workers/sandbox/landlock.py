"""Landlock: this process may not open, create, remove or rename files, connect, or signal other processes.

Runs in: worker (the decoder). Linux 5.13 and later; each ABI version can forbid more. Open descriptors stay usable.
https://docs.kernel.org/userspace-api/landlock.html
"""

import ctypes
import os
import struct
import sys

CREATE_RULESET, RESTRICT_SELF = 444, 446
"""System call numbers, the same on every current processor."""
CREATE_RULESET_VERSION = 1
PR_SET_NO_NEW_PRIVS = 38

FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 5: 16}
"""ABI version → number of file rights that it knows, from the lowest bit on."""
NETWORK_RIGHTS = {4: 2}
"""bind and connect by TCP."""
SCOPES = {6: 2}
"""Abstract Unix sockets and signals, to processes outside."""


def interface_version() -> int:
    """The kernel's ABI version; 0: no Landlock, or it is turned off."""
    found = 0
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        found = int(libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), CREATE_RULESET_VERSION))
    return max(0, found)


def ruleset(version: int) -> bytes:
    """struct landlock_ruleset_attr: everything that this version can forbid. Pure."""
    return b"".join(
        struct.pack("=Q", (1 << count) - 1)
        for rights in (FILE_RIGHTS, NETWORK_RIGHTS, SCOPES)
        if (count := max((bits for since, bits in rights.items() if since <= version), default=0))
    )


def forbid_all_files() -> int:
    """From now on this process can reach no file system. Returns the ABI version.

    Raises OSError if the kernel has no Landlock.
    """
    version = interface_version()
    if not version:
        raise OSError(0, "this kernel has no Landlock")
    libc = ctypes.CDLL(None, use_errno=True)
    everything = ruleset(version)
    rules = libc.syscall(CREATE_RULESET, ctypes.c_char_p(everything), ctypes.c_size_t(len(everything)), 0)
    if rules < 0:
        raise OSError(ctypes.get_errno(), "landlock_create_ruleset")
    try:
        if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.syscall(RESTRICT_SELF, rules, 0):
            raise OSError(ctypes.get_errno(), "landlock_restrict_self")
    finally:
        os.close(rules)
    return version
