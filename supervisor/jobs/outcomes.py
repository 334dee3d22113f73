"""How a job ends early: it failed, or it must wait; and what the database is told about it.

Runs in: supervisor.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import structlog

from ipc.api_messages import JobError
from ipc.errors import StenodError
from ipc.vocabulary import JobStatus
from supervisor.disks.foreign_disks import DiskNotAnswering
from supervisor.results.file_plan import OutputRefused
from supervisor.store.job import Job
from supervisor.store.job_rows import JobChanges
from supervisor.store.sqlite.database import JobQueueBroken

log = structlog.get_logger()

Answer = TypeVar("Answer")
Ending = tuple[JobStatus, JobChanges]

CANCELLED: Ending = ("cancelled", {})
LOOK_AGAIN_SECONDS = 10.0
"""Nothing tells us when a disk has room again, or whatever made a job wait has passed: look this often."""
STOPPED = "the daemon stopped while it ran"
"""The note of a job whose worker was taken away by an orderly stop."""


def ending_of(job_id: int, why: Exception) -> Ending:
    """What the database is told about a job whose way ended early."""
    match why:
        case JobFailed():
            error = JobError(code=why.code, message=why.message, hint=why.hint)
            return "failed", {"error": error, "quarantined": why.quarantined}
        case JobMustWait():
            return "waiting", {"note": why.note}
        case DiskNotAnswering() | JobQueueBroken():
            return "waiting", {"note": why.in_full}
        case JobSuperseded():
            return "cancelled", {"note": "the recording changed; its new version is another job"}
        case _:
            log.error("job_hit_a_bug", job=job_id, exc_info=why)
            error = JobError(
                code="internal_error",
                message=f"{type(why).__name__}: {why}",
                hint="this is a mistake in stenod; the log has the traceback, `steno retry` tries again",
            )
            return "failed", {"error": error}


async def to_its_end(storing: Coroutine[Any, Any, Job]) -> Job:
    """A cancel that comes while a job's end is being stored waits for that: a daemon that stops must not undo it."""
    task = asyncio.ensure_future(storing)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


async def until_stored(ask: Callable[[], Awaitable[Answer]], pause_seconds: float) -> Answer:
    """The answer of the queue, however long a broken database keeps us."""
    while True:
        try:
            return await ask()
        except JobQueueBroken as broken:
            log.warning("queue_not_read", code=broken.code, error=broken.message)
        await asyncio.sleep(pause_seconds)


def once(act: Callable[[], None]) -> Callable[[], None]:
    """The same act, done at the first call only."""
    done = False

    def act_once() -> None:
        nonlocal done
        if not done:
            done = True
            act()

    return act_once


class JobFailed(StenodError):
    """The job cannot be done; recorded, and not retried until the owner asks."""

    def __init__(self, code: str, message: str, hint: str, *, quarantined: bool = False) -> None:
        super().__init__(code, message, hint)
        self.quarantined = quarantined
        """True when it failed because it killed workers."""


class JobMustWait(Exception):
    """Something the job needs is not there now; it goes back to waiting with what it has."""

    def __init__(self, note: str) -> None:
        super().__init__(note)
        self.note = note
        """Why, in words, for `steno show`."""


class JobMustWaitLonger(JobMustWait):
    """The same where each try costs something, a thread or a process: the waits grow."""


def setback_of(refused: OutputRefused) -> JobFailed | JobMustWait:
    """What it means for a job that a file of it cannot be written: room will come, all else wants a person."""
    if refused.code == "disk_full":
        return JobMustWait(refused.in_full)
    return JobFailed(refused.code, refused.message, refused.hint)


class JobSuperseded(Exception):
    """The watched file changed before its turn came; the new version is a job of its own."""
