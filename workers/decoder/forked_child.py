"""A child that another process forked for us, with the interface of `subprocess.Popen`.

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
    """Makes this process a subreaper: descendants whose parent exited become its own children.

    Raises OSError if the kernel does not support it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, *map(ctypes.c_ulong, (wanted, 0, 0, 0))):
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")


class ForkedChild:
    """A reparented child: the process that forked it has exited."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        """As in subprocess: negative for the signal that ended it."""

    def poll(self) -> int | None:
        """The exit status; None while it runs. Reaps the zombie."""
        if self.returncode is None:
            try:
                ended, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                ended, status = self.pid, 0  # another caller reaped it, and its status is lost
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
        """Kills it. The pid cannot be reused before its status is collected."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
