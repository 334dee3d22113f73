"""A double of macOS on Linux, for the pure-Python branches: `make mac-double` puts this folder on PYTHONPATH.

Runs in: every Python process of such a run, before anything else.

It takes away the names that Darwin's Python does not have, adds stand-ins for those that only Darwin's has, and calls
the platform `darwin`. It proves that our branches run and that no Linux name is used unguarded. It proves nothing of
Metal, FSEvents, launchd, sandbox-exec or the privacy rules: tests/chaos/ON_A_MAC.md is for those.

A few libraries look at the platform when they are imported, for their native half: while that happens it is Linux.
"""

import ctypes
import errno
import fcntl
import os
import platform
import select
import selectors  # before there is a kqueue that it would take for a real one
import socket
import struct
import sys
import sysconfig
import time
import types
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

LINUX_INSIDE = frozenset({"ctypes.util", "numpy", "psutil", "torch", "watchdog.utils.platform"})
"""They choose their native half by the platform when they are imported, and Linux's is the one that is here."""
NOT_ON_DARWIN = {
    os: (
        *("fdatasync", "sched_getaffinity", "sched_setaffinity", "pidfd_open", "memfd_create", "posix_fadvise"),
        *("posix_fallocate", "copy_file_range", "splice", "eventfd", "pipe2", "dup3", "setresuid", "getresuid"),
        *("getrandom", "preadv2", "unshare", "setns", "getxattr", "listxattr", "setxattr", "removexattr"),
        *("O_TMPFILE", "O_PATH", "O_DIRECT", "O_NOATIME"),
    ),
    socket: ("SO_PEERCRED", "AF_VSOCK", "AF_NETLINK"),
}
F_GETPATH, F_FULLFSYNC = 50, 51
SOL_LOCAL, LOCAL_PEERCRED = 0, 1
O_NOFOLLOW_ANY = 0x20000000
RENAME_SWAP, RENAME_EXCL = 2, 4
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2
SYS_OPENAT2, RESOLVE_NO_SYMLINKS, AT_FDCWD = 437, 0x04, -100
"""Of Linux."""
LIBPROC = "/usr/lib/libproc.dylib"
PHYS_FOOTPRINT_AT = 72
"""Of `struct rusage_info_v4`."""
GROUPS_OF_XUCRED = 16
BETWEEN_LOOKS_SECONDS = 0.02


def take_away() -> None:
    """What would be an AttributeError on a Mac is one here."""
    for module, names in NOT_ON_DARWIN.items():
        for name in names:
            if hasattr(module, name):
                delattr(module, name)


def full_fsync_and_getpath() -> None:
    """fcntl's two commands of macOS."""
    linux_fcntl = fcntl.fcntl

    def stand_in(descriptor: object, command: int, argument: object = 0) -> object:
        number = descriptor if isinstance(descriptor, int) else descriptor.fileno()  # type: ignore[attr-defined]
        match command, argument:
            case (51, _):
                os.fsync(number)
                return 0
            case (50, bytes()):
                found = os.fsencode(Path(f"/proc/self/fd/{number}").readlink())
                return found.ljust(len(argument), b"\0")
            case _:
                return linux_fcntl(descriptor, command, argument)  # type: ignore[arg-type]

    fcntl.F_GETPATH, fcntl.F_FULLFSYNC = F_GETPATH, F_FULLFSYNC  # type: ignore[attr-defined]
    fcntl.fcntl = stand_in  # type: ignore[assignment]


class Kevent:
    """As much of a `select.kevent` as a wait for a process's end needs."""

    def __init__(self, ident: int, filter: int = -1, flags: int = 1, fflags: int = 0) -> None:
        self.ident = ident


class Kqueue:
    """Waits for one process's end, a zombie counted: that is when NOTE_EXIT comes."""

    def control(self, changes: "list[Kevent]", most: int, timeout: float | None = None) -> "list[Kevent]":
        while _lives(changes[0].ident):
            time.sleep(BETWEEN_LOOKS_SECONDS)
        return changes


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except FileNotFoundError:
        return False


def kqueue() -> None:
    """select's kqueue, for the end of a process."""
    numbers = {"KQ_FILTER_PROC": -5, "KQ_EV_ADD": 1, "KQ_EV_ONESHOT": 16, "KQ_NOTE_EXIT": 0x80000000}
    vars(select).update(numbers, kevent=Kevent, kqueue=Kqueue)


