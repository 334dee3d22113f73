"""The fork server's own side: it waits with everything loaded, and each copy of it that the worker asks for decodes.

Runs in: worker (the fork server, a child of the worker's). Linux only.

It has one thread, reads no recording and is told nothing of any: the request goes to the copy.
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
"""Among its words: be the server."""
NAME = "stenod-decoder"
"""What fault points know it by, and `ps`: of the server and of its copies."""
REPLY = struct.Struct("=i")
"""The new decoder's pid, or the number of the error below zero."""


class Given(NamedTuple):
    """What a decoder is born with."""

    line: int
    stderr: int


def copies(orders: socket.socket) -> socket.socket:
    """Returns in each copy, with its line to the worker; the server itself ends here, with its worker.

    The copy is a grandchild whose parent has ended, so that the kernel has given it to the worker for a child.
    """
    gc.collect()
    gc.freeze()  # What is here now stays shared with every copy: the garbage collector leaves it alone.
    between, to_server = os.pipe()
    os.set_blocking(between, False)
    while True:
        said, descriptors, _, _ = socket.recv_fds(orders, 1, 2)
        if not said:
            os._exit(0)
        given = Given(*descriptors)
        pid, parent = _forked_twice(to_server)
        if pid is None:
            for ours in (orders.detach(), between, to_server):
                os.close(ours)
            os.dup2(given.stderr, 2)
            os.close(given.stderr)
            _await_adoption(parent)
            return socket.socket(fileno=given.line)
        if pid > 0:
            # Only once the one between has ended is the copy the worker's child.
            os.waitpid(pid, 0)
            pid = _told(between)
        os.close(given.line)
        os.close(given.stderr)
        orders.sendall(REPLY.pack(pid))


def _forked_twice(to_server: int) -> tuple[int | None, int]:
    """In the copy None, and its parent's pid; in the server the pid of the one between, or an error's number below
    zero, and its own."""
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
    """Until this parent has ended, which it is about to."""
    if sys.platform == "linux" and os.getppid() == parent:
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(parent)
            select.select([descriptor], [], [])
            os.close(descriptor)


def _told(between: int) -> int:
    """What the one between has left; if it was ended before it could, an error's number."""
    with contextlib.suppress(BlockingIOError):
        return int(REPLY.unpack(os.read(between, REPLY.size))[0])
    return -errno.ECHILD
