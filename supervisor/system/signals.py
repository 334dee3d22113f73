"""Signal handlers from the daemon's first line to its last: no signal ends it by the system's default action.

Runs in: supervisor. Imported before everything else of the daemon, so it imports next to nothing.

The default action of most signals ends a process. Before the event loop installs its handlers, and after it has
closed, these handlers apply: a SIGHUP is remembered, a SIGTERM ends a daemon that has no worker yet with code 0, and
other signals do nothing. They are functions, not SIG_IGN, which every hook and worker would inherit.
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
"""Signals that may be sent by mistake, or by a timer, and would end the daemon; not every system has all of them."""

_caught: set[int] = set()
"""Signals that arrived while no loop handled them."""
_had_terminal = False


def is_daemon(command: Iterable[str]) -> bool:
    """Whether this command line (`sys.orig_argv`) starts the daemon; a worker's or a test's does not."""
    return ("-m", "supervisor") in pairwise(command)


def listen() -> None:
    """Installs the handlers. Call it in the main thread, before there is a worker."""
    global _had_terminal
    _had_terminal = sys.stderr is not None and os.isatty(2)
    signal.signal(HANGS_UP, remember)
    for number in ASKS_TO_END:
        signal.signal(number, _end_at_once)
    for stray in _stray():
        if signal.getsignal(stray) is signal.SIG_DFL:
            signal.signal(stray, remember)
    # `steno serve` blocked them before its exec of this process.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (HANGS_UP, *ASKS_TO_END))


def leave() -> None:
    """The last call: at exit Python restores the default action of every signal that is not ignored."""
    # Except the alarm: it is the final deadline of the exit.
    for number in {HANGS_UP, *ASKS_TO_END, *_stray()} - {signal.SIGALRM}:
        signal.signal(number, signal.SIG_IGN)


def was_hung_up() -> bool:
    """Whether a SIGHUP arrived before the loop handled it."""
    return HANGS_UP in _caught


def had_terminal() -> bool:
    """Whether the daemon was started in a terminal, which may be closed by now."""
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
    # There is no worker yet, and the data on the disk survives any exit.
    os._exit(0)
