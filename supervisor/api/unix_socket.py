"""The daemon's Unix socket, which only its user can reach.

Runs in: supervisor.

asyncio accepts up to `backlog` connections in a row, uvicorn's 2,048. Without a free descriptor (EMFILE) it logs a
traceback, schedules a retry in a second, and yet tries all the others in the same way: that takes many seconds, and
the loop does not notice clients that disconnect. So our backlog is shorter, and after one failure the listener
reports no connection for a moment.
"""

import errno
import os
import socket
import stat
import struct
import sys
import time
from pathlib import Path
from typing import Protocol

from config.places import LONGEST_SOCKET_PATH_BYTES
from ipc.errors import OneReason

WANTS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
"""The errors after which asyncio waits a second."""
PATIENCE_SECONDS = 0.5
BACKLOG = 128
"""The most that macOS allows (kern.ipc.somaxconn)."""
PROBE_SECONDS = 1.0
# Linux: struct ucred {pid_t pid; uid_t uid; gid_t gid}. macOS: struct xucred of <sys/ucred.h>, {u_int cr_version;
# uid_t cr_uid; short cr_ngroups; gid_t cr_groups[16]}, read at level SOL_LOCAL.
UCRED = struct.Struct("@iII")
XUCRED = struct.Struct("@IIh16I")
XUCRED_VERSION = 0
SOL_LOCAL = 0
LOCAL_PEERCRED = 1


class PatientListener(socket.socket):
    """A listener that pauses after a failed accept."""

    _patient_until = 0.0

    def accept(self) -> tuple[socket.socket, object]:
        if time.monotonic() < self._patient_until:
            raise BlockingIOError(errno.EAGAIN, "no descriptor was free a moment ago")
        try:
            return super().accept()
        except OSError as error:
            if error.errno in WANTS:
                self._patient_until = time.monotonic() + PATIENCE_SECONDS
            raise


class SocketRefused(OneReason):
    """The socket cannot be opened there."""

    code = "no_socket"


class Connected(Protocol):
    """The part of a socket that the peer check needs; asyncio wraps the real one."""

    def getsockopt(self, level: int, option: int, size: int, /) -> bytes: ...


def bind(path: Path) -> socket.socket:
    """Creates a listening socket at `path`, mode 0600 in a folder of mode 0700. The caller holds the daemon's lock.

    Raises SocketRefused: path too long, folder not ours, another file in the way, a daemon already there.
    """
    length = len(os.fsencode(path))
    if length > LONGEST_SOCKET_PATH_BYTES:
        raise SocketRefused(
            f"the socket's path has {length} bytes, and {LONGEST_SOCKET_PATH_BYTES} is the most: {path}",
            "choose a shorter STENO_HOME",
        )
    _own_folder(path.parent)
    _clear(path)
    listener = PatientListener(socket.AF_UNIX, socket.SOCK_STREAM)
    # Private from the start: a chmod after the bind would be a race. The umask applies to the whole process, but
    # another thread's new file would only become more private.
    mask = os.umask(0o177)
    try:
        listener.bind(os.fspath(path))
    except OSError as error:
        listener.close()
        raise SocketRefused(
            f"cannot open the socket {path}: {error.strerror}", "choose a STENO_HOME on a local disk with room"
        ) from error
    finally:
        os.umask(mask)
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


def _own_folder(folder: Path) -> None:
    """Ensures that the folder exists, is ours and is private. Works on the open folder, so it cannot be exchanged."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise SocketRefused(
            f"the socket's folder {folder} cannot be used: {error.strerror}", "it must be a real folder that you own"
        ) from error
    try:
        found = os.fstat(descriptor)
        if found.st_uid != os.geteuid():
            raise SocketRefused(
                f"the socket's folder {folder} belongs to user {found.st_uid}, not to {os.geteuid()}",
                "run the daemon as the folder's owner, or choose another STENO_HOME",
            )
        if stat.S_IMODE(found.st_mode) != 0o700:
            os.fchmod(descriptor, 0o700)
    finally:
        os.close(descriptor)


def _clear(path: Path) -> None:
    """Removes a dead daemon's socket at `path`; refuses anything else."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise SocketRefused(f"{path} is in the way and is not a socket", "move it elsewhere")
    if somebody_answers(path):
        raise SocketRefused(f"a daemon is already running at {path}", "`steno status` shows it")
    path.unlink(missing_ok=True)


def somebody_answers(path: Path) -> bool:
    """Whether a process listens at `path`. Asks the kernel, takes no lock."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(PROBE_SECONDS)
        try:
            probe.connect(os.fspath(path))
        except OSError as error:
            # Any other error means that there is a listener: on Linux above all a full backlog. macOS refuses there,
            # too; but the caller holds the daemon's lock, so that no other daemon can be the listener.
            return error.errno not in (errno.ECONNREFUSED, errno.ENOENT)
        return True


def peer_may_enter(connection: Connected) -> bool:
    """Whether the client's process belongs to our user or root. When in doubt: no."""
    try:
        return peer_uid(connection) in (0, os.geteuid())
    except (OSError, ValueError):
        return False


def peer_uid(connection: Connected) -> int:
    """The effective uid of the client's process, from the kernel. Raises OSError or ValueError."""
    if sys.platform == "darwin":
        uid = uid_of_xucred(connection.getsockopt(SOL_LOCAL, LOCAL_PEERCRED, XUCRED.size))
    else:
        uid = uid_of_ucred(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, UCRED.size))
    return uid


def uid_of_ucred(raw: bytes) -> int:
    """The user in a Linux `struct ucred`. Raises ValueError for anything else."""
    if len(raw) != UCRED.size:
        raise ValueError(f"{len(raw)} bytes are no ucred")
    uid: int = UCRED.unpack(raw)[1]
    return uid


def uid_of_xucred(raw: bytes) -> int:
    """The user in a macOS `struct xucred`. Raises ValueError for anything else, an unknown version included."""
    if len(raw) != XUCRED.size:
        raise ValueError(f"{len(raw)} bytes are no xucred")
    version, uid, *_ = XUCRED.unpack(raw)
    if version != XUCRED_VERSION:
        raise ValueError(f"xucred of unknown version {version}")
    return int(uid)
