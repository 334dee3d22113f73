"""The recording as an open regular file, or a refusal that says what it is instead.

Runs in: worker.
"""

import errno
import os
from io import FileIO
from pathlib import Path
from typing import NoReturn

from workers.engine import EngineRefusal

DISK_AWAY = frozenset(
    {
        *(errno.ETIMEDOUT, errno.ENOTCONN, errno.ESTALE, errno.EHOSTDOWN, errno.EHOSTUNREACH),
        *(errno.ENETDOWN, errno.ENETUNREACH, errno.ECONNRESET, errno.ECONNABORTED, errno.ENODEV),
    }
)
"""Errors of network and user-space file systems while the machine or the program behind them is gone."""


class Recording(FileIO):
    """A recording as FFmpeg may read it: a seek before the start, as damaged files ask for, returns -EINVAL.

    An exception would appear as a traceback on stderr and count as a fault of the disk.
    """

    def __init__(self, descriptor: int) -> None:
        """The caller closes the descriptor."""
        super().__init__(descriptor, closefd=False)
        self._as_opened = os.fstat(descriptor)

    @property
    def size(self) -> int:
        """Bytes, when it was opened."""
        return self._as_opened.st_size

    def read_at(self, offset: int, size: int) -> bytes:
        """At most `size` bytes from `offset`; fewer, or none, only at the end of the file. Raises OSError."""
        return os.pread(self.fileno(), max(size, 0), offset)

    @property
    def has_changed(self) -> bool:
        """Whether a program wrote to it since it was opened: then the bytes read may be a mix of two versions."""
        try:
            now = os.fstat(self.fileno())
        except OSError:
            return False  # a share that went away; the caller has worse to report
        return (now.st_size, now.st_mtime_ns) != (self._as_opened.st_size, self._as_opened.st_mtime_ns)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """The new position, or -EINVAL, as FFmpeg's own files return it."""
        try:
            return super().seek(offset, whence)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return -errno.EINVAL


def refuse_unreadable(path: Path, error: OSError) -> NoReturn:
    """The system's error on opening or reading this file, as a refusal."""
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR | errno.ENAMETOOLONG:
            raise EngineRefusal("not_found", f"there is no file {path}", "check the path") from error
        case errno.ELOOP:
            raise EngineRefusal(
                "is_a_symlink", f"{path} is a symbolic link", "submit the file it leads to"
            ) from error
        case errno.ENXIO | errno.EOPNOTSUPP:
            raise _not_a_regular_file(path) from error
        case code if code in DISK_AWAY:
            raise EngineRefusal(
                "disk_not_answering",
                f"the disk of {path} does not answer: {error.strerror}",
                "the job continues once it does",
            ) from error
        case _:
            raise EngineRefusal(
                "not_readable",
                f"{path} cannot be read: {error.strerror or error}",
                "give the daemon's user permission to read it; on a Mac `steno doctor` names the program to allow",
            ) from error


def refuse_changed(path: Path, why: Exception | None = None) -> NoReturn:
    """The recording did not hold still; `why` is what came of reading it nevertheless."""
    raise EngineRefusal(
        "changed_while_read", f"{path} changed while it was read", "it is read again once it holds still"
    ) from why


def _not_a_regular_file(path: Path) -> EngineRefusal:
    return EngineRefusal("not_a_regular_file", f"{path} is not a regular file", "submit a recording")
