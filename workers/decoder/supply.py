"""The supply of decoders, each ready within milliseconds and for one recording.

Runs in: worker. Only on its main thread: Linux ends a child with the thread that started it.

Starting a decoder takes a quarter of a second of processor time, nearly all of it for imports. On Linux a *fork
server* imports once, and each decoder is a fork of it. On macOS the system's libraries do not survive a fork: there a
spare decoder is started ahead of its recording.
"""

import contextlib
import os
import socket
import sys
import time
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import psutil

from workers.decoder.fork_server import FORKS, NAME, REPLY
from workers.decoder.forked_child import ForkedChild, adopt_orphans
from workers.decoder.process import DecoderLost, DecoderProcess, spawned
from workers.decoder.verdict import DecoderDeath, DecoderDied, death_of

BOOT_SECONDS = 20.0
"""Deadline for a decoder to get ready, which takes a quarter of a second on an idle machine."""
LOOK_SECONDS = 0.2
"""How often a silent server and cancels are checked."""
LOOKS_FOR_STRAYS = 4
DYING_SECONDS = 2.0
"""Deadline for a process that closed its socket to exit."""

StartMethod = Literal["fork", "spawn"]


class Supply(Protocol):
    """Supplies a decoder for each recording."""

    def make_ready(self) -> None:
        """Prepares ahead what it can. Raises OSError if no process can be started."""

    def take(self, meanwhile: Callable[[], None]) -> DecoderProcess:
        """A decoder without a request yet. `meanwhile` is called repeatedly during the wait, and its exceptions
        propagate. Raises OSError if no process can be started, and DecoderDied."""

    def close(self) -> None:
        """Ends the decoder or server that is ready. It may be used again."""


def way_of(platform: str, *, has_pidfd: bool) -> StartMethod:
    """The best way to start a decoder on this platform. Pure."""
    return "fork" if platform == "linux" and has_pidfd else "spawn"


def supply_for(program: Sequence[str], way: StartMethod | None = None) -> Supply:
    """The supply for this machine; `way`: another one, for tests."""
    way = way or way_of(sys.platform, has_pidfd=hasattr(os, "pidfd_open"))
    return ForkServer(program) if way == "fork" else Spare(program)


class Spare:
    """Keeps one decoder ready, and starts the next when it is taken."""

    def __init__(self, program: Sequence[str]) -> None:
        self._program = program
        self._spare: DecoderProcess | None = None

    def make_ready(self) -> None:
        """See Supply."""
        if self._spare is None or not self._spare.is_alive:
            self.close()
            self._spare = spawned(self._program)

    def take(self, meanwhile: Callable[[], None]) -> DecoderProcess:
        """See Supply."""
        self.make_ready()
        spare, self._spare = self._spare, None
        assert spare is not None
        return spare

    def close(self) -> None:
        """See Supply."""
        if self._spare is not None:
            self._spare.end()
            self._spare = None


class ForkServer:
    """A process with all imports of decoding, which reads no recording itself, and forks the decoders.

    The next decoder is forked ahead. It is a child of the worker and not of the server: neither depends on the other,
    and the worker gets the exit status of each decoder.
    """

    def __init__(self, program: Sequence[str]) -> None:
        self._program = [*program, FORKS]
        self._server: DecoderProcess | None = None
        self._coming: tuple[socket.socket, int] | None = None
        """Socket and stderr of the decoder whose pid the server will report."""
        self._looks_for_strays = 0
        """How often to look for decoders of a server that was lost in the middle of a fork: they exit alone, and this
        process must reap them."""

    def make_ready(self) -> None:
        """See Supply."""
        if self._server is None or not self._server.is_alive:
            self.close()
            adopt_orphans()
            self._server = spawned(self._program)
        self._reap_strays()
        if self._coming is None:
            self._coming = _order(self._server)

    def take(self, meanwhile: Callable[[], None]) -> DecoderProcess:
        """See Supply."""
        self.make_ready()
        assert self._server is not None and self._coming is not None
        try:
            pid = self._told(self._server, meanwhile)
        except BaseException:
            # A late reply would be taken for the next one's.
            self.close()
            raise
        (connection, stderr), self._coming = self._coming, None
        return DecoderProcess(ForkedChild(pid), connection, stderr)

    def close(self) -> None:
        """See Supply."""
        server, self._server = self._server, None
        coming, self._coming = self._coming, None
        self._reap_strays()
        if server is None:
            return
        if coming is not None:
            connection, stderr = coming
            self._looks_for_strays = LOOKS_FOR_STRAYS
            with contextlib.suppress(OSError):
                server.connection.shutdown(socket.SHUT_WR)  # it still delivers what was ordered, and exits
            with contextlib.suppress(DecoderLost, OSError):
                if (said := server.hear_bytes(DYING_SECONDS)) and (pid := REPLY.unpack(said)[0]) > 0:
                    self._looks_for_strays = 0
                    DecoderProcess(ForkedChild(pid), connection, os.dup(stderr)).end()
            connection.close()
            os.close(stderr)
        server.end()

    def _told(self, server: DecoderProcess, meanwhile: Callable[[], None]) -> int:
        """The new decoder's pid. Raises OSError if none can be started, DecoderDied if the server fails."""
        try:
            until = time.monotonic() + BOOT_SECONDS
            while (said := server.hear_bytes(LOOK_SECONDS)) is None:
                if time.monotonic() >= until:
                    death = DecoderDeath("timeout", f"it was not ready after {BOOT_SECONDS:.0f} s")
                    raise DecoderDied(death, had_begun=False)
                meanwhile()
        except DecoderLost as error:
            death = death_of(server.died_of(DYING_SECONDS), server.last_words)
            raise DecoderDied(death, had_begun=False) from error
        (pid,) = REPLY.unpack(said)
        if pid < 0:
            raise OSError(-pid, os.strerror(-pid))
        return int(pid)

    def _reap_strays(self) -> None:
        """A decoder whose pid was never reported exits when its socket is closed."""
        if not self._looks_for_strays:
            return
        self._looks_for_strays -= 1
        for child in psutil.Process().children():
            with contextlib.suppress(psutil.Error, ChildProcessError):
                if child.name() == NAME and child.status() == psutil.STATUS_ZOMBIE:
                    os.waitpid(child.pid, os.WNOHANG)


def _order(server: DecoderProcess) -> tuple[socket.socket, int]:
    """Our ends of a decoder's socket and stderr; the server has the others. Raises OSError if they cannot be
    created."""
    connection, its_connection = socket.socketpair()
    stderr, its_stderr = os.pipe()
    # A dead server is noticed by the wait for its reply.
    with contextlib.suppress(BrokenPipeError, ConnectionError):
        socket.send_fds(server.connection, [b"f"], [its_connection.fileno(), its_stderr])
    its_connection.close()
    os.close(its_stderr)
    return connection, stderr
