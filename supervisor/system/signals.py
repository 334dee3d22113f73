"""Signals from the daemon's first line to its last: none of them ends it by the system's own default.

Runs in: supervisor. Imported before everything else of the daemon, so it imports next to nothing.

The system ends a process that has not said what a signal means to it. Until the event loop listens, and once it has
closed, these handlers replace it: a SIGHUP is remembered, a SIGTERM ends a daemon that has no worker yet
and cleanly, and what means nothing to us does nothing. They are functions and not SIG_IGN, which every hook and every
worker would inherit.
"""

import os
import signal
import sys
from collections.abc import Iterable
from itertools import pairwise
from types import FrameType

ASKS_TO_END = (signal.SIGTERM, signal.SIGINT)
HANGS_UP = signal.SIGHUP
STRAY = ("SIGUSR1", "SIGUSR2", "SIGALRM", "SIGVTALRM", "SIGPROF", "SIGIO", "SIGPWR", "SIGSTKFLT", "SIGEMT", "SIGINFO")
"""What may be sent by mistake, or by a timer, and would end us; not every system has all."""

_caught: set[int] = set()
"""What came while no loop listened."""
_had_terminal = False


def is_daemon(command: Iterable[str]) -> bool:
    """Whether this command line (`sys.orig_argv`) starts the daemon; a worker's or a test's does not."""
    return ("-m", "supervisor") in pairwise(command)


def listen() -> None:
    """From now on no signal ends the daemon by default. In the main thread, before there is a worker."""
    global _had_terminal
    _had_terminal = sys.stderr is not None and os.isatty(2)
    signal.signal(HANGS_UP, remember)
    for number in ASKS_TO_END:
        signal.signal(number, _end_at_once)
    for stray in _stray():
        if signal.getsignal(stray) is signal.SIG_DFL:
            signal.signal(stray, remember)
    # `steno serve` blocked them before it became this process, until they are handled.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (HANGS_UP, *ASKS_TO_END))


def leave() -> None:
    """The last of all: Python, as it ends, gives back to the system every signal that is not ignored."""
    # But not the alarm: it is the last of all deadlines.
    for number in {HANGS_UP, *ASKS_TO_END, *_stray()} - {signal.SIGALRM}:
        signal.signal(number, signal.SIG_IGN)


def was_hung_up() -> bool:
    """Whether a SIGHUP came before the loop listened."""
    return HANGS_UP in _caught


def had_terminal() -> bool:
    """Whether the daemon began in a terminal, which may be gone by now."""
    return _had_terminal


def _stray() -> Iterable[int]:
    for name in STRAY:
        if (number := getattr(signal, name, None)) is not None:
            yield number
    if sys.platform == "linux":
        yield from range(signal.SIGRTMIN, signal.SIGRTMAX + 1)


def remember(number: int, frame: FrameType | None) -> None:
    """The handler of a signal that cannot be acted on just now."""
    _caught.add(number)


def _end_at_once(number: int, frame: FrameType | None) -> None:
    # There is no worker yet, and what is on the disk takes any exit.
    os._exit(0)
