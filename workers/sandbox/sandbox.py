"""The decoder enters its sandbox: before it reads the first byte of a recording, it drops every right it does not
need.

Runs in: worker (the decoder), and `steno doctor` by way of the decoder's `--probe`.

It keeps the open recording, the open PCM file and the socket to the worker. Each wall is tried separately: if the
system has only one of them, that one holds, and if it has none, decoding continues without.
"""

import contextlib
import ctypes
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

from ipc.decoder_messages import Limits
from workers.sandbox.landlock import forbid_all_files
from workers.sandbox.seatbelt import shut_in_seatbelt
from workers.sandbox.seccomp import PR_SET_NO_NEW_PRIVS, allow_only_decoding

PR_SET_DUMPABLE = 4
OPEN_FILES = 16
"""Descriptors it may have; it uses six."""
FIRST_TO_GO = "800"
"""oom_score_adj: the kernel should kill this process before the worker with its model."""


def shut_in(limits: Limits) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Raises every wall. Returns those that hold, and those that the system lacks, each in a sentence."""
    walls: list[str] = []
    lacks: list[str] = []

    def raise_wall(name: str, wall: Callable[[], object]) -> None:
        try:
            told = wall()
        except (OSError, ValueError) as error:
            lacks.append(f"{name}: {error.strerror if isinstance(error, OSError) and error.strerror else error}")
        else:
            walls.append(f"{name} {told}" if isinstance(told, int) else name)

    raise_wall("limits", lambda: _limit(limits))
    if sys.platform == "darwin":
        raise_wall("seatbelt", shut_in_seatbelt)
    else:
        raise_wall("no new privileges", _no_new_privileges)
        raise_wall("landlock", forbid_all_files)
        # Last, since it forbids setting up the others.
        raise_wall("seccomp", lambda: allow_only_decoding(os.uname().machine, os.getpid()))
    return tuple(walls), tuple(lacks)


def _limit(limits: Limits) -> None:
    """Raises OSError or ValueError if the system refuses one of them; the others hold nevertheless."""
    wrong: list[str] = []
    for kind, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_CPU, limits.cpu_seconds),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_AS, _address_space_bytes() + limits.memory_bytes),
    ):
        _, hard = resource.getrlimit(kind)
        # One second between the soft and the hard limit of processor time: SIGXCPU says more than SIGKILL.
        wanted = value + 1 if kind == resource.RLIMIT_CPU else value
        top = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        try:
            resource.setrlimit(kind, (min(value, top), top))
        except (OSError, ValueError) as error:
            wrong.append(f"{kind}: {error}")
    if wrong:
        raise OSError(0, "; ".join(wrong))


def _address_space_bytes() -> int:
    """The address space of this process now; 0: unknown."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    return 0


def _no_new_privileges() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0))):
        raise OSError(ctypes.get_errno(), "prctl")
    # Before the line below, after which its own files in /proc belong to root.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO)
    # It also cannot be traced by the same user, and writes no core dump.
    libc.prctl(PR_SET_DUMPABLE, *map(ctypes.c_ulong, (0, 0, 0, 0)))
