"""Queue queries that only tests need.

Runs in: the test process.
"""

from collections.abc import Sequence

from ipc.api_messages import JobOptions
from ipc.vocabulary import JobStatus
from supervisor.disks.file_identity import FileIdentity
from supervisor.store.arrival import Arrival
from supervisor.store.job import Job
from supervisor.store.jobs import JobQueue


async def jobs_in(queue: JobQueue, status: JobStatus | None = None, limit: int = 50) -> Sequence[Job]:
    """Newest first."""
    return await queue.those(await queue.ids(status, limit))


async def add_from_watch(
    queue: JobQueue,
    path: str,
    options: JobOptions,
    identity: FileIdentity,
    watch: str | None = None,
    treatment: str = "",
) -> Job | None:
    """A new job, or None: the queue knows this content already. Raises QueueFull."""
    verdict, job = await queue.seen.take_in(Arrival(path, identity, options, watch, treatment or None))
    return job if verdict.fate in ("new", "revived") else None


async def was_seen(queue: JobQueue, path: str, identity: FileIdentity) -> bool:
    """Whether the queue knows this file and has nothing left to do for it."""
    return bool(await queue.seen.known([(path, identity)]))


async def written_for(queue: JobQueue, recording: str) -> dict[str, str]:
    """Output path → sha256 of what stenod last wrote there for this recording, in whatever job."""
    question = "SELECT path, sha256 FROM output_files WHERE recording = ? AND sha256 IS NOT NULL"
    return {row["path"]: row["sha256"] for row in await queue.database.rows(question, recording)}
