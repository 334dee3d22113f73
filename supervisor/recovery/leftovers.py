"""Leftovers of a killed daemon: half-written results, and spool folders of finished jobs.

Runs in: supervisor. Stands alone: the composition root runs it once, at start-up.
"""

import asyncio
import contextlib
import shutil
from pathlib import Path

from supervisor.jobs.writing import ResultWriter
from supervisor.store.job_rows import NoSuchJob
from supervisor.store.jobs import JobQueue


async def sweep(queue: JobQueue, spool: Path) -> None:
    """Removes them, before any job runs. Raises JobQueueBroken."""
    for folder in await asyncio.to_thread(lambda: list(spool.iterdir())):
        job = None
        with contextlib.suppress(NoSuchJob, ValueError):
            job = await queue.get(int(folder.name))
        if job is not None:
            await ResultWriter(queue).sweep(job)
        if job is None or job.is_finished:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
