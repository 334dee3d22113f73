"""How long jobs that are over are kept, by the queue's own age.

Runs in: supervisor.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import structlog

from config.settings import QueueSettings
from supervisor.store.job_rows import forget_finished, forget_one
from supervisor.store.sqlite.database import JobQueueBroken
from supervisor.store.sqlite.database_copy import kept_copies
from supervisor.store.sqlite.queue_age import QueueAge
from supervisor.store.sqlite.transactions import JobDatabase

log = structlog.get_logger()

SECONDS_PER_DAY = 86_400.0
PRUNE_SECONDS = 6 * 3600.0
PRUNED_AT_ONCE = 200
"""Jobs forgotten in one transaction: claims must not wait behind a year's worth."""


class JobHistory:
    """Forgets what is older than the settings keep."""

    def __init__(
        self, database: JobDatabase, settings: QueueSettings, now: Callable[[], float], steady: Callable[[], float]
    ) -> None:
        self._database = database
        self._kept_seconds = settings.keep_finished_days * SECONDS_PER_DAY
        self._age = QueueAge(now, steady, self._kept_seconds)

    @property
    def age_seconds(self) -> float:
        """How old the queue is; no wrong clock moves it."""
        return self._age.seconds

    async def read_age(self) -> None:
        """Counts what has passed. Raises JobQueueBroken."""
        await self._database.write(self._age.read)

    async def prune(self) -> int:
        """Forgets finished jobs older than the settings keep, with their segments; their files stay. How many.

        Never one that something is still to follow, and never because the clock on the wall says another year.
        """
        await self.read_age()
        before = self._age.seconds - self._kept_seconds

        def some(connection: sqlite3.Connection) -> int:
            return forget_finished(connection, before, PRUNED_AT_ONCE)

        pruned = 0
        while batch := await self._database.write(some):
            pruned += batch
        await self._forget_copies()
        return pruned

    async def _forget_copies(self) -> None:
        """Queues that stenod set aside are kept as long as jobs are: they hold the same words."""

        def due(connection: sqlite3.Connection) -> list[Path]:
            return [copy for copy in kept_copies(self._database.file) if self._kept_for(connection, copy)]

        for copy in await self._database.write(due):
            for suffix in ("-wal", "-shm", ""):
                await asyncio.to_thread(Path(f"{copy}{suffix}").unlink, missing_ok=True)
            log.info("copy_of_queue_removed", copy=str(copy))

    def _kept_for(self, connection: sqlite3.Connection, copy: Path) -> bool:
        """Whether it was kept for long enough, counted from when it was first seen."""
        fact = f"copy {copy.name}"
        connection.execute("INSERT OR IGNORE INTO facts VALUES (?, ?)", (fact, repr(self._age.seconds)))
        (since,) = connection.execute("SELECT value FROM facts WHERE name = ?", (fact,)).fetchone()
        is_over = self._age.seconds - float(since) > self._kept_seconds
        if is_over:
            connection.execute("DELETE FROM facts WHERE name = ?", (fact,))
        return is_over

    async def forget(self, job_id: int) -> None:
        """One job that is over, with its segments, what was to follow it, and names it only reserved.

        Its bytes are overwritten, in the file and in its log. What it wrote stays known as ours, and what watched
        folders brought as seen. Raises NoSuchJob, MoveNotAllowed, JobQueueBroken.
        """
        await self._database.write(lambda connection: forget_one(connection, job_id))
        await self._database.fold()


async def prune_now_and_then(history: JobHistory) -> None:
    """Until cancelled. Nothing that the database or its disk does raises here: the next round tries again."""
    while True:
        try:
            forgotten = await history.prune()
        except JobQueueBroken as broken:
            log.warning("finished_jobs_not_forgotten", code=broken.code, error=broken.message)
        except OSError as error:  # of the copies beside the database: no descriptors left, or no right to delete one
            log.warning("copies_of_queue_not_looked_at", error=str(error))
        else:
            if forgotten:
                log.info("finished_jobs_forgotten", jobs=forgotten)
        await asyncio.sleep(PRUNE_SECONDS)
