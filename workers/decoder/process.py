"""A decoder as the worker sees it: a child for one recording, which may crash, hang or lie at its own cost only.

Runs in: worker.
"""

import contextlib
import os
import selectors
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from ipc.decoder_messages import DecodeThis, FromDecoder, Lines, as_line
from ipc.failpoints import ARMED_BY
from workers.decoder.forked_child import ForkedChild

PROGRAM = (sys.executable, "-P", "-s", "-m", "workers.decoder")
ROOT = Path(__file__).resolve().parents[2]
"""Where our packages lie."""
LAST_WORDS_BYTES = 16_384
"""As much as is kept of what it wrote on stderr: faulthandler's traceback comes last."""
PIECE_BYTES = 65_536
REAP_SECONDS = 0.5
"""From SIGKILL to the exit status. Longer is a process that the kernel holds, waiting for a disk."""


class DecoderLost(Exception):
    """It is gone, or stopped making sense."""


class DecoderProcess:
    """One child from start to end. `end` is due whatever happens."""

    def __init__(self, child: subprocess.Popen[bytes] | ForkedChild, line: socket.socket, stderr: int) -> None:
        """`line` and `stderr`, a descriptor, are our ends, and this object's from now on."""
        self._child = child
        self.pid = child.pid
        self.line = line
        self.line.setblocking(False)
        self._stderr = stderr
        os.set_blocking(stderr, False)
        self._is_closed = False
        self._lines = Lines()
        self._last_words = b""
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.line, selectors.EVENT_READ)
        self._selector.register(self._stderr, selectors.EVENT_READ)

    @property
    def last_words(self) -> str:
        """What it wrote on stderr: the traceback of a crash."""
        return self._last_words.decode(errors="replace")

    @property
    def is_alive(self) -> bool:
        return self._child.poll() is None

    @property
    def is_computing(self) -> bool:
        """Whether a processor works for it now, or should: one that is not waits for a disk, or is stopped."""
        try:
            return bool(psutil.Process(self.pid).status() == psutil.STATUS_RUNNING)
        except psutil.Error:
            return False

    def ask(self, this: DecodeThis, pcm: int) -> None:
        """Send the request and the open PCM file. Raises DecoderLost."""
        line = as_line(this)
        try:
            # It reads as soon as it is ready; a request is far smaller than what the socket holds.
            socket.send_fds(self.line, [line[:1]], [pcm])
            self.line.sendall(line[1:])
        except OSError as error:
            raise DecoderLost(str(error)) from error

    def hear(self, seconds: float) -> Iterator[FromDecoder]:
        """What it says within so many seconds; ends at the first news, or without any.

        Raises DecoderLost when all is heard and nothing more can come, and BadLine.
        """
        piece = self.hear_bytes(seconds)
        if piece is not None:
            yield from self._lines.feed(piece)

    def hear_bytes(self, seconds: float) -> bytes | None:
        """As `hear`, as it came. None: nothing, or something on stderr."""
        if self._is_closed:
            raise DecoderLost("it was ended")
        piece = None
        for key, _ in self._selector.select(seconds):
            if key.fileobj == self._stderr:
                self._read_stderr()
                continue
            try:
                piece = self.line.recv(PIECE_BYTES)
            except BlockingIOError:
                continue
            except OSError as error:
                raise DecoderLost(str(error)) from error
            if not piece:
                raise DecoderLost("end of the line")
        return piece

    def end(self, wait_seconds: float = REAP_SECONDS) -> int | None:
        """Kill it, close our ends. Its exit status as subprocess gives it; None: the kernel still holds it."""
        if self._child.poll() is None:
            self._child.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(wait_seconds)
            if not self._is_closed:
                self._read_stderr()
        self._close()
        return self._child.returncode

    def died_of(self, wait_seconds: float) -> int | None:
        """The exit status of one that ends by itself; killed if it does not. As `end`."""
        try:
            self._child.wait(wait_seconds)
        except subprocess.TimeoutExpired:
            self._child.kill()
        return self.end()

    def _read_stderr(self) -> None:
        """What there is of it. Kept from FFmpeg's chatter to the traceback: a full pipe would hold the decoder up."""
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(self._stderr, PIECE_BYTES):
                self._last_words = (self._last_words + piece)[-LAST_WORDS_BYTES:]
            # Its end: it would be told again and again.
            with contextlib.suppress(KeyError):
                self._selector.unregister(self._stderr)

    def _close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self._selector.close()
        self.line.close()
        os.close(self._stderr)


def spawned(program: Sequence[str] = PROGRAM) -> DecoderProcess:
    """A decoder that gets ready by itself. Raises OSError where no process can be had."""
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
    """All that a decoder is told of the world: no secret of the owner's environment, and no home. Pure."""
    told = {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    if ARMED_BY in os.environ:
        told[ARMED_BY] = os.environ[ARMED_BY]
    return told
