"""The table of what watched folders brought: which content lay where, in which order, and whose job it became.

Runs in: supervisor.

Each method of `SeenFiles` is one transaction and may raise JobQueueBroken.
"""

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from pathlib import Path

from config.settings import QueueSettings
from supervisor.disks.file_identity import FileIdentity
from supervisor.store.arrival import RECORDING_GONE, Arrival, KnownContent, Sight, Verdict, is_being_heard, judge
from supervisor.store.claims import refuse_when_full
from supervisor.store.job import Job
from supervisor.store.job_rows import fetch_job, find_job, forgive_job, insert_job, sharing_recording, update_job
from supervisor.store.outbox import withdraw_follow_ups
from supervisor.store.sqlite.transactions import JobDatabase

ASKED_AT_ONCE = 500
"""Files that one transaction looks up: other tasks wait for the database meanwhile."""
MOST_SIGHTS = 200
"""Places of one content that are looked at, besides the one that is asked about."""
_KNOWN = """SELECT 1 FROM seen_files AS seen LEFT JOIN jobs ON jobs.id = seen.job_id
    WHERE seen.path = ? AND ? IN (seen.inode, '0') AND seen.size = ? AND seen.mtime_ns = ?
    AND seen.turn = (SELECT max(turn) FROM seen_files WHERE path = seen.path)
    AND (coalesce(jobs.status, '') <> 'failed' OR (jobs.path = seen.path
        AND coalesce(json_extract(jobs.error, '$.code'), '') NOT IN (SELECT value FROM json_each(?))))"""


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
        return await self._database.write(lambda db: _take_in(db, arrival, strays, most, self._now()))

    async def known(self, files: Sequence[tuple[str, FileIdentity]]) -> frozenset[str]:
        """The paths of those that lay there last as they are, and about which nothing is to be done.

        Reads no content. A job that failed for good is nothing to be done about; one whose recording was missing is,
        for here it is. An inode of 0 is not known, as on disks where it does not hold; size and time must do there.
        """
        known: set[str] = set()
        for first in range(0, len(files), ASKED_AT_ONCE):
            known |= await self._database.read(partial(_known, files[first : first + ASKED_AT_ONCE]))
        return frozenset(known)

    async def jobs_of(self, sha256: str) -> Sequence[Job]:
        """The jobs of this content that watched folders brought, as far as they are remembered."""
        return await self._database.read(lambda db: _jobs_of(db, sha256))

    async def other_places(self, job: Job) -> Sequence[str]:
        """Where the job's content was seen as well, and is no other job's."""
        return await self._database.read(lambda db: _other_places(db, job))

    async def is_anothers(self, path: str, job_id: int) -> bool:
        """Whether what was last seen at a path became another job."""
        return await self._database.read(lambda db: _is_anothers(db, path, job_id))

    async def adopt_results(self, arrival: Arrival) -> bool:
        """Whether its content and its path are new to the queue; it is remembered as done then, by no job."""
        return await self._database.write(lambda db: _adopt_results(db, arrival))

    async def follow(self, job_id: int, arrival: Arrival) -> Job:
        """The job's recording is there now. Raises NoSuchJob."""
        return await self._database.write(lambda db: _follow(db, job_id, arrival))

    async def put_elsewhere(self, job_id: int) -> None:
        """Names that the job's results were promised are given back. Raises NoSuchJob."""
        await self._database.write(lambda db: _put_elsewhere(db, job_id))

    async def adopt(self, job: Job, identity: FileIdentity) -> bool:
        """Whether a job may continue with its file's new content; False: another job has that content."""
        return await self._database.write(lambda db: _adopt(db, job, identity))


def _known(files: Iterable[tuple[str, FileIdentity]], connection: sqlite3.Connection) -> set[str]:
    gone = json.dumps(sorted(RECORDING_GONE))
    return {
        path
        for path, one in files
        if connection.execute(_KNOWN, (path, str(one.inode), one.size, one.mtime_ns, gone)).fetchone() is not None
    }


def _jobs_of(connection: sqlite3.Connection, sha256: str) -> Sequence[Job]:
    jobs = {sight.job.id: sight.job for sight in _sights(connection, sha256, "") if sight.job is not None}
    return list(jobs.values())


def _other_places(connection: sqlite3.Connection, job: Job) -> Sequence[str]:
    if job.identity.sha256 is None:
        return ()
    sights = _sights(connection, job.identity.sha256, job.path)
    return [sight.path for sight in sights if sight.job_id == job.id and sight.path != job.path]


