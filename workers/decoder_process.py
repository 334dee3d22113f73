"""A decoder as the worker sees it: a child for one recording, which may crash, hang or lie at its own cost only.

Runs in: worker.
"""

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import psutil

from ipc.decoder_messages import DecodeThis, FromDecoder, Lines, as_line
from ipc.fault_points import ARMED_BY

PROGRAM = (sys.executable, "-P", "-s", "-m", "workers.decoder_main")
ROOT = Path(__file__).resolve().parent.parent
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

    def __init__(self, program: Sequence[str] = PROGRAM) -> None:
        """Starts it; it gets ready by itself. Raises OSError where no process can be had."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = subprocess.Popen(
                    [*program, str(theirs.fileno()), str(os.getpid())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    pass_fds=(theirs.fileno(),),
                    env=environment(),
                    bufsize=0,
                )
        except BaseException:
            ours.close()
            raise
        self.pid = self._process.pid
        self._line = ours
        self._line.setblocking(False)
        assert self._process.stderr is not None
        self._stderr: IO[bytes] = self._process.stderr
        os.set_blocking(self._stderr.fileno(), False)
        self._lines = Lines()
        self._last_words = b""
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._line, selectors.EVENT_READ)
        self._selector.register(self._stderr, selectors.EVENT_READ)

    @property
    def last_words(self) -> str:
        """What it wrote on stderr: the traceback of a crash."""
        return self._last_words.decode(errors="replace")

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

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
            socket.send_fds(self._line, [line[:1]], [pcm])
            self._line.sendall(line[1:])
        except OSError as error:
            raise DecoderLost(str(error)) from error

    def hear(self, seconds: float) -> Iterator[FromDecoder]:
        """What it says within so many seconds; ends at the first news, or without any.

        Raises DecoderLost when all is heard and nothing more can come, and BadLine.
        """
        for key, _ in self._selector.select(seconds):
            if key.fileobj is self._stderr:
                self._read_stderr()
                continue
            try:
                piece = self._line.recv(PIECE_BYTES)
            except BlockingIOError:
                continue
            except OSError as error:
                raise DecoderLost(str(error)) from error
            if not piece:
                raise DecoderLost("end of the line")
            yield from self._lines.feed(piece)

    def end(self, wait_seconds: float = REAP_SECONDS) -> int | None:
        """Kill it, close our ends. Its exit status as subprocess gives it; None: the kernel still holds it."""
        if self._process.poll() is None:
            self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(wait_seconds)
            if not self._stderr.closed:
                self._read_stderr()
        self._close()
        return self._process.returncode

    def died_of(self, wait_seconds: float) -> int | None:
        """The exit status of one that ends by itself; killed if it does not. As `end`."""
        try:
            self._process.wait(wait_seconds)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGKILL)
        return self.end()

    def _read_stderr(self) -> None:
        """What there is of it. Kept from FFmpeg's chatter to the traceback: a full pipe would hold the decoder up."""
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(self._stderr.fileno(), PIECE_BYTES):
                self._last_words = (self._last_words + piece)[-LAST_WORDS_BYTES:]
            # Its end: it would be told again and again.
            with contextlib.suppress(KeyError):
                self._selector.unregister(self._stderr)

    def _close(self) -> None:
        if self._stderr.closed:
            return
        self._selector.close()
        self._line.close()
        self._stderr.close()


def environment() -> dict[str, str]:
    """All that a decoder is told of the world: no secret of the owner's environment, and no home. Pure."""
    told = {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    if ARMED_BY in os.environ:
        told[ARMED_BY] = os.environ[ARMED_BY]
    return told
