"""`steno check`: checks the stored data against itself and against the disk, and repairs it where that is safe.

Runs in: supervisor; without a daemon, in the command's process.

The user's files, results included, are read but never changed: a user may delete or correct them.
"""

import asyncio
import hashlib
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from ipc.status_views import CheckView, Irregularity
from supervisor.recovery.backup import to_read
from supervisor.recovery.table_checks import LOOKS, irregular
from supervisor.store.job import RUNNING
from supervisor.store.jobs import JobQueue
from supervisor.system.threads import run_detached

FILES_AT_ONCE = 100
FILES_SECONDS = 60.0
"""Deadline for each batch of results; a disk that takes longer does not answer."""
MOST_COMPLAINTS = 5

ResultState = Literal["as_stored", "missing", "changed", "unreadable"]


@dataclass(frozen=True, slots=True)
class StoredResult:
    """A file that a job wrote, as recorded in the queue."""

    job: int
    path: str
    sha256: str


@dataclass(eq=False)
class QueueCheck:
    """One check."""

    queue: JobQueue
    spool: Path
    is_in_hand: Callable[[int], bool] = lambda job_id: False
    """Whether a task works on a job now."""
    claiming: asyncio.Lock = field(default_factory=asyncio.Lock)
    """While it is held no work begins."""

    async def run(self, *, repair: bool) -> CheckView:
        """Runs all checks. Raises JobQueueBroken."""
        found = await self._pages()
        for look in LOOKS:
            found += await self.queue.database.write(partial(look, repair=repair, age=self.queue.history.age_seconds))
        async with self.claiming:
            found += await self._strays(repair)
        found += await self._spool_folders(repair)
        results = await self.queue.database.read(_results)
        found += [one async for one in self._against_files(results)]
        counts = await self.queue.counts()
        return CheckView(jobs=sum(counts.values()), results=len(results), irregularities=tuple(found))

    async def _pages(self) -> list[Irregularity]:
        try:
            complaints = await run_detached(partial(_complaints, self.queue.database.file))
        except (sqlite3.Error, OSError) as error:
            complaints = [str(error)]
        remedy = "`steno service uninstall`, `steno restore` a backup, `steno service install`"
        return [Irregularity(check="pages", state="broken", what=one, remedy=remedy) for one in complaints]

    async def _strays(self, repair: bool) -> list[Irregularity]:
        """Jobs recorded as running without a task."""
        rows = await self.queue.database.rows(
            f"SELECT id, status FROM jobs WHERE status IN ({', '.join('?' * len(RUNNING))})", *sorted(RUNNING)
        )
        found = []
        for row in rows:
            if self.is_in_hand(row["id"]):
                continue
            if repair:
                await self.queue.move(row["id"], "waiting", note="no task was running it: found by a check")
            what = f"job {row['id']} is {row['status']}, and no task works on it"
            found.append(
                irregular("stray_job", what, repair, row["id"], otherwise="it is queued again at the next start")
            )
        return found

    async def _spool_folders(self, repair: bool) -> list[Irregularity]:
        names = await run_detached(partial(_names_in, self.spool))
        found = []
        for name in names:
            if not name.isdecimal():
                continue  # a canary's, or another program's
            rows = await self.queue.database.rows("SELECT status FROM jobs WHERE id = ?", int(name))
            status = rows[0]["status"] if rows else "forgotten"
            if status not in ("forgotten", "done", "failed", "cancelled") or self.is_in_hand(int(name)):
                continue
            if repair:
                await run_detached(partial(shutil.rmtree, self.spool / name, ignore_errors=True))
            what = f"{self.spool / name} holds the sound of job {name}, which is {status}"
            found.append(irregular("spool", what, repair, otherwise="the next start removes it"))
        return found

    async def _against_files(self, results: Sequence[StoredResult]) -> AsyncIterator[Irregularity]:
        for first in range(0, len(results), FILES_AT_ONCE):
            some = results[first : first + FILES_AT_ONCE]
            try:
                fates = await asyncio.wait_for(run_detached(partial(_fates, some)), FILES_SECONDS)
            except (TimeoutError, OSError):
                yield Irregularity(
                    check="results_unreachable",
                    state="warning",
                    what=f"{len(some)} results from {some[0].path} on did not answer within {FILES_SECONDS:g} s",
                    remedy="see that their disk is there, and check again",
                )
                continue
            for result, fate in zip(some, fates, strict=True):
                if fate != "as_stored":
                    yield _irregularity_of(result, fate)


def _names_in(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir()) if folder.is_dir() else []


def _complaints(database: Path) -> list[str]:
    """On a separate connection: checking every page must not block the queue."""
    with closing(to_read(database)) as connection:
        found = [str(row[0]) for row in connection.execute(f"PRAGMA integrity_check({MOST_COMPLAINTS})")]
    return [] if found == ["ok"] else found


def _results(connection: sqlite3.Connection) -> list[StoredResult]:
    """The newest of each name that belongs to a finished job."""
    rows = connection.execute(
        """SELECT files.job_id, files.path, files.sha256
        FROM output_files AS files JOIN jobs ON jobs.id = files.job_id
        WHERE files.sha256 IS NOT NULL AND jobs.status = 'done' ORDER BY files.job_id, files.path"""
    )
    return [StoredResult(*row) for row in rows]


def _fates(results: Sequence[StoredResult]) -> list[ResultState]:
    return [_fate(result) for result in results]


def _fate(result: StoredResult) -> ResultState:
    try:
        descriptor = os.open(result.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            digest = hashlib.file_digest(file, "sha256")
    except FileNotFoundError:
        return "missing"
    except OSError:
        return "unreadable"
    return "as_stored" if digest.hexdigest() == result.sha256 else "changed"


def _irregularity_of(result: StoredResult, fate: ResultState) -> Irregularity:
    match fate:
        case "missing":
            what = f"{result.path} of job {result.job} is not there; moved or deleted by its owner"
            remedy = f"its words are stored: GET /v1/jobs/{result.job}/transcript"
            return Irregularity(check="result_missing", state="warning", what=what, job=result.job, remedy=remedy)
        case "changed":
            what = f"{result.path} was changed after job {result.job} wrote it; it is not touched"
            return Irregularity(check="result_changed", state="ok", what=what, job=result.job)
        case _:
            what = f"{result.path} of job {result.job} cannot be read"
            remedy = "check its permissions and its disk"
            return Irregularity(check="result_unreadable", state="warning", what=what, job=result.job, remedy=remedy)
