"""What the watch folders brought, on disk: each file once, wherever it comes up again.

Runs in: supervisor. Every method is one transaction and may raise JobQueueBroken.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterable, Sequence

from config.settings import QueueSettings
from supervisor.disks.file_identity import FileIdentity
from supervisor.store import seen_rows
from supervisor.store.arrival import Arrival, Verdict
from supervisor.store.job import Job
from supervisor.store.sqlite.transactions import JobDatabase

ASKED_AT_ONCE = 500
"""Files that one transaction looks up: others who want the database wait so long."""


class SeenFiles:
    """Never pruned with the jobs: an old recording must not become a new job."""

    def __init__(self, database: JobDatabase, settings: QueueSettings, now: Callable[[], float]) -> None:
        self._database = database
        self._settings = settings
        self._now = now

    async def take_in(self, arrival: Arrival, strays: Collection[int] = ()) -> tuple[Verdict, Job | None]:
        """What becomes of it, stored; and the job it has now. `strays`: those of `jobs_of` that are not where they
        say. Raises QueueFull, and then remembers nothing."""
        most = self._settings.most_waiting
        return await self._database.write(lambda db: seen_rows.take_in(db, arrival, strays, most, self._now()))

    async def known(self, files: Sequence[tuple[str, FileIdentity]]) -> frozenset[str]:
        """The paths of those that lay there last as they are, and about which nothing is to be done."""
        known: set[str] = set()
        for first in range(0, len(files), ASKED_AT_ONCE):
            some = files[first : first + ASKED_AT_ONCE]
            known |= await self._database.read(lambda db, some=some: _known(db, some))  # type: ignore[misc]
        return frozenset(known)

    async def jobs_of(self, sha256: str) -> Sequence[Job]:
        """The jobs of this content that watched folders brought."""
        return await self._database.read(lambda db: seen_rows.jobs_of(db, sha256))

    async def other_places(self, job: Job) -> Sequence[str]:
        """Where the job's content was seen as well, and is no other job's."""
        return await self._database.read(lambda db: seen_rows.other_places(db, job))

    async def is_anothers(self, path: str, job_id: int) -> bool:
        """Whether what was last seen at a path became another job."""
        return await self._database.read(lambda db: seen_rows.is_anothers(db, path, job_id))

    async def adopt_results(self, arrival: Arrival) -> bool:
        """Whether its content is new to the queue; it is remembered as done then, by no job."""
        return await self._database.write(lambda db: seen_rows.adopt_results(db, arrival))

    async def follow(self, job_id: int, arrival: Arrival) -> Job:
        """The job's recording is there now. Raises NoSuchJob."""
        return await self._database.write(lambda db: seen_rows.follow(db, job_id, arrival))

    async def put_elsewhere(self, job_id: int) -> None:
        """Names that the job's results were promised are given back. Raises NoSuchJob."""
        await self._database.write(lambda db: seen_rows.put_elsewhere(db, job_id))

    async def adopt(self, job: Job, identity: FileIdentity) -> bool:
        """Whether a job may go on with what its watched file has become; False: that content is another job's."""
        return await self._database.write(lambda db: seen_rows.adopt(db, job, identity))


def _known(connection: sqlite3.Connection, files: Iterable[tuple[str, FileIdentity]]) -> set[str]:
    return {path for path, identity in files if seen_rows.is_known(connection, path, identity)}
