"""The lock that allows one daemon per installation, held while its process lives.

Runs in: supervisor.

flock belongs to the open file: the kernel releases it at any exit, so there is no stale lock and nothing to clean up.
The file itself stays: unlinking it would let two daemons hold locks on two files of one name.
"""

import contextlib
import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from config.ownership import make_private
from ipc.errors import OneReason


class AlreadyRunning(Exception):
    """Another daemon of this installation is running."""

    def __init__(self, pid: int | None) -> None:
        super().__init__(f"a daemon is already running{f' as pid {pid}' if pid else ''}")
        self.pid = pid
        """None: it has not written its pid, or not yet."""


class LockRefused(OneReason):
    """The lock file cannot be created or locked here."""

    code = "no_lock"


class DaemonLock:
    """Held from `acquire` to `release` or the end of the process; children do not inherit it (close-on-exec)."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def acquire(cls, path: Path) -> Self:
        """Raises AlreadyRunning, LockRefused. Never waits."""
        while True:
            try:
                make_private(path.parent)
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise LockRefused(f"{path} cannot be opened: {error.strerror}", "check its folder's owner") from error
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                holder = _holder(descriptor)
                os.close(descriptor)
                raise AlreadyRunning(holder) from error
            except OSError as error:
                os.close(descriptor)
                raise LockRefused(
                    f"{path} cannot be locked: {error.strerror}", "put the state folder on a local disk"
                ) from error
            if _is_still_there(path, descriptor):
                # On a full disk the file does not contain the pid; the lock is held anyway.
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, 0)
                    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
                return cls(descriptor)
            # The file was removed between open and lock: this lock protects nothing.
            os.close(descriptor)

    def release(self) -> None:
        """The next daemon may start. May be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _holder(descriptor: int) -> int | None:
    """Not the previous holder's, whose pid is in the file until the new holder has written its own."""
    text = os.pread(descriptor, 20, 0).strip()
    if not text.isdigit():
        return None
    try:
        os.kill(int(text), 0)
    except (ProcessLookupError, OverflowError):
        return None
    except PermissionError:
        pass  # another user's, and alive
    return int(text)


def _is_still_there(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
