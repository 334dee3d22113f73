"""System calls that Python lacks, on names in open folders: rename without replacing, exchange, open without
following links.

Runs in: supervisor.

Linux: renameat2(2) and openat2(2), which glibc wraps late or not at all. macOS: renameatx_np(2). A kernel or file
system without a call returns one of `LACKING`; the callers then use a fallback.
"""

import ctypes
import errno
import os
import sys
from functools import cache

LACKING = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP})
"""Errors of kernels and file systems without such a call: exFAT, NFS, most of FUSE."""
NO_FOLLOW_ANY = 0x20000000
"""macOS's O_NOFOLLOW_ANY: no part of the path may be a symbolic link."""

_LINUX_NO_REPLACE, _LINUX_EXCHANGE = 1, 2
_DARWIN_SWAP, _DARWIN_EXCL = 2, 4
_SYS_OPENAT2 = 437
"""The same number on every architecture."""
_RESOLVE_NO_MAGICLINKS, _RESOLVE_NO_SYMLINKS, _RESOLVE_BENEATH = 0x02, 0x04, 0x08


class _OpenHow(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


def rename_without_replacing(folder: int, present: str, other: int, wanted: str) -> None:
    """Renames in one step, between two open folders. Raises FileExistsError; OSError with one of LACKING: use a
    fallback."""
    _rename(folder, present, other, wanted, _DARWIN_EXCL if sys.platform == "darwin" else _LINUX_NO_REPLACE)


def exchange(folder: int, one: str, other: str) -> None:
    """Exchanges two names in one step. Raises OSError as above."""
    _rename(folder, one, folder, other, _DARWIN_SWAP if sys.platform == "darwin" else _LINUX_EXCHANGE)


def open_beneath(root: int, path: str, flags: int) -> int:
    """Opens a relative path; no part of it may be a link or lead out of the root.

    Raises OSError: ELOOP if a link is in the path, one of LACKING if the kernel cannot.
    """
    if sys.platform == "darwin":
        descriptor = os.open(path, flags | NO_FOLLOW_ANY, dir_fd=root)
    else:
        descriptor = _open_beneath_by_openat2(root, path, flags)
    return descriptor


def _open_beneath_by_openat2(root: int, path: str, flags: int) -> int:
    how = _OpenHow(flags, 0, _RESOLVE_NO_MAGICLINKS | _RESOLVE_NO_SYMLINKS | _RESOLVE_BENEATH)
    while True:
        name = os.fsencode(path)
        found = _libc().syscall(
            ctypes.c_long(_SYS_OPENAT2), ctypes.c_int(root), name, ctypes.byref(how), ctypes.c_size_t(24)
        )
        if found >= 0:
            return int(found)
        number = ctypes.get_errno()
        # EAGAIN: a folder of the path was renamed meanwhile, which the kernel does not consider safe.
        if number not in (errno.EINTR, errno.EAGAIN):
            raise OSError(number, os.strerror(number), path)


def _rename(folder: int, present: str, other: int, wanted: str, flags: int) -> None:
    call = getattr(_libc(), "renameatx_np" if sys.platform == "darwin" else "renameat2", None)
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), wanted)
    while call(folder, os.fsencode(present), other, os.fsencode(wanted), ctypes.c_uint(flags)) != 0:
        number = ctypes.get_errno()
        if number != errno.EINTR:
            raise OSError(number, os.strerror(number), wanted)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