def _is_anothers(connection: sqlite3.Connection, path: str, job_id: int) -> bool:
    _, last_job_id = _last_at(connection, path)
    return last_job_id not in (None, 0, job_id)


def _take_in(
    connection: sqlite3.Connection, arrival: Arrival, strays: Collection[int], most_waiting: int, now: float
) -> tuple[Verdict, Job | None]:
    verdict = _judged(connection, arrival, strays)
    job: Job | None = None
    match verdict.fate:
        case "new":
            refuse_when_full(connection, most_waiting)
            job = insert_job(connection, arrival.path, arrival.options, arrival.identity, now, watch=arrival.watch)
        case "revived":
            refuse_when_full(connection, most_waiting)
            assert verdict.job_id is not None
            withdraw_follow_ups(connection, verdict.job_id)
            forgive_job(connection, verdict.job_id)
            job = _go_where_it_is(connection, verdict.job_id, arrival)
        case "followed":
            assert verdict.job_id is not None
            job = _go_where_it_is(connection, verdict.job_id, arrival)
        case "known":
            job = None if verdict.job_id is None else find_job(connection, verdict.job_id)
    is_treated_so = verdict.fate != "known"
    _remember(connection, arrival, verdict.job_id if job is None else job.id, is_treated_so=is_treated_so)
    return verdict, job


def _follow(connection: sqlite3.Connection, job_id: int, arrival: Arrival) -> Job:
    job = _go_where_it_is(connection, job_id, arrival)
    if job.watch is not None:
        _remember(connection, arrival, job_id, is_treated_so=True)
    return job


def _put_elsewhere(connection: sqlite3.Connection, job_id: int) -> None:
    job = fetch_job(connection, job_id)
    fields: dict[str, object] = {"outputs": {}, "taken_from": None}
    if job.target is not None and Path(job.target).name == Path(job.path).name:
        fields["home"] = str(Path(job.target).parent)
    update_job(connection, job_id, fields)
    connection.execute("DELETE FROM output_files WHERE job_id = ? AND sha256 IS NULL", (job_id,))


def _adopt_results(connection: sqlite3.Connection, arrival: Arrival) -> bool:
    question = """SELECT 1 FROM seen_files WHERE sha256 = ?1 OR path = ?2 UNION ALL
        SELECT 1 FROM jobs WHERE path = ?2 LIMIT 1"""
    if connection.execute(question, (arrival.identity.sha256, arrival.path)).fetchone() is not None:
        return False
    _remember(connection, arrival, None, is_treated_so=True)
    return True


def _adopt(connection: sqlite3.Connection, job: Job, identity: FileIdentity) -> bool:
    assert identity.sha256 is not None
    row = connection.execute("SELECT treatment FROM seen_files WHERE job_id = ? LIMIT 1", (job.id,)).fetchone()
    arrival = Arrival(job.path, identity, treatment=None if row is None else row["treatment"])
    verdict = _judged(connection, arrival, strays=(), besides=job.id)
    is_free = verdict.fate in ("new", "revived")
    if is_free:  # of what it was, nothing will have come
        connection.execute(
            "UPDATE seen_files SET job_id = 0 WHERE job_id = ? AND sha256 <> ?", (job.id, identity.sha256)
        )
    _remember(connection, arrival, job.id if is_free else verdict.job_id, is_treated_so=is_free)
    return is_free


# ------------------------------------------------------------------------------------------------------------------


def _judged(
    connection: sqlite3.Connection, arrival: Arrival, strays: Collection[int], besides: int | None = None
) -> Verdict:
    """`besides`: the job that asks, which is no answer."""
    sha256 = arrival.identity.sha256
    if sha256 is None:
        raise ValueError(f"{arrival.path}: content must be read before it can be told from what came earlier")
    sights = _sights(connection, sha256, arrival.path)
    around = _surroundings(connection, arrival, {sight.job_id for sight in sights} | {besides})
    return judge(arrival, [sight for sight in sights if sight.job_id != besides or besides is None], around, strays)


def _sights(connection: sqlite3.Connection, sha256: str, first: str) -> Sequence[Sight]:
    """That at the path `first` before all others."""
    question = "SELECT path, treatment, job_id FROM seen_files WHERE sha256 = ? AND path"
    rows = connection.execute(f"{question} = ?", (sha256, first)).fetchall()
    rows += connection.execute(f"{question} <> ? LIMIT ?", (sha256, first, MOST_SIGHTS)).fetchall()
    jobs = {job_id: find_job(connection, job_id) for job_id in {row["job_id"] for row in rows} - {None, 0}}
    return [Sight(row["path"], row["treatment"], row["job_id"], jobs.get(row["job_id"])) for row in rows]


