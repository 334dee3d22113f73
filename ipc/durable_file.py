"""Durable writes: a power cut leaves either the old file or the complete new one.

Runs in: every process.
"""

import errno
import fcntl
import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path


def write_durably(file: Path, content: bytes, mode: int = 0o600) -> None:
    """Creates or replaces the file atomically. Raises OSError; then the old file is unchanged."""
    descriptor, name = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.parent)
    try:
        with os.fdopen(descriptor, "wb") as fresh:
            fresh.write(content)
            os.fchmod(descriptor, mode)
        put_in_place(Path(name), file)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise


def put_in_place(fresh: Path, file: Path) -> None:
    """Renames the finished file `fresh`, in the same folder, to `file`, durably. Raises OSError."""
    sync_path(fresh)
    fresh.replace(file)
    sync_path(file.parent)


def sync_path(place: Path) -> None:
    """fsync of a file, or of a folder's names. Raises OSError."""
    descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    try:
        sync_folder(descriptor) if place.is_dir() else sync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(descriptor: int) -> None:
    """fsync of the folder's names, if its file system can sync folders: some FUSE, SMB and WebDAV ones cannot.

    Raises OSError.
    """
    try:
        sync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF):
            raise


def sync(descriptor: int) -> None:
    """fsync: returns when the file's content is on the disk. Raises OSError."""
    # macOS: fsync stops at the drive's cache, F_FULLFSYNC does not; network disks know only fsync.
    if sys.platform == "darwin":
        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.EINVAL, errno.ENOTTY):
                raise
    os.fsync(descriptor)
