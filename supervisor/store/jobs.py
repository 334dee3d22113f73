"""Every job, on disk: what a method has returned survives a power cut.

Runs in: supervisor.

Each method is one small transaction; those that write return once the disk has it, and raise JobQueueBroken with
nothing stored when it cannot. There are no leases: a lock file guarantees a single supervisor, so at start every
running job is an orphan and goes back to waiting with what it had.
"""

import json
import re
import sqlite3
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Self, Unpack

import structlog

from config.settings import QueueSettings
from ipc.api_messages import Attempt, JobOptions
from ipc.transcript import Segment, Unheard
from ipc.vocabulary import FINISHED, JobStatus, Priority
from supervisor.disks.file_identity import FileIdentity, ResolvedFile
from supervisor.store import claims, job_rows
from supervisor.store.claims import Backlog, QueueState
from supervisor.store.daemon_deaths import DaemonDeaths
from supervisor.store.history import JobHistory
from supervisor.store.job import Job, check_move
from supervisor.store.job_rows import (
    JobChanges,
    NamedRequest,
    fetch_job,
    forgive_job,
    insert_job,
    job_asked_for,
    job_from,
    note_request,
    update_job,
)
from supervisor.store.outbox import Event, FollowUpRules, Outbox, withdraw_follow_ups, write_follow_ups
from supervisor.store.output_ledger import OutputLedger
from supervisor.store.schedule import SchedulingHints
from supervisor.store.seen_files import SeenFiles
from supervisor.store.segments import SegmentCopies, forget_segments, load_segments, store_final, store_heard
from supervisor.store.speeds import Speeds, load_speeds, store_speeds
from supervisor.store.sqlite.transactions import JobDatabase

log = structlog.get_logger()

OLDEST_FIRST = SchedulingHints()
"""No model is loaded, none is missing."""
MAX_ID = 2**63 - 1


