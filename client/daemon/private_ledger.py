"""Which files earlier private daemons wrote: kept between them, so that the next one replaces its own and no other.

Runs in: the user's shell. It is the queue of the last one, with every job forgotten: paths and hashes, no text.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Self

from client.daemon.connection import DaemonClient
from client.terminal.errors import NoDaemon, Refusal
from config.ownership import make_private
from config.places import Places
from ipc.vocabulary import FINISHED

ANSWER_SECONDS = 2.0
"""The command is about to end; a daemon that is slower than this keeps no ledger."""
MOST_JOBS = 10_000
CAREFULLY = os.O_NOFOLLOW | os.O_CLOEXEC


class PrivateLedger:
    """The ledger, on loan to one private daemon at a time: two would overwrite each other's."""

    def __init__(self, owner: Places, home: Places) -> None:
        self._kept = owner.state / "transcribed.sqlite3"
        self._lent = home.database

    @classmethod
    @contextmanager
    def lent(cls, owner: Places, home: Places) -> Iterator[Self | None]:
        """Copied into a private daemon's home. None: another command has it, or its folder cannot be written."""
        with ExitStack() as held:
            ledger = cls(owner, home)
            try:
                make_private(owner.state)
                make_private(home.state)
                lock = os.open(owner.state / "transcribed.lock", os.O_RDWR | os.O_CREAT | CAREFULLY, 0o600)
                held.callback(os.close, lock)
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                with suppress(FileNotFoundError):
                    _copy(ledger._kept, ledger._lent)
            except OSError:
                ledger.drop()
                yield None
                return
            yield ledger

    def drop(self) -> bool:
        """Whether there was one: a damaged or newer one must not keep a daemon from starting."""
        try:
            self._lent.unlink()
        except FileNotFoundError:
            return False
        return True

    def forget_jobs(self, socket: Path) -> bool:
        """Whether nothing of this daemon's jobs is left but what they wrote."""
        try:
            with DaemonClient(socket, ANSWER_SECONDS) as daemon:
                for job in daemon.jobs(limit=MOST_JOBS):
                    if job.status not in FINISHED:
                        daemon.cancel(job.id)
                    daemon.forget(job.id)
        except (NoDaemon, Refusal):
            return False
        return True

    def keep(self) -> None:
        """Call it once the daemon has stopped in order. If it fails, the next one only chooses other names."""
        wal = self._lent.with_name(f"{self._lent.name}-wal")
        if wal.exists() and wal.stat().st_size:
            return  # not all of it is in the file
        new = self._kept.with_suffix(".new")
        with suppress(OSError):
            _copy(self._lent, new)
            new.replace(self._kept)


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as old, open(_private(target), "wb") as new:
        shutil.copyfileobj(old, new)
        new.flush()
        os.fsync(new.fileno())


def _private(file: Path) -> int:
    return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | CAREFULLY, 0o600)
