"""Recordings that take the daemon itself along: suspected, put behind all others, and condemned on evidence alone.

Runs in: supervisor.

Memory that runs out, a driver that panics, a machine that resets: what a worker's death does not explain ends the
daemon, and its running job would be claimed first again at every start. But a power cut or `kill -9` hits
whatever runs, so one death says little. The rule:

- A start after an end that was not orderly charges every job that was running with one death (`daemon_deaths`).
  Any progress of its own, a stored segment or stored words, takes all charges back.
- With three charges in a row a job waits behind all others, and runs alone when its turn comes.
- If the daemon dies while it runs alone, that counts apart (`deaths_alone`), and the next try waits a little longer.
  A death while no job ran, or while only jobs above suspicion did, is evidence of another cause: it takes the deaths
  alone of all jobs back.
- With three deaths alone, and no such evidence, the job is quarantined; every death of the last hour that came while
  no job ran asks for one more.

So a poisonous recording costs six deaths and no other job more than a delay, and a storm of kills condemns no job: it
also strikes while the suspect is not running.
"""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Callable, Collection, Sequence

from ipc.api_messages import JobError
from supervisor.store.job import Job
from supervisor.store.job_rows import job_from
from supervisor.store.sqlite.database import JobQueueBroken
from supervisor.store.sqlite.transactions import JobDatabase

DEATHS_TO_PROBATION = 3
"""As in the index of the line, and in its questions."""
DEATHS_ALONE_TO_QUARANTINE = 3
EVIDENCE_SECONDS = 3600.0
"""How long a death without a running job clears suspected jobs: something else ends the daemon."""
MOST_EVIDENCE = 50
FIRST_PAUSE_SECONDS = 5.0
"""Before a job is tried alone once more; doubles. Long enough for a death of another cause to come first."""
DIED = "daemon_died"
"""The code of the error of a job that was condemned."""
UPGRADE_CONDEMNED = "aligner_crashed"
"""Why a job keeps its segment times when the daemon died three times while it was given words."""

NOTE_SECONDS = 2.0
"""For the database to note that the daemon was asked to stop; a disk that is full or hangs holds up no stop."""

RUNNING = "status IN ('transcribing', 'aligning', 'writing')"


def is_suspect(job: Job) -> bool:
    """Whether it runs alone, and behind all others."""
    return job.daemon_deaths >= DEATHS_TO_PROBATION


def is_condemned(job: Job, other_deaths: int) -> bool:
    """Whether it is not run again; `other_deaths` of the daemon came of late while no job ran."""
    return job.deaths_alone >= DEATHS_ALONE_TO_QUARANTINE + other_deaths


def pause_before_trial(job: Job) -> float:
    """Seconds from the start of the daemon until the job may be tried."""
    return 0.0 if job.deaths_alone == 0 else FIRST_PAUSE_SECONDS * 2.0 ** min(job.deaths_alone - 1, 5)


def story_of(job: Job) -> JobError:
    """What a condemned job is told to have done."""
    return JobError(
        code=DIED,
        message=f"the daemon itself died {job.daemon_deaths} times while it worked on this recording, the last "
        f"{job.deaths_alone} times while nothing else ran; nothing was gained between the deaths",
        hint=f"look for `out of memory` or a driver's fault in the system's log (journalctl -k, Console); "
        f"`steno retry {job.id}` tries again",
    )


