"""Requests about the queue itself: delete a job, check the queue.

Runs in: supervisor.
"""

import asyncio
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from config.places import Places
from ipc.status_views import CheckView
from supervisor.jobs.dispatcher import JobDispatcher
from supervisor.jobs.recordings import RecordingLocks
from supervisor.recovery.queue_check import QueueCheck
from supervisor.store.job import MoveNotAllowed
from supervisor.store.jobs import JobQueue
from supervisor.store.sqlite.database_copy import kept_copies
from supervisor.system.refused import RequestRefused

log = structlog.get_logger()


@dataclass(eq=False)
class QueueCare:
    """Created once; its work may take a while, and does not block other requests."""

    queue: JobQueue
    dispatcher: JobDispatcher
    recordings: RecordingLocks
    places: Places

    async def forget(self, job_id: int) -> None:
        """Deletes the job with its text, here and in the copies that stenod keeps; its files stay.

        The hash of a watched folder's recording stays, which contains no text: otherwise it would be transcribed
        again. Raises RequestRefused, NoSuchJob.
        """
        in_hand = self.recordings.of(job_id)
        if in_hand.locked() or self.dispatcher.is_in_hand(job_id):
            raise RequestRefused(
                409,
                "job_in_hand",
                f"job {job_id} is running",
                f"`steno cancel {job_id}` first; while it is aligned or its recording is moved, wait a moment",
            )
        async with in_hand:
            try:
                await self.queue.history.forget(job_id)
            except MoveNotAllowed as no:
                raise RequestRefused(409, "not_finished", str(no), f"`steno cancel {job_id}` first") from no
            await asyncio.to_thread(self._forget_files, job_id)

    async def check(self, *, repair: bool) -> CheckView:
        """Checks everything that is stored against the disk. Raises JobQueueBroken."""
        claiming = self.dispatcher.claiming
        found = await QueueCheck(self.queue, self.places.spool, self._is_in_hand, claiming).run(repair=repair)
        if repair:
            self.dispatcher.job_added()  # a job without a task may be queued again
        return found

    def _is_in_hand(self, job_id: int) -> bool:
        return self.dispatcher.is_in_hand(job_id) or self.recordings.of(job_id).locked()

    def _forget_files(self, job_id: int) -> None:
        self.dispatcher.clear_spool(job_id)
        with suppress(OSError):
            (self.places.logs / "crashes" / f"job-{job_id}.txt").unlink(missing_ok=True)
        for copy in kept_copies(self.places.database):
            try:
                forget_in_copy(copy, job_id)
            except sqlite3.Error as error:
                log.warning("job_not_forgotten_in_copy", job=job_id, copy=str(copy), error=str(error))


def forget_in_copy(copy: Path, job_id: int) -> None:
    """Deletes a job in a queue that is not in use, with any schema. Raises sqlite3.Error."""
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA foreign_keys = ON")
        if connection.execute("DELETE FROM jobs WHERE id = ?", (job_id,)).rowcount:
            connection.execute("VACUUM")  # also clears rows that were deleted without being overwritten
