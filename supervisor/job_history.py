"""How long jobs that are over are kept, by the queue's own age.

Runs in: supervisor.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Protocol

import structlog

from config.settings import QueueSettings
from supervisor.job_database import JobDatabase, JobQueueBroken
from supervisor.job_rows import forget_finished
from supervisor.queue_age import QueueAge

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
        return pruned


class Prunable(Protocol):
    """A queue that can forget."""

    async def prune(self) -> int: ...


async def prune_now_and_then(queue: Prunable) -> None:
    """Until cancelled. Nothing that the database does raises here."""
    while True:
        try:
            forgotten = await queue.prune()
        except JobQueueBroken as broken:
            log.warning("finished_jobs_not_forgotten", code=broken.code, error=broken.message)
        else:
            if forgotten:
                log.info("finished_jobs_forgotten", jobs=forgotten)
        await asyncio.sleep(PRUNE_SECONDS)
