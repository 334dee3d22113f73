"""The fork server's own side: it waits with everything loaded, and forks a copy for each decoder the worker orders.

Runs in: worker (the fork server, a child of the worker). Linux only.

It has one thread and never sees a recording or a request: the request goes to the copy.
"""

import contextlib
import errno
import gc
import os
import select
import socket
import struct
import sys
from typing import NamedTuple

FORKS = "--forks"
"""The argument that makes the process the server."""
NAME = "stenod-decoder"
"""The process name in `ps` and for failpoints, of the server and of its copies."""
REPLY = struct.Struct("=i")
"""The new decoder's pid, or the negative errno."""


class ForkDescriptors(NamedTuple):
    """What a new decoder receives."""

    connection: int
    stderr: int


def copies(orders: socket.socket) -> socket.socket:
    """Returns in each copy, with its socket to the worker; the server itself ends here, with its worker.

    The copy is a grandchild whose parent has exited, so that the kernel reparents it to the worker (subreaper).
    """
    gc.collect()
    gc.freeze()  # The current objects stay shared with every copy: the garbage collector must not touch them.
    between, to_server = os.pipe()
    os.set_blocking(between, False)
    while True:
        said, descriptors, _, _ = socket.recv_fds(orders, 1, 2)
        if not said:
            os._exit(0)
        given = ForkDescriptors(*descriptors)
        pid, parent = _forked_twice(to_server)
        if pid is None:
            for ours in (orders.detach(), between, to_server):
                os.close(ours)
            os.dup2(given.stderr, 2)
            os.close(given.stderr)
            _await_adoption(parent)
            return socket.socket(fileno=given.connection)
        if pid > 0:
            # The copy is the worker's child only once the process between them has exited.
            os.waitpid(pid, 0)
            pid = _told(between)
        os.close(given.connection)
        os.close(given.stderr)
        orders.sendall(REPLY.pack(pid))


def _forked_twice(to_server: int) -> tuple[int | None, int]:
    """In the copy: None and its parent's pid. In the server: the pid of the process between, or a negative errno, and
    its own pid."""
    try:
        between = os.fork()
    except OSError as error:
        return -(error.errno or 1), os.getpid()
    parent = os.getpid()
    if between:
        return between, parent
    try:
        pid = os.fork()
    except OSError as error:
        pid = -(error.errno or 1)
    if pid == 0:
        return None, parent
    os.write(to_server, REPLY.pack(pid))
    os._exit(0)


def _await_adoption(parent: int) -> None:
    """Waits until this parent has exited, which it is about to do."""
    if sys.platform == "linux" and os.getppid() == parent:
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(parent)
            select.select([descriptor], [], [])
            os.close(descriptor)


def _told(between: int) -> int:
    """The reply of the process between; a negative errno if it was killed before it could reply."""
    with contextlib.suppress(BlockingIOError):
        return int(REPLY.unpack(os.read(between, REPLY.size))[0])
    return -errno.ECHILD
