"""The way to a recording: below a watched folder without links, and to no other file than the one that was checked.

Runs in: worker (the decoder, before it shuts itself in).
"""

import ctypes
import errno
import os
import stat
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ipc.worker_messages import ExpectedFile
from workers.engine import EngineRefusal
from workers.recording.recording_file import refuse_changed, refuse_unreadable

READ_ONLY = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""O_NONBLOCK: a FIFO without a writer would hold us for ever."""
FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
"""O_PATH: a folder may be passed through that may not be listed."""
OPENAT2 = 437
"""The system call's number, the same on every processor of today."""
RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH = 0x04, 0x08
OPENAT2_NOT_THERE = frozenset({errno.ENOSYS, errno.EPERM, errno.EINVAL, errno.EAGAIN})
"""An older kernel, a container's filter, or a rename elsewhere at this moment: each step by hand."""


@contextmanager
def opened_recording(path: Path, expected: ExpectedFile | None, beneath: Path | None) -> Iterator[int]:
    """A descriptor of the file itself: whatever its name comes to mean later, this is what is decoded.

    `beneath`: a folder below which no step of the path may be a link. Nothing is read.
    Raises EngineRefusal: `not_found`, `is_a_symlink`, `not_a_regular_file`, `not_readable`, `empty_file`,
    `changed_while_read` where it is not the `expected` file, `disk_not_answering`.
    """
    try:
        descriptor = _open(path, beneath)
    except ValueError as error:
        raise EngineRefusal("not_found", f"{str(path)!r} cannot be a file's name", "check the path") from error
    except OSError as error:
        refuse_unreadable(path, error)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise EngineRefusal("not_a_regular_file", f"{path} is not a regular file", "submit a recording")
        if expected is not None and not is_the_expected(found, expected):
            refuse_changed(path)
        if found.st_size == 0:
            raise EngineRefusal("empty_file", f"{path} is empty", "check that it was copied or recorded to the end")
        yield descriptor
    finally:
        os.close(descriptor)


def is_the_expected(found: os.stat_result, expected: ExpectedFile) -> bool:
    """Size, time and inode say so. Device numbers change with every plugging in, and count for nothing. Pure."""
    same_inode = expected.inode in (0, found.st_ino)
    return same_inode and (found.st_size, found.st_mtime_ns) == (expected.size, expected.mtime_ns)


def _open(path: Path, beneath: Path | None) -> int:
    if beneath is None or not path.is_relative_to(beneath):
        return os.open(path, READ_ONLY)
    if "\0" in str(path):
        raise ValueError("embedded null byte")
    steps = path.relative_to(beneath).parts
    if not steps or ".." in steps:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    # The watched folder itself was named by its owner, and may be reached through links.
    root = os.open(beneath, FOLDER)
    try:
        return open_beneath(root, steps)
    finally:
        os.close(root)


def open_beneath(root: int, steps: tuple[str, ...]) -> int:
    """The file at the end of the steps below an open folder, none of which is a link. Raises OSError."""
    if sys.platform == "linux":
        try:
            return _openat2(root, "/".join(steps))
        except OSError as error:
            if error.errno not in OPENAT2_NOT_THERE:
                raise
    return open_step_by_step(root, steps)


def open_step_by_step(root: int, steps: tuple[str, ...]) -> int:
    """The same where the kernel cannot do it in one call."""
    held = os.dup(root)
    try:
        for step in steps[:-1]:
            try:
                below = os.open(step, FOLDER | os.O_NOFOLLOW, dir_fd=held)
            except NotADirectoryError as error:
                # What Linux says of a link here; a file in a folder's place comes to the same.
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), step) from error
            os.close(held)
            held = below
        return os.open(steps[-1], READ_ONLY, dir_fd=held)
    finally:
        os.close(held)


def _openat2(root: int, steps: str) -> int:
    how = struct.pack("=QQQ", READ_ONLY, 0, RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH)
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.syscall(
        OPENAT2, root, ctypes.c_char_p(os.fsencode(steps)), ctypes.c_char_p(how), ctypes.c_size_t(len(how))
    )
    if descriptor < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), steps)
    return int(descriptor)
