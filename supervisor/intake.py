"""What a watch folder does with a file that has stopped changing: it becomes a job, once.

Runs in: supervisor.
"""

import asyncio
from pathlib import Path

import structlog

from ipc.api_messages import JobOptions
from supervisor.file_identity import read_identity
from supervisor.job import FileIdentity
from supervisor.job_board import JobBoard
from supervisor.job_dispatcher import JobDispatcher
from supervisor.job_queue import JobQueue

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

    async def take(self, path: Path) -> None:
        """A new job, unless this content was taken before. Raises FileRefused, QueueFull and JobQueueBroken."""
        identity = await asyncio.to_thread(read_identity, path)
        job = await self._queue.add_from_watch(str(path), JobOptions(), identity)
        if job is None:
            log.info("file_was_done_before", path=str(path))
            return
        log.info("file_taken", path=str(path), job=job.id)
        self._board.tell(job)
        self._dispatcher.wake()
