"""Ends the child process when the supervisor is gone, or when it is done.

Runs in: worker.

The first line of defence is the pipe: its listener exits at end of file. That needs a running Python thread, which
native code that keeps the GIL can prevent; this is the second line. Linux kills the child itself (PR_SET_PDEATHSIG).
macOS has no equivalent: there a thread waits for the parent's exit, and the self-watchdog ends what even that cannot.
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
    """Ensures that this process does not outlive `parent_pid`, which spawned it.

    On Linux the signal comes when the *thread* that spawned us ends, so the supervisor spawns from one that lives as
    long as it does.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    elif sys.platform == "darwin":
        threading.Thread(target=_leave_at_exit_of, args=(parent_pid,), name="parent-watch", daemon=True).start()
    if os.getppid() != parent_pid:
        # It exited before the line above.
        os._exit(0)


def call_this_process(name: str) -> None:
    """Sets the process name in `ps` and `top`, on Linux: at most 15 letters."""
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
        # ProcessLookupError: it exited before the call.
        with contextlib.suppress(ProcessLookupError):
            select.kqueue().control([exits], 1, None)
        os._exit(0)


def leave(exit_code: int = 0) -> NoReturn:
    """Ends the process without Python's shutdown, in which MLX has crashed (ml-explore/mlx#4347)."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)
