"""A list of jobs, told in pages and in pieces: it may be long, and others want to be answered meanwhile.

Runs in: supervisor.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from ipc.api_messages import JobStatus, JobView
from supervisor.progress.board import JobBoard
from supervisor.store.jobs import MAX_ID, JobQueue

JOBS_AT_ONCE = 20
"""Jobs that are read and told before others have their turn."""


@dataclass(frozen=True, slots=True)
class JobsPage:
    """Some jobs, newest first, in pieces that are made as they are asked for."""

    views: AsyncIterator[list[JobView]]
    next_before: int | None
    """The page goes on with jobs older than this one; None: there are no more."""


async def jobs_page(
    queue: JobQueue, board: JobBoard, status: JobStatus | None, limit: int, before: int | None
) -> JobsPage:
    """At most `limit` jobs, of those older than `before`. Raises JobQueueBroken."""
    ids = await queue.ids(status, limit + 1, MAX_ID if before is None else before)
    page = ids[:limit]

    async def views() -> AsyncIterator[list[JobView]]:
        for first in range(0, len(page), JOBS_AT_ONCE):
            some = await queue.those(page[first : first + JOBS_AT_ONCE])
            yield [board.view(job) for job in some]

    return JobsPage(views(), page[-1] if len(ids) > limit else None)
