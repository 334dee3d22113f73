"""The client's process at the other end of a connection, for the log.

Runs in: supervisor.
"""

import socket
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Annotated

import psutil
import structlog
from fastapi import Depends, Request

from supervisor.api.unix_socket import SOL_LOCAL, UCRED, Connected, peer_uid

log = structlog.get_logger()

LOCAL_PEERPID = 2
"""macOS, <sys/un.h>: at level SOL_LOCAL."""
PID = struct.Struct("@i")
LONGEST_VERB = 20


@dataclass(frozen=True, slots=True)
class PeerProcess:
    """As the kernel reported it; the process may have exited, and its pid be reused."""

    uid: int | None
    pid: int | None

    def did(self, event: str, **facts: object) -> None:
        """Logs that its request was carried out."""
        log.info(event, **facts, uid=self.uid, pid=self.pid, command=command_of(self.pid))


def peer_at(connection: Connected) -> PeerProcess:
    """Never raises: unknown fields are None."""
    try:
        uid: int | None = peer_uid(connection)
    except (OSError, ValueError):
        uid = None
    try:
        pid = peer_pid(connection)
    except (OSError, ValueError):
        pid = None
    return PeerProcess(uid, pid)


def peer_pid(connection: Connected) -> int | None:
    """The pid of the client. Raises OSError or ValueError."""
    if sys.platform == "darwin":
        pid = pid_of(connection.getsockopt(SOL_LOCAL, LOCAL_PEERPID, PID.size), PID)
    else:
        pid = pid_of(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, UCRED.size), UCRED)
    return pid


def pid_of(raw: bytes, shape: struct.Struct) -> int | None:
    """The first number; None: the process is not visible from here, as outside a container."""
    if len(raw) != shape.size:
        raise ValueError(f"{len(raw)} bytes are not {shape.size}")
    pid = int(shape.unpack(raw)[0])
    return pid if pid > 0 else None


def command_of(pid: int | None) -> str | None:
    """`steno pause`: the program and its verb. None: it has exited, or is hidden."""
    if pid is None:
        return None
    try:
        return program_and_verb(psutil.Process(pid).cmdline())
    except (psutil.Error, OSError, ValueError):
        return None


def program_and_verb(words: Sequence[str]) -> str | None:
    """Only the program and its verb: the other arguments may be names of recordings and prompts."""
    names = list(words)
    if len(names) > 1 and PurePath(names[0]).name.startswith("python") and not names[1].startswith("-"):
        del names[0]
    if not names:
        return None
    verb = names[1] if len(names) > 1 and names[1].isalpha() and len(names[1]) <= LONGEST_VERB else ""
    return f"{PurePath(names[0]).name} {verb}".rstrip()


def _peer_of(request: Request) -> PeerProcess:
    peer = getattr(request.state, "peer", None)
    return peer if isinstance(peer, PeerProcess) else PeerProcess(None, None)


RequestPeer = Annotated[PeerProcess, Depends(_peer_of)]
"""A parameter of an endpoint."""
