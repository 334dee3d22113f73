"""What a watch folder does with a file that has stopped changing: it becomes a job, once.

Runs in: supervisor.
"""

from pathlib import Path

import structlog

from config.watch_entry import WatchEntry
from supervisor.disk_thread import on_disk
from supervisor.file_identity import read_identity
from supervisor.job import FileIdentity
from supervisor.job_board import JobBoard
from supervisor.job_dispatcher import JobDispatcher
from supervisor.job_queue import JobQueue
from supervisor.watch_entries import options_of, treatment_of

log = structlog.get_logger()


class Intake:
    """The watch folders' way into the queue."""

    def __init__(self, queue: JobQueue, dispatcher: JobDispatcher, board: JobBoard) -> None:
        self._queue = queue
        self._dispatcher = dispatcher
        self._board = board

    async def is_known(self, path: Path, identity: FileIdentity) -> bool:
        """Whether this very file was dealt with, whatever came of it: a failed one waits for `steno retry`."""
        return await self._queue.was_seen(str(path), identity)

    async def take(self, path: Path, entry: WatchEntry) -> None:
        """A new job as its folder wants it, unless this content was taken and treated like that before.

        Raises FileRefused, QueueFull and JobQueueBroken.
        """
        identity = await on_disk(lambda: read_identity(path))
        job = await self._queue.add_from_watch(
            str(path), options_of(entry), identity, watch=str(entry.path), treatment=treatment_of(entry)
        )
        if job is None:
            log.info("file_was_done_before", path=str(path))
            return
        log.info("file_taken", path=str(path), job=job.id)
        self._board.tell(job)
        self._dispatcher.job_added()
