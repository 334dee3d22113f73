"""Keys as they are typed, without Enter, and a bell that other threads and signals may ring meanwhile.

Runs in: the user's shell.
"""

import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Self

AT_ONCE_BYTES = 1024
Handler = Callable[[int, FrameType | None], Any] | int | None


class Keyboard:
    """A terminal borrowed for a while: however the block ends, by SIGTERM too, it behaves afterwards as before.

    Ctrl-C stays KeyboardInterrupt. SIGTERM and SIGHUP end the block with SystemExit, so that what was drawn is
    taken away.
    """

    def __init__(self) -> None:
        self.was_suspended = False
        """Somebody pressed Ctrl-Z: the owner of the screen tidies up and calls `suspend`."""
        self._fd = sys.stdin.fileno() if sys.stdin.isatty() else None
        self._before: list[Any] | None = None
        self._handlers: dict[signal.Signals, Handler] = {}
        self._hears, self._rings = os.pipe()
        os.set_blocking(self._rings, False)
        os.set_blocking(self._hears, False)

    def __enter__(self) -> Self:
        self._take()
        for number in (signal.SIGTERM, signal.SIGHUP):
            self._handlers[number] = signal.signal(number, _leave)
        self._handlers[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, lambda number, frame: self.ring())
        self._handlers[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, self._suspended)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._handlers.items():
            signal.signal(number, before)
        self._give_back()

    def ring(self) -> None:
        """End the `wait` that is going on, or the next one. From any thread; rings that nobody heard are one."""
        with suppress(BlockingIOError):  # it has rung more often than anybody could count
            os.write(self._rings, b"!")

    def wait(self, seconds: float) -> str:
        """What was typed; empty when the time is over or the bell rang."""
        sources = [self._hears] if self._fd is None else [self._hears, self._fd]
        ready, _, _ = select.select(sources, [], [], seconds)
        if self._hears in ready:
            os.read(self._hears, AT_ONCE_BYTES)
        if self._fd is None or self._fd not in ready:
            return ""
        typed = os.read(self._fd, AT_ONCE_BYTES)
        if not typed:
            self._fd = None  # the terminal is gone; its hang-up will end us
        return typed.decode(errors="replace")

    def suspend(self) -> None:
        """Do what Ctrl-Z asked for; returns when the shell lets us go on."""
        self.was_suspended = False
        self._give_back()
        signal.raise_signal(signal.SIGSTOP)
        self._take()

    def _take(self) -> None:
        if self._fd is not None:
            self._before = termios.tcgetattr(self._fd)
            tty.setcbreak(self._fd)

    def _give_back(self) -> None:
        if self._fd is not None and self._before is not None:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)

    def _suspended(self, number: int, frame: FrameType | None) -> None:
        self.was_suspended = True
        self.ring()


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
