"""Ends the child: when the supervisor is gone, or when it has nothing left to do.

Runs in: worker.

The first line of defence is the pipe: its listener leaves at end of file. That needs a Python thread to run, which
native code that keeps the GIL can prevent; this is the second line. Linux kills the child by itself. macOS has no
such thing: there a thread waits on the parent's exit, and what even that cannot end, the self-watchdog does.
"""

import contextlib
import ctypes
import os
import select
import signal
import sys
import threading
from typing import NoReturn

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15


def end_with_parent(parent_pid: int) -> None:
    """Arrange that this process does not outlive `parent_pid`, which spawned it.

    On Linux the signal comes when the *thread* that spawned us ends, so the supervisor spawns from one that lives as
    long as it does.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    elif sys.platform == "darwin":
        threading.Thread(target=_leave_at_exit_of, args=(parent_pid,), name="parent-watch", daemon=True).start()
    if os.getppid() != parent_pid:
        # It died before the line above.
        os._exit(0)


def call_this_process(name: str) -> None:
    """What `ps` and `top` say of it, on Linux: at most 15 letters."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_NAME, ctypes.c_char_p(name.encode()), 0, 0, 0)


def _leave_at_exit_of(parent_pid: int) -> None:
    if sys.platform == "darwin":
        exits = select.kevent(
            parent_pid,
            filter=select.KQ_FILTER_PROC,
            flags=select.KQ_EV_ADD | select.KQ_EV_ONESHOT,
            fflags=select.KQ_NOTE_EXIT,
        )
        # ProcessLookupError: gone before we could ask.
        with contextlib.suppress(ProcessLookupError):
            select.kqueue().control([exits], 1, None)
        os._exit(0)


def leave(exit_code: int = 0) -> NoReturn:
    """End the process without Python's shutdown, in which MLX has been seen to crash (ml-explore/mlx#4347)."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)