def _surroundings(connection: sqlite3.Connection, arrival: Arrival, its_jobs: Collection[int | None]) -> KnownContent:
    sha256, job_id = _last_at(connection, arrival.path, arrival.identity.sha256)
    if sha256 is None:
        return KnownContent("nothing", has_other_results=False)
    if sha256 == arrival.identity.sha256:
        return KnownContent("this", has_other_results=False)
    last = find_job(connection, job_id) if job_id else None
    being_made = is_being_heard(last) and last is not None and last.path == arrival.path and last.id not in its_jobs
    written = connection.execute(
        "SELECT DISTINCT job_id FROM output_files WHERE recording = ? AND sha256 IS NOT NULL", (arrival.path,)
    ).fetchall()
    is_written = any(row["job_id"] not in its_jobs for row in written)
    return KnownContent("other", has_other_results=being_made or is_written, other_is_heard=being_made)


def _last_at(connection: sqlite3.Connection, path: str, rather: str | None = None) -> tuple[str | None, int | None]:
    """Content and job of what lay there last. Older versions kept no order: of theirs, `rather` this content."""
    rows = connection.execute(
        """SELECT sha256, job_id FROM seen_files WHERE path = ?1
        AND turn = (SELECT max(turn) FROM seen_files WHERE path = ?1)""",
        (path,),
    ).fetchall()
    last = max(rows, key=lambda row: row["sha256"] == rather, default=None)
    return (None, None) if last is None else (last["sha256"], last["job_id"])


def _remember(connection: sqlite3.Connection, arrival: Arrival, job_id: int | None, *, is_treated_so: bool) -> None:
    """This content lies there now. `is_treated_so`: as its folder wants, also if it was treated otherwise before."""
    identity = arrival.identity
    connection.execute(
        """INSERT INTO seen_files (path, sha256, inode, size, mtime_ns, treatment, job_id, turn)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, (SELECT coalesce(max(turn), 0) + 1 FROM seen_files WHERE path = ?1))
        ON CONFLICT (path, sha256) DO UPDATE SET inode = excluded.inode, mtime_ns = excluded.mtime_ns,
            turn = excluded.turn, job_id = coalesce(excluded.job_id, job_id),
            treatment = CASE WHEN ?8 THEN excluded.treatment ELSE treatment END""",
        (
            arrival.path,
            identity.sha256,
            str(identity.inode),
            identity.size,
            identity.mtime_ns,
            arrival.treatment,
            job_id,
            is_treated_so,
        ),
    )


def _go_where_it_is(connection: sqlite3.Connection, job_id: int, arrival: Arrival) -> Job:
    """The job's path becomes the arrival's, its results keep the name they have, and what is written stays its own.

    Results that have no name yet are named after the new name. A job that has not begun is treated as the folder
    wants that it is in now.
    """
    job = fetch_job(connection, job_id)
    has_results = bool(job.outputs) and job.status in ("writing", "done")
    fields: dict[str, object] = {
        "path": arrival.path,
        "identity": arrival.identity,
        "taken_from": job.first_path if has_results and job.first_path != arrival.path else None,
    }
    if job.target is not None:
        fields["target"] = arrival.target or arrival.path
        if not has_results:
            fields["home"] = arrival.home or str(Path(arrival.path).parent)
    if not job.is_finished and job.watch is not None and arrival.watch not in (None, job.watch):
        fields["watch"] = arrival.watch
        if job.status == "waiting" and job.transcribed_seconds == 0.0:
            fields["options"] = arrival.options.model_dump_json(exclude_none=True)
    for other in sharing_recording(connection, job):
        first = None if other.first_path == arrival.path else other.first_path
        target = None if other.target is None else arrival.target or arrival.path
        there = {"path": arrival.path, "target": target, "identity": arrival.identity, "taken_from": first}
        update_job(connection, other.id, there)
        _move_results(connection, other, arrival.path)
    _move_results(connection, job, arrival.path)
    return update_job(connection, job_id, fields)


def _move_results(connection: sqlite3.Connection, job: Job, to: str) -> None:
    """What was written for the job stays the recording's own: another one under its old name cannot have it."""
    connection.execute(
        "UPDATE output_files SET recording = ? WHERE recording = ? AND job_id = ?", (to, job.path, job.id)
    )
