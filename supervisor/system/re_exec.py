"""The daemon's process begins again where it is: same number, same arguments, none of its memory.

Runs in: supervisor.

After a failed sync the kernel counts as clean what it never wrote, and no later sync tells
(https://wiki.postgresql.org/wiki/Fsync_Errors). What SQLite remembers of its log may then differ from the file, and
it is not known here which of the last transactions are in it. To sort that out beside jobs in hand and answers on
their way would be a second, seldom walked road; exec(2) takes that of `kill -9`, for which this daemon is built and
tested. With the old process go its memory, SQLite's locks and every descriptor, that of the daemon's lock too (the
next one has to win it again); SQLite reads the log by its checksums, it is written again (`wal_sync`), and the
jobs that ran wait again.
"""

import os
import signal
import sys
from typing import NamedTuple, NoReturn

from supervisor.system.signals import keep_back

COUNTED_BY = "STENOD_NEW_STARTS"
"""The environment variable that tells a process the number of its start in a row; 0: it was started from outside."""
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
WELL_AFTER_SECONDS = 600.0
"""A process that lived so long before its disk failed is the first in its row."""


class RestartPause(NamedTuple):
    """How long the disk is left alone."""

    seconds: float
    next_start: int
    """The number in its row of the start that follows, from 1 on."""


def pause_before(new_starts: int, lived_seconds: float) -> RestartPause:
    """After so many new starts in a row, the last of them so long ago; doubles with each. Pure."""
    in_a_row = 0 if lived_seconds >= WELL_AFTER_SECONDS else new_starts
    seconds = min(FIRST_PAUSE_SECONDS * 2.0 ** min(in_a_row, 10), LONGEST_PAUSE_SECONDS)
    return RestartPause(seconds, in_a_row + 1)


def new_starts_before() -> int:
    """The number of this one in its row; 0: it was started from outside. No child hears of the variable."""
    told = os.environ.pop(COUNTED_BY, "0")
    return int(told) if told.isdecimal() else 0


def reap_children() -> None:
    """Those that the process had before it began again, and that multiprocessing therefore does not know."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def re_exec(new_starts: int) -> NoReturn:
    """Raises OSError where Python itself is gone. Workers must have ended: the new process would not know them."""
    keep_back()
    # A timer survives exec, its handler does not: the alarm would end the new process.
    signal.setitimer(signal.ITIMER_REAL, 0)
    environment = {**os.environ, COUNTED_BY: str(new_starts)}
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)