class JobQueue:
    """The jobs, their segments, and what is known about files from earlier jobs."""

    def __init__(
        self, database: JobDatabase, settings: QueueSettings, now: Callable[[], float], steady: Callable[[], float]
    ) -> None:
        self._database = self.database = database
        self._settings = settings
        self._now = now
        self.history = JobHistory(database, settings, now, steady)
        self.follow_ups = Outbox(database, now)
        self.deaths = DaemonDeaths(database, now)
        self.outputs = OutputLedger(database)
        self.seen = SeenFiles(database, settings, now)
        self.speeds = Speeds(now)
        self.copies = SegmentCopies(database)
        self.aftermath: FollowUpRules | None = None
        """Asked at every end of a job; None: nothing follows."""

    @classmethod
    async def open(
        cls,
        database: Path,
        settings: QueueSettings,
        now: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> Self:
        """Opens or creates; every running job goes back to waiting. Raises DatabaseRefused, JobQueueBroken.

        `now` is the clock on the wall, which may be wrong; `steady` one that never leaps.
        """
        queue = cls(await JobDatabase.open(database), settings, now, steady)
        try:
            requeued = await queue.deaths.begin()
            await queue.history.read_age()
            queue.speeds.know(await queue._database.read(load_speeds))
        except BaseException:
            await queue.close()  # its threads would keep the process from ending
            raise
        log.info("queue_opened", requeued=requeued)
        return queue

    async def close(self) -> None:
        await self._database.close()

    # --- in and out --------------------------------------------------------------------------------------------

    async def add(
        self, path: str, options: JobOptions, found: FileIdentity | ResolvedFile, request: NamedRequest | None = None
    ) -> Job:
        """A new job behind all others, or that which this request became before. Raises QueueFull, KeyUsedBefore."""

        def work(connection: sqlite3.Connection) -> Job:
            if request is not None and (before := job_asked_for(connection, request)) is not None:
                return before
            claims.refuse_when_full(connection, self._settings.most_waiting)
            job = insert_job(connection, path, options, found, self._now())
            if request is not None:
                note_request(connection, job.id, request)
            return job

        return await self._database.write(work)

    async def asked_for(self, request: NamedRequest) -> Job | None:
        """What the request became when it came before; None: it never did. Raises KeyUsedBefore."""
        return await self._database.read(lambda connection: job_asked_for(connection, request))

    async def claim_next(self, turn: SchedulingHints = OLDEST_FIRST) -> Job | None:
        """The waiting job whose turn it is, now transcribing; those on probation after all others.

        None: none can start, or the queue is paused.
        """
        return await self._database.write(lambda connection: claims.claim_next(connection, turn))

    async def retry(self, job_id: int) -> Job:
        """Failed or cancelled → waiting, crash count reset, with what is stored. Raises NoSuchJob, MoveNotAllowed."""

        def work(connection: sqlite3.Connection) -> Job:
            withdraw_follow_ups(connection, job_id)
            return forgive_job(connection, job_id)

        return await self._database.write(work)

    # --- on the way --------------------------------------------------------------------------------------------

    async def move(self, job_id: int, to: JobStatus, **changes: Unpack[JobChanges]) -> Job:
        """Another state, and fields with it; an old note goes. Raises NoSuchJob, MoveNotAllowed.

        With an end is stored what is to follow it, and what was learned; going back to waiting withdraws the former.
        """
        learned = self.speeds.unwritten() if to in FINISHED else ()

        def work(connection: sqlite3.Connection) -> Job:
            check_move(fetch_job(connection, job_id), to)
            ended_at, ended_age = (self._now(), self.history.age_seconds) if to in FINISHED else (None, None)
            ended = {"finished_at": ended_at, "finished_age": ended_age}
            fields = {"note": None, **changes, "status": to, **ended}
            job = update_job(connection, job_id, fields)
            store_speeds(connection, learned)
            if to == "done" or to == "failed":
                self._let_follow(connection, job, to)
            elif to == "waiting":
                withdraw_follow_ups(connection, job_id)
            return job

        return await self._ending(work)

    async def wait_again(self, job_id: int, **changes: Unpack[JobChanges]) -> Job:
        """A running job is in line again, but not if it was cancelled meanwhile. Raises NoSuchJob, MoveNotAllowed."""
        return await self._database.write(lambda db: job_rows.stand_in_line_again(db, job_id, changes))

    async def change(self, job_id: int, **changes: Unpack[JobChanges]) -> Job:
        """Fields without a move. Raises NoSuchJob."""
        return await self._database.write(lambda connection: update_job(connection, job_id, changes))

    async def finish_upgrade(self, job_id: int, **changes: Unpack[JobChanges]) -> Job:
        """Fields of a job that was done before and has its words now, and what is to follow. Raises NoSuchJob."""

        def work(connection: sqlite3.Connection) -> Job:
            job = update_job(connection, job_id, changes)
            self._let_follow(connection, job, "upgraded")
            return job

        return await self._ending(work)

    async def add_attempt(self, job_id: int, attempt: Attempt, **changes: Unpack[JobChanges]) -> Job:
        """One more line in the job's story, and fields with it. Raises NoSuchJob."""

        def work(connection: sqlite3.Connection) -> Job:
            attempts = (*fetch_job(connection, job_id).attempts, attempt)
            return update_job(connection, job_id, {**changes, "attempts": attempts})

        return await self._database.write(work)

    async def store_segments(
        self, job_id: int, segments: Sequence[Segment], done_seconds: float, unheard: Sequence[Unheard] = ()
    ) -> None:
        """Heard segments, what gave none, and that nothing before `done_seconds` has to be heard again. Raises
        NoSuchJob."""
        await self._database.write(lambda db: store_heard(db, job_id, segments, unheard, done_seconds))

    async def store_aligned(self, job_id: int, segments: Sequence[Segment]) -> None:
        """The same segments, final: with words, or deliberately without."""
        await self._database.write(lambda db: store_final(db, job_id, segments))

    async def reset_alignment(self, job_id: int) -> None:
        """Segments without words are open again: their job is to be upgraded."""
        await self._database.write(lambda db: job_rows.reopen_untimed(db, job_id))

    async def forget_segments(self, job_id: int) -> None:
        """The recording is another one now: everything heard in it is forgotten."""
        await self._database.write(lambda db: forget_segments(db, job_id))

    # --- questions ---------------------------------------------------------------------------------------------

    async def get(self, job_id: int) -> Job:
        """Raises NoSuchJob."""
        return await self._database.read(lambda connection: fetch_job(connection, job_id))

    async def ids(self, status: JobStatus | None, limit: int, before: int = MAX_ID) -> Sequence[int]:
        """The ids of jobs, newest first; `before`: of older jobs than that one."""
        chosen, facts = ("", ()) if status is None else ("status = ? AND", (status,))
        question = f"SELECT id FROM jobs WHERE {chosen} id < ? ORDER BY id DESC LIMIT ?"
        return [row["id"] for row in await self._database.rows(question, *facts, before, limit)]

    async def those(self, ids: Sequence[int]) -> Sequence[Job]:
        """These jobs as asked, but for those that were forgotten. Read on the database's thread: ask for few."""

        def work(connection: sqlite3.Connection) -> Sequence[Job]:
            rows = (connection.execute("SELECT * FROM jobs WHERE id = ?", (id,)).fetchone() for id in ids)
            return [job_from(row) for row in rows if row is not None]

        return await self._database.read(work)

    async def state(self, turn: SchedulingHints = OLDEST_FIRST, next_up: int = 0) -> QueueState:
        """Counts, pause, and the first waiting jobs in the order in which they will be claimed."""
        return await self._database.read(lambda connection: claims.queue_state(connection, turn, next_up))

    async def backlog(self) -> Backlog:
        """How many jobs wait for each model, and how long a recording usually is."""
        return await self._database.read(claims.backlog)

    async def jobs_to_upgrade(self, limit: int = 10, skip: Collection[int] = ()) -> Sequence[Job]:
        """Done without words because the aligner was not there, not one of `skip`; oldest first."""
        rows = await self._database.rows(
            """SELECT * FROM jobs INDEXED BY jobs_to_upgrade
            WHERE status = 'done' AND degraded_reason = 'aligner_unavailable'
            AND id NOT IN (SELECT value FROM json_each(?)) ORDER BY id LIMIT ?""",
            json.dumps(list(skip)),
            limit,
        )
        return [job_from(row) for row in rows]

    async def any_waits(self, priority: Priority) -> bool:
        """Whether a job of this priority waits, able to start or not."""
        return await self._database.read(lambda connection: claims.any_waits(connection, priority))

    async def waiting_from(self, watch: str) -> Sequence[int]:
        """The ids of the waiting jobs that a watched folder brought."""
        rows = await self._database.rows("SELECT id FROM jobs WHERE status = 'waiting' AND watch = ?", watch)
        return [row["id"] for row in rows]

    async def beneath(self, folder: Path) -> Sequence[tuple[int, str]]:
        """Id and path of every job whose recording lies beneath the folder. Reads the whole table: once, at start."""
        rows = await self._database.rows("SELECT id, path FROM jobs WHERE path GLOB ? || '/*'", _as_pattern(folder))
        return [(row["id"], row["path"]) for row in rows]

    async def counts(self) -> dict[JobStatus, int]:
        """How many jobs are in each state; all states are there."""
        return {row["status"]: row["jobs"] for row in await self._database.rows("SELECT * FROM job_counts")}

    async def segments(self, job_id: int, unaligned_only: bool = False, limit: int = -1) -> Sequence[Segment]:
        """What was heard so far, in order; the first `limit` of it, -1: all, which hours of speech make large."""
        return await self._database.read(lambda db: load_segments(db, job_id, unaligned_only, limit))

    async def segments_from(self, job_id: int, first: int, limit: int) -> Sequence[Segment]:
        """At most `limit` stored segments, from the one with this id on, in order."""
        question = "SELECT content FROM segments WHERE job_id = ? AND id >= ? ORDER BY id LIMIT ?"
        rows = await self._database.rows(question, job_id, first, limit)
        return [Segment.model_validate_json(row["content"]) for row in rows]

    async def count_segments(self, job_id: int) -> int:
        """How many were heard so far; the next one's id."""
        (row,) = await self._database.rows("SELECT count(*) FROM segments WHERE job_id = ?", job_id)
        return int(row[0])

    # --- the whole queue ---------------------------------------------------------------------------------------

    async def set_paused(self, paused: bool) -> None:
        """Whether `claim_next` gives nothing; kept across restarts."""
        change = "UPDATE switches SET is_on = ? WHERE name = 'paused'"
        await self._database.write(lambda connection: connection.execute(change, (paused,)))

    async def is_paused(self) -> bool:
        return await self._database.read(claims.is_paused)

    async def write_nothing(self) -> None:
        """An empty transaction of the writing kind. Raises JobQueueBroken where there can be no other."""
        await self._database.write(lambda connection: None)

    def _let_follow(self, connection: sqlite3.Connection, job: Job, event: Event) -> None:
        if self.aftermath is not None:
            write_follow_ups(connection, job.id, self.aftermath.after(job, event), self._now())

    async def _ending(self, work: Callable[[sqlite3.Connection], Job]) -> Job:
        job = await self._database.write(work)
        if self.aftermath is not None and job.is_finished:
            self.aftermath.wake()
        return job


def _as_pattern(folder: Path) -> str:
    """The folder as SQLite's GLOB takes it word for word."""
    return re.sub(r"([*?\[])", r"[\1]", str(folder))
