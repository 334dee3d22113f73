"""What is left to do once a job is over, on disk: written with the job's end, taken off when it is done.

Runs in: supervisor.
"""

import json
import sqlite3
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

from supervisor.disks.file_identity import FileIdentity
from supervisor.store.job import Job
from supervisor.store.job_rows import fetch_job, sharing_recording, update_job
from supervisor.store.sqlite.transactions import JobDatabase

Kind = Literal["move_recording", "hook"]
LONGEST_PUT_OFF_SECONDS = 2 * 3600.0
"""Twice the longest pause between two tries."""
Event = Literal["done", "failed", "degraded", "upgraded"]
"""`upgraded`: the job was done before and has its words now."""


@dataclass(frozen=True, slots=True)
class NewFollowUp:
    """Something that is to be done after a job."""

    kind: Kind
    event: Event


@dataclass(frozen=True, slots=True)
class FollowUp:
    """One row of the table."""

    id: int
    job_id: int
    kind: Kind
    event: Event
    tries: int
    """How often it failed."""
    due_at: float
    """Seconds since the epoch."""


class FollowUpRules(Protocol):
    """Who says what an ending is followed by, and does it."""

    def after(self, job: Job, event: Event) -> Sequence[NewFollowUp]:
        """What is left to do once the job has ended so."""

    def wake(self) -> None:
        """There is something new to do."""


def write_follow_ups(
    connection: sqlite3.Connection, job_id: int, follow_ups: Sequence[NewFollowUp], now: float
) -> None:
    """Due immediately. For the transaction that ends the job."""
    connection.executemany(
        "INSERT INTO errands (job_id, kind, event, due_at) VALUES (?, ?, ?, ?)",
        [(job_id, follow_up.kind, follow_up.event, now) for follow_up in follow_ups],
    )


def withdraw_follow_ups(connection: sqlite3.Connection, job_id: int) -> None:
    """The job's end is taken back, and with it what was to follow."""
    connection.execute("DELETE FROM errands WHERE job_id = ?", (job_id,))


class Outbox:
    """The table of follow-ups. Every method is one transaction and raises JobQueueBroken when it cannot be."""

    def __init__(self, database: JobDatabase, now: Callable[[], float]) -> None:
        self._database = database
        self.now = now

    async def first(self, kind: Kind, skip: Collection[int]) -> FollowUp | None:
        """The one that is due before all others, perhaps not yet; not one of `skip`. None: nothing is to do.

        A hook waits until its recording's move was tried, so that it is told where the recording is. One that is due
        later than anything is ever put off was put off when the clock was ahead: it is due now.
        """
        question = """SELECT * FROM errands AS this
            WHERE {} AND kind = ? AND id NOT IN (SELECT value FROM json_each(?))
            AND NOT (kind = 'hook' AND EXISTS (
                SELECT 1 FROM errands AS move
                WHERE move.job_id = this.job_id AND move.kind = 'move_recording' AND move.tries = 0
            )) ORDER BY due_at, id LIMIT 1"""
        now = self.now()
        possible = now + LONGEST_PUT_OFF_SECONDS
        in_time = await self._database.rows(question.format("due_at <= ?"), possible, kind, json.dumps(list(skip)))
        if in_time and in_time[0]["due_at"] <= now:
            return FollowUp(**dict(in_time[0]))
        ahead = await self._database.rows(question.format("due_at > ?"), possible, kind, json.dumps(list(skip)))
        if ahead:
            return replace(FollowUp(**dict(ahead[0])), due_at=now)
        return FollowUp(**dict(in_time[0])) if in_time else None

    async def put_off(self, follow_up: FollowUp, tries: int, due_at: float) -> None:
        """It is to be tried again then."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE errands SET tries = ?, due_at = ? WHERE id = ?", (tries, due_at, follow_up.id))

        await self._database.write(work)

    async def strike(self, follow_up: FollowUp) -> None:
        """It is done, given up, or there is no reason for it any more."""
        await self._database.write(lambda db: db.execute("DELETE FROM errands WHERE id = ?", (follow_up.id,)))

    async def others_need(self, job: Job) -> bool:
        """Whether another job of the same recording is not over: it must find the recording where it is."""
        question = """SELECT 1 FROM jobs WHERE status IN ('waiting', 'transcribing', 'aligning', 'writing')
            AND path = ? AND id <> ? LIMIT 1"""
        return bool(await self._database.rows(question, job.path, job.id))

    async def recording_moved(self, follow_up: FollowUp, to: Path, identity: FileIdentity) -> Job:
        """The follow-up is done: the job, and others that share its recording, find it there. Raises NoSuchJob.

        The files written for it stay its own, so that the next recording under its old name cannot have them. What
        watched folders have seen stays as it is: they know its content, wherever they meet it.
        """

        def work(connection: sqlite3.Connection) -> Job:
            job = fetch_job(connection, follow_up.job_id)
            new = str(to)
            for other in sharing_recording(connection, job):
                followed = {"path": new, "taken_from": other.first_path, "target": None, "identity": identity}
                update_job(connection, other.id, followed)
            connection.execute("UPDATE output_files SET recording = ? WHERE recording = ?", (new, job.path))
            connection.execute("DELETE FROM errands WHERE id = ?", (follow_up.id,))
            moved = {} if new == job.path else {"path": new, "taken_from": job.first_path, "target": None}
            return update_job(connection, job.id, {**moved, "identity": identity})

        return await self._database.write(work)