class DaemonDeaths:
    """What the queue's file knows of them. Every method is one transaction and raises JobQueueBroken."""

    def __init__(self, database: JobDatabase, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now

    async def begin(self) -> int:
        """Every running job waits again; no task can be running it. How many they were.

        An end that was not orderly counts against those that ran.
        """
        return await self._database.write(lambda db: _begin(db, self._now()))

    async def note_orderly_end(self) -> None:
        """The daemon was asked to stop: whatever ends it from now on, no job is charged for it. Never raises."""
        with contextlib.suppress(JobQueueBroken, TimeoutError):
            async with asyncio.timeout(NOTE_SECONDS):
                await self._database.write(_note_orderly_end)

    async def suspects(self) -> Sequence[Job]:
        """The waiting jobs during which the daemon died too often; the most suspicious first."""
        return await self._database.read(_suspects)

    async def other_deaths(self) -> int:
        """How often of late the daemon died while no job ran."""
        return len(await self._database.read(lambda db: _other_deaths(db, self._now())))

    async def put_back(self, in_hand: Collection[int]) -> Sequence[int]:
        """Jobs that run according to the database, though only those `in_hand` run: they wait again."""
        return await self._database.write(lambda db: _put_back(db, in_hand))

    async def begin_upgrade(self, job_id: int) -> None:
        """Should the daemon die before `end_upgrade`, that is held against this job."""
        await self._database.write(lambda db: _begin_upgrade(db, job_id))

    async def end_upgrade(self) -> None:
        """The job under upgrade did not take the daemon along."""
        await self._database.write(_end_upgrade)


def _begin(connection: sqlite3.Connection, now: float) -> int:
    was_orderly = _fact(connection, "daemon_lives") is None
    if not was_orderly:
        _charge(connection, now)
    _end_upgrade(connection)
    connection.execute("INSERT OR REPLACE INTO facts VALUES ('daemon_lives', 'since its start')")
    return connection.execute(
        f"""UPDATE jobs SET status = 'waiting', note = CASE
            WHEN daemon_deaths >= ? THEN 'the daemon itself died ' || daemon_deaths ||
                ' times while it ran: it waits behind all others, and runs alone'
            ELSE 'the daemon stopped while it ran' END
        WHERE {RUNNING}""",
        (DEATHS_TO_PROBATION,),
    ).rowcount


def _note_orderly_end(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM facts WHERE name = 'daemon_lives'")


def _suspects(connection: sqlite3.Connection) -> Sequence[Job]:
    rows = connection.execute(
        """SELECT * FROM jobs INDEXED BY jobs_by_priority WHERE status = 'waiting'
        AND (transcriber_crashes >= 2 OR daemon_deaths >= 3) = 1 AND daemon_deaths >= 3
        ORDER BY deaths_alone DESC, id"""
    )
    return [job_from(row) for row in rows]


def _put_back(connection: sqlite3.Connection, in_hand: Collection[int]) -> Sequence[int]:
    rows = connection.execute(
        f"""UPDATE jobs SET status = 'waiting', note = 'it was left by itself, and starts again'
        WHERE {RUNNING} AND id NOT IN (SELECT value FROM json_each(?)) RETURNING id""",
        (json.dumps(list(in_hand)),),
    ).fetchall()
    return [row[0] for row in rows]


def _begin_upgrade(connection: sqlite3.Connection, job_id: int) -> None:
    connection.execute("INSERT OR REPLACE INTO facts VALUES ('upgrading', ?)", (str(job_id),))


def _end_upgrade(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM facts WHERE name = 'upgrading'")


def _charge(connection: sqlite3.Connection, now: float) -> None:
    upgraded = _fact(connection, "upgrading")
    ran = connection.execute(f"SELECT id, daemon_deaths FROM jobs WHERE {RUNNING}").fetchall()
    suspected = [row["id"] for row in ran if row["daemon_deaths"] >= DEATHS_TO_PROBATION]
    if not ran and upgraded is None:
        evidence = [*_other_deaths(connection, now), now][-MOST_EVIDENCE:]
        connection.execute("INSERT OR REPLACE INTO facts VALUES ('other_deaths', ?)", (json.dumps(evidence),))
    if not suspected:
        connection.execute("UPDATE jobs SET deaths_alone = 0 WHERE deaths_alone > 0")
    elif len(ran) == 1 and upgraded is None:
        connection.execute("UPDATE jobs SET deaths_alone = deaths_alone + 1 WHERE id = ?", suspected)
    connection.execute(f"UPDATE jobs SET daemon_deaths = daemon_deaths + 1 WHERE {RUNNING}")
    if upgraded is not None:
        connection.execute(
            """UPDATE jobs SET daemon_deaths = daemon_deaths + 1, degraded_reason = CASE
                WHEN daemon_deaths + 1 >= ? THEN ? ELSE degraded_reason END
            WHERE id = ? AND status = 'done' AND degraded_reason = 'aligner_unavailable'""",
            (DEATHS_TO_PROBATION, UPGRADE_CONDEMNED, upgraded),
        )


def _other_deaths(connection: sqlite3.Connection, now: float) -> list[float]:
    known: list[float] = json.loads(_fact(connection, "other_deaths") or "[]")
    return [at for at in known if abs(now - at) < EVIDENCE_SECONDS]


def _fact(connection: sqlite3.Connection, name: str) -> str | None:
    row = connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])
