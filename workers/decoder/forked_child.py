"""A child of ours that another process made for us, with what `subprocess.Popen` offers of one that it started.

Runs in: worker. Linux only.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys

PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans(*, wanted: bool = True) -> None:
    """From now on a process below us whose parent ended is our own child: we see its end, and it sees ours.

    Raises OSError where the kernel does not know this.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, *map(ctypes.c_ulong, (wanted, 0, 0, 0))):
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")


class ForkedChild:
    """Ours already: its maker has ended."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        """As subprocess gives it: below zero is the signal that ended it."""

    def poll(self) -> int | None:
        """The exit status; None while it lives. The zombie is gone once the status was told."""
        if self.returncode is None:
            try:
                ended, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                ended, status = self.pid, 0  # another reaped it, and keeps what it ended of
            if ended:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, seconds: float) -> int:
        """The exit status. Raises subprocess.TimeoutExpired."""
        if self.poll() is None and seconds > 0 and sys.platform == "linux":
            descriptor = os.pidfd_open(self.pid)
            try:
                select.select([descriptor], [], [], seconds)
            finally:
                os.close(descriptor)
        status = self.poll()
        if status is None:
            raise subprocess.TimeoutExpired(["decoder"], seconds)
        return status

    def kill(self) -> None:
        """Ends it. Until its status was asked for, the pid is no other process's."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