def peer_credentials() -> None:
    """LOCAL_PEERCRED, asked for through asyncio's socket or a plain one, answered as `struct xucred`."""
    linux_getsockopt = socket.socket.getsockopt
    so_peercred = 17

    def stand_in(sock: socket.socket, level: int, option: int, *size: int) -> object:
        if (level, option) != (SOL_LOCAL, LOCAL_PEERCRED):
            return linux_getsockopt(sock, level, option, *size)
        _, uid, gid = struct.unpack("@iII", linux_getsockopt(sock, socket.SOL_SOCKET, so_peercred, 12))
        return struct.pack("@IIh16I", 0, uid, 1, gid, *[0] * (GROUPS_OF_XUCRED - 1))

    socket.socket.getsockopt = stand_in  # type: ignore[method-assign,assignment]


class Libproc:
    """`proc_pid_rusage`: the resident size stands for the footprint."""

    def proc_pid_rusage(self, pid: int, flavor: int, buffer: "ctypes.Array[ctypes.c_char]") -> int:
        try:
            resident = int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except FileNotFoundError:
            ctypes.set_errno(errno.ESRCH)
            return -1
        struct.pack_into("=Q", buffer, PHYS_FOOTPRINT_AT, resident)
        return 0


def libraries() -> None:
    """libproc, and in the C library the rename of macOS."""
    linux_library = ctypes.CDLL

    class Library(linux_library):  # type: ignore[misc,valid-type]
        def __new__(cls, name: str | None, *given: object, **more: object) -> object:
            return Libproc() if name == LIBPROC else super().__new__(cls)

        def __getattr__(self, name: str) -> object:
            if name == "renameat2":
                raise AttributeError(name)
            return self._renameatx_np if name == "renameatx_np" else super().__getattr__(name)

        def _renameatx_np(self, folder: int, present: bytes, other: int, wanted: bytes, flags: ctypes.c_uint) -> int:
            linux_flags = {RENAME_SWAP: RENAME_EXCHANGE, RENAME_EXCL: RENAME_NOREPLACE}[flags.value]
            return int(super().__getattr__("renameat2")(folder, present, other, wanted, ctypes.c_uint(linux_flags)))

    ctypes.CDLL = Library  # type: ignore[misc]


def open_without_links() -> None:
    """O_NOFOLLOW_ANY, by openat2: no step may be a link, and `..` may lead out as on a Mac."""
    linux_open = os.open
    libc = ctypes.CDLL(None, use_errno=True)

    def stand_in(path: "os.PathLike[str] | str", flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if not flags & O_NOFOLLOW_ANY:
            return linux_open(path, flags, mode, dir_fd=dir_fd)
        how = struct.pack("=QQQ", flags & ~O_NOFOLLOW_ANY, 0, RESOLVE_NO_SYMLINKS)
        start = ctypes.c_int(AT_FDCWD if dir_fd is None else dir_fd)
        found = libc.syscall(ctypes.c_long(SYS_OPENAT2), start, os.fsencode(path), how, ctypes.c_size_t(len(how)))
        if found < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), os.fspath(path))
        return int(found)

    os.open = stand_in


class LinuxInside:
    """Finds and runs a module of LINUX_INSIDE as its own loader does, on Linux."""

    def __init__(self) -> None:
        self.loaders: dict[str, Any] = {}

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: types.ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path) if name in LINUX_INSIDE else None
        if spec is not None and spec.loader is not None:
            self.loaders[name], spec.loader = spec.loader, self  # type: ignore[assignment]
        return spec

    def create_module(self, spec: ModuleSpec) -> types.ModuleType | None:
        made: types.ModuleType | None = self.loaders[spec.name].create_module(spec)
        return made

    def exec_module(self, module: types.ModuleType) -> None:
        before, sys.platform = sys.platform, "linux"
        try:
            self.loaders[module.__name__].exec_module(module)
        finally:
            sys.platform = before


def call_it_darwin() -> None:
    """By every name that a program asks by."""
    sysconfig.get_config_vars()
    found = os.uname()

    def uname() -> os.uname_result:
        return os.uname_result(("Darwin", found.nodename, "24.0.0", "Darwin Kernel Version 24.0.0", "arm64"))

    os.uname = uname
    platform.system = lambda: "Linux" if sys.platform == "linux" else "Darwin"
    platform.machine = lambda: "arm64"
    platform.mac_ver = lambda *given, **more: ("15.1", ("", "", ""), "arm64")
    proxies = types.ModuleType("_scproxy")
    vars(proxies).update(_get_proxy_settings=dict, _get_proxies=dict)
    sys.modules["_scproxy"] = proxies
    sys.meta_path.insert(0, LinuxInside())  # type: ignore[arg-type]
    sys.platform = "darwin"


assert selectors.DefaultSelector
take_away()
full_fsync_and_getpath()
kqueue()
peer_credentials()
open_without_links()
libraries()
call_it_darwin()
