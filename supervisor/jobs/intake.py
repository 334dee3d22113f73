"""What a watch folder does with a file that has stopped changing: it becomes a job, once.

Runs in: supervisor.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import assert_never

import structlog

from config.watch_entry import WatchEntry
from supervisor.disks.file_identity import FileIdentity, read_identity
from supervisor.disks.foreign_disks import LONGEST_READING_SECONDS, disks
from supervisor.jobs.dispatcher import JobDispatcher
from supervisor.jobs.recordings import whereabouts
from supervisor.progress.board import JobBoard
from supervisor.results.adoption import results_of
from supervisor.store.arrival import Arrival
from supervisor.store.jobs import JobQueue
from supervisor.system.reload import LiveSettings
from supervisor.watch.entries import options_of, treatment_of

log = structlog.get_logger()


@dataclass(eq=False)
class Intake:
    """The watch folders' way into the queue."""

    queue: JobQueue
    dispatcher: JobDispatcher
    board: JobBoard
    settings: LiveSettings

    async def known(self, files: Sequence[tuple[str, FileIdentity]]) -> frozenset[str]:
        """Those that were dealt with, whatever came of it: a failed one waits for `steno retry`."""
        return await self.queue.seen.known(files)

    async def take(self, path: Path, entry: WatchEntry) -> None:
        """A new job as its folder wants it, unless this content was taken and treated like that before.

        A job whose recording was renamed or moved to here continues with it. Raises FileRefused, QueueFull and
        JobQueueBroken.
        """
        identity = await disks().look(path, partial(read_identity, path, entry.path), LONGEST_READING_SECONDS)
        arrival = Arrival(str(path), identity, options_of(entry), str(entry.path), treatment_of(entry))
        if await self._was_done_for_another_queue(arrival):
            return
        verdict, job = await self.queue.seen.take_in(arrival, await self._strays(path, identity))
        match verdict.fate:
            case "new":
                log.info("file_taken", path=str(path), job=None if job is None else job.id)
            case "known":
                log.info("file_was_done_before", path=str(path), job=verdict.job_id)
            case "followed" | "revived":
                log.info(
                    "recording_followed", job=verdict.job_id, to=str(path), tried_again=verdict.fate == "revived"
                )
            case _:
                assert_never(verdict.fate)
        if verdict.fate == "known" or job is None:
            return
        self.board.tell(job)
        self.dispatcher.job_added()

    async def _was_done_for_another_queue(self, arrival: Arrival) -> bool:
        results = await results_of(arrival, self.settings.current)
        if results is None or not await self.queue.seen.adopt_results(arrival):
            return False
        log.info("results_adopted", path=arrival.path, transcript=str(results))
        return True

    async def _strays(self, path: Path, identity: FileIdentity) -> list[int]:
        """Jobs of this content whose recording is not where they have it."""
        assert identity.sha256 is not None
        jobs = [job for job in await self.queue.seen.jobs_of(identity.sha256) if job.path != str(path)]
        return [job.id for job in jobs if await whereabouts(job, path) == "gone"]
