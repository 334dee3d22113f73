"""A decoder as the worker sees it: a child process for one recording, whose crash, hang or garbage harms only itself.

Runs in: worker.
"""

import contextlib
import os
import selectors
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence

import psutil

from ipc.decoder_messages import DecoderRequest, FromDecoder, Lines, as_line
from ipc.failpoints import ARMED_BY
from ipc.program import arguments
from workers.decoder.forked_child import ForkedChild

PROGRAM = (sys.executable, "-s", *arguments("workers.decoder"))
LAST_WORDS_BYTES = 16_384
"""How much of its stderr is kept: faulthandler's traceback comes last."""
PIECE_BYTES = 65_536
REAP_SECONDS = 0.5
"""From SIGKILL to the exit status. A process that takes longer waits in the kernel for a disk."""


class DecoderLost(Exception):
    """The decoder exited, or sent garbage."""


class DecoderProcess:
    """One child from start to exit. The caller must call `end` in every case."""

    def __init__(self, child: subprocess.Popen[bytes] | ForkedChild, connection: socket.socket, stderr: int) -> None:
        """Takes ownership of `connection` and of the descriptor `stderr`, the worker's ends."""
        self._child = child
        self.pid = child.pid
        self.connection = connection
        self.connection.setblocking(False)
        self._stderr = stderr
        os.set_blocking(stderr, False)
        self._is_closed = False
        self._lines = Lines()
        self._last_words = b""
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.connection, selectors.EVENT_READ)
        self._selector.register(self._stderr, selectors.EVENT_READ)

    @property
    def last_words(self) -> str:
        """Its stderr: the traceback of a crash."""
        return self._last_words.decode(errors="replace")

    @property
    def is_alive(self) -> bool:
        return self._child.poll() is None

    @property
    def is_computing(self) -> bool:
        """Whether it runs on a processor or is runnable; otherwise it waits for a disk, or is stopped."""
        try:
            return bool(psutil.Process(self.pid).status() == psutil.STATUS_RUNNING)
        except psutil.Error:
            return False

    def ask(self, this: DecoderRequest, pcm: int) -> None:
        """Sends the request and the descriptor of the PCM file. Raises DecoderLost."""
        line = as_line(this)
        try:
            # It reads once it is ready; a request is far smaller than the socket's buffer.
            socket.send_fds(self.connection, [line[:1]], [pcm])
            self.connection.sendall(line[1:])
        except OSError as error:
            raise DecoderLost(str(error)) from error

    def hear(self, seconds: float) -> Iterator[FromDecoder]:
        """Its messages within `seconds`; returns after the first batch, or without any.

        Raises DecoderLost after the last message, and BadLine.
        """
        piece = self.hear_bytes(seconds)
        if piece is not None:
            yield from self._lines.feed(piece)

    def hear_bytes(self, seconds: float) -> bytes | None:
        """As `hear`, as raw bytes. None: nothing, or only stderr."""
        if self._is_closed:
            raise DecoderLost("it was ended")
        piece = None
        for key, _ in self._selector.select(seconds):
            if key.fileobj == self._stderr:
                self._read_stderr()
                continue
            try:
                piece = self.connection.recv(PIECE_BYTES)
            except BlockingIOError:
                continue
            except OSError as error:
                raise DecoderLost(str(error)) from error
            if not piece:
                raise DecoderLost("end of the connection")
        return piece

    def end(self, wait_seconds: float = REAP_SECONDS) -> int | None:
        """Kills it and closes our ends. Returns its exit status as subprocess does; None: it waits in the kernel."""
        if self._child.poll() is None:
            self._child.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(wait_seconds)
            if not self._is_closed:
                self._read_stderr()
        self._close()
        return self._child.returncode

    def died_of(self, wait_seconds: float) -> int | None:
        """Waits for it to exit, then kills it; otherwise as `end`."""
        try:
            self._child.wait(wait_seconds)
        except subprocess.TimeoutExpired:
            self._child.kill()
        return self.end()

    def _read_stderr(self) -> None:
        """Reads stderr without blocking, including FFmpeg's messages: a full pipe would block the decoder."""
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(self._stderr, PIECE_BYTES):
                self._last_words = (self._last_words + piece)[-LAST_WORDS_BYTES:]
            # End of file: otherwise the selector would report it again and again.
            with contextlib.suppress(KeyError):
                self._selector.unregister(self._stderr)

    def _close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self._selector.close()
        self.connection.close()
        os.close(self._stderr)


def spawned(program: Sequence[str] = PROGRAM) -> DecoderProcess:
    """Starts a decoder process. Raises OSError if no process can be started."""
    ours, theirs = socket.socketpair()
    stderr, its_stderr = os.pipe()
    try:
        child = subprocess.Popen(
            [*program, str(theirs.fileno()), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=its_stderr,
            pass_fds=(theirs.fileno(),),
            env=environment(),
            bufsize=0,
        )
    except BaseException:
        ours.close()
        os.close(stderr)
        raise
    finally:
        theirs.close()
        os.close(its_stderr)
    return DecoderProcess(child, ours, stderr)


def environment() -> dict[str, str]:
    """The decoder's whole environment: none of the owner's secrets, and no home. Pure."""
    told = {"PYTHONUTF8": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    if ARMED_BY in os.environ:
        told[ARMED_BY] = os.environ[ARMED_BY]
    return told
