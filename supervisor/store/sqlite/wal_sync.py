"""The database's write-ahead log, brought safely to the disk beside the database's own thread.

Runs in: supervisor.

With `synchronous = FULL` SQLite would sync its log inside COMMIT, and for these 4 to 10 ms no caller could use the
one connection. With NORMAL it writes the same log, leaves this sync to us, and keeps for itself only those
around a checkpoint. A transaction is stored when its record is in the log and the log on the disk, as ever.

Two threads sync, and yet everything is told in the order in which it was written: a sync that ends has brought to
the disk all that was written before it began, also what another sync, begun earlier, is still at work on.
"""

import os
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

from ipc.durable_file import sync
from ipc.failpoints import hit

SYNCS_AT_ONCE = 2
"""A transaction that commits while a sync is under way does not wait for that one's end before its own begins."""

BLOCK_BYTES = 1 << 20

Told = Callable[[OSError | None], None]
"""Hears that all is safe, or why it is not; called in a thread of the log."""


class WriteAheadLog:
    """A caller that asks while others wait shares the next sync; callers are answered in the order they asked."""

    def __init__(self, database: Path) -> None:
        """The log's file must be there: SQLite makes it with the first look at the database, and keeps it open."""
        # One for each thread: the system tells a failure once to each descriptor that was open. Of two threads on one
        # only the first would hear of it, and the other call safe what is not.
        self._descriptors = [_open(database) for _ in range(SYNCS_AT_ONCE)]
        self._changed = threading.Condition()
        self._untold: deque[Told] = deque()
        """In the order of their commits."""
        self._told, self._begun = 0, 0
        """How many were told since the start, and how many a sync has begun for."""
        self._closing = False
        self._telling = threading.Lock()
        """Held while some are told: their order is that of their commits whichever thread speaks."""
        self._threads = [
            threading.Thread(target=self._serve, args=[descriptor], name=f"job_log_{number}")
            for number, descriptor in enumerate(self._descriptors)
        ]
        self.failure: OSError | None = None
        """Why a sync failed. For good: the system forgets what it could not write, and the next sync would lie.

        A process that begins again heals that: `write_anew`."""
        for thread in self._threads:
            thread.start()

    def when_synced(self, told: Told) -> None:
        """`told` is called once everything written to the log before this call is on the disk.

        Never before the `told` of an earlier call.
        """
        with self._changed:
            self._untold.append(told)
            self._changed.notify()

    def close(self) -> None:
        """Waits for the syncs that were asked for."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        for descriptor in self._descriptors:
            os.close(descriptor)

    def _serve(self, descriptor: int) -> None:
        while (upto := self._next()) is not None:
            self._sync(descriptor)
            with self._telling:
                for told in self._take(upto):
                    told(self.failure)

    def _next(self) -> int | None:
        """How many since the start the next sync is for; waits for one more. None: there will be no more."""
        with self._changed:
            while (asked := self._told + len(self._untold)) == self._begun:
                if self._closing:
                    return None
                self._changed.wait()
            self._begun = asked
            return asked

    def _take(self, upto: int) -> list[Told]:
        """Those of the first so many since the start that were not told yet."""
        with self._changed:
            taken = [self._untold.popleft() for _ in range(max(0, upto - self._told))]
            self._told += len(taken)
            return taken

    def _sync(self, descriptor: int) -> None:
        hit("log_written")
        try:
            _sync_data(descriptor)
        except OSError as error:
            self.failure = error
        hit("log_synced")


def write_anew(database: Path) -> None:
    """The log's own bytes, written once more to where they stand, and synced. Raises OSError.

    What an earlier process could not sync reads as if it were on the disk, and a sync of it does nothing and says
    yes; whatever is appended would stand behind a hole, and be gone with it after a power cut. Written again, it is
    for the sync to bring to the disk, or to fail at. The caller has read the log again by its checksums and keeps
    others from writing to it. A power cut in the middle finds old bytes or new ones: they are the same.
    """
    descriptor = _open(database)
    try:
        at = 0
        while block := os.pread(descriptor, BLOCK_BYTES, at):
            at += os.pwrite(descriptor, block, at)
        if at > 0:
            _sync_data(descriptor)
    finally:
        os.close(descriptor)


def _open(database: Path) -> int:
    # No lock of SQLite's is on the log, so closing our descriptor takes none away.
    return os.open(f"{database}-wal", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)


def _sync_data(descriptor: int) -> None:
    # Not where it is missing, on macOS; there `sync` also makes the drive empty its cache.
    getattr(os, "fdatasync", sync)(descriptor)
