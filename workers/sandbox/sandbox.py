"""The decoder shuts itself in: before the first byte of a recording is read, it gives up all it does not need.

Runs in: worker (the decoder), and `steno doctor` by way of the decoder's `--probe`.

What stays is the open recording, the open PCM file and the line to the worker. Each wall is tried by itself: where
the system has one of them only, that one stands, and where it has none, decoding goes on without.
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
"""Descriptors it may have; it holds six."""
FIRST_TO_GO = "800"
"""For the kernel that runs out of memory: rather this process than the worker with a model in it."""


def shut_in(limits: Limits) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Raise every wall there is. Returns those that stand, and what could not be had, each in a sentence."""
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
        # Last, since it forbids the making of the others.
        raise_wall("seccomp", lambda: allow_only_decoding(os.uname().machine, os.getpid()))
    return tuple(walls), tuple(lacks)


def _limit(limits: Limits) -> None:
    """Raises OSError or ValueError where the system takes one of them not; the others hold nevertheless."""
    wrong: list[str] = []
    for kind, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_CPU, limits.cpu_seconds),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_AS, _address_space_bytes() + limits.memory_bytes),
    ):
        _, hard = resource.getrlimit(kind)
        # One second between the two of processor time: SIGXCPU tells more than SIGKILL.
        wanted = value + 1 if kind == resource.RLIMIT_CPU else value
        top = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        try:
            resource.setrlimit(kind, (min(value, top), top))
        except (OSError, ValueError) as error:
            wrong.append(f"{kind}: {error}")
    if wrong:
        raise OSError(0, "; ".join(wrong))


def _address_space_bytes() -> int:
    """What this process has now; 0 where it cannot be told."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    return 0


def _no_new_privileges() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0))):
        raise OSError(ctypes.get_errno(), "prctl")
    # Before the line below: from then on its own files in /proc belong to root.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO)
    # No process of the same user attaches to it either, and it writes no core.
    libc.prctl(PR_SET_DUMPABLE, *map(ctypes.c_ulong, (0, 0, 0, 0)))
