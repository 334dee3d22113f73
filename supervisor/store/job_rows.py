"""Row ↔ Job: how a job is read from and written to its table, and the name a client gave its request.

Runs in: supervisor. Every function needs a transaction around it.
"""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from pydantic import TypeAdapter

from ipc.api_messages import Attempt, JobError, JobOptions, SubmitFile
from ipc.errors import OneReason
from ipc.transcript import FORGETFUL, RecordingFacts, TranscriptTiming
from ipc.vocabulary import FINISHED, Format
from supervisor.disks.file_identity import FileIdentity, ResolvedFile
from supervisor.store.job import Job, MoveNotAllowed, WrittenFile, check_move, check_retry

IDENTITY = TypeAdapter(FileIdentity)
ATTEMPTS = TypeAdapter(tuple[Attempt, ...], config=FORGETFUL)
OUTPUTS = TypeAdapter(dict[Format, WrittenFile], config=FORGETFUL)
ERROR: TypeAdapter[JobError | None] = TypeAdapter(JobError | None, config=FORGETFUL)
RECORDING: TypeAdapter[RecordingFacts | None] = TypeAdapter(RecordingFacts | None, config=FORGETFUL)
PROMISES_KEPT = 16
"""For one name: this many tries in a row may each have reserved other content."""
STARTED_OVER: Mapping[str, object] = {
    "status": "waiting",
    "finished_at": None,
    "finished_age": None,
    "note": None,
    "error": None,
    "quarantined": False,
    "transcriber_crashes": 0,
    "crashed_at_seconds": None,
    "daemon_deaths": 0,
    "deaths_alone": 0,
    "aligner_crashes": 0,
    "degraded_reason": None,
    "timing": None,
}
"""What a retry makes of a job; what was heard stays."""


class KeyUsedBefore(OneReason):
    """The same key came with another request: one of the two would get the other's job."""

    code = "key_used_before"


@dataclass(frozen=True, slots=True)
class NamedRequest:
    """A request that its client gave a name, so that a second try is none."""

    key: str
    sha256: str
    """Of what was asked for."""

    @classmethod
    def of(cls, wanted: SubmitFile, key: str) -> "NamedRequest":
        return cls(key, hashlib.sha256(wanted.model_dump_json().encode("utf-8", "surrogatepass")).hexdigest())


def job_asked_for(connection: sqlite3.Connection, request: NamedRequest) -> Job | None:
    """What the request became when it came before; None: it never did. Raises KeyUsedBefore."""
    row = connection.execute("SELECT * FROM jobs WHERE idempotency_key = ?", (request.key,)).fetchone()
    if row is None:
        return None
    if row["request_sha256"] != request.sha256:
        raise KeyUsedBefore(
            f"this Idempotency-Key came with another request before, which became job {row['id']}",
            "draw another key for each recording",
        )
    return job_from(row)


def note_request(connection: sqlite3.Connection, job_id: int, request: NamedRequest) -> None:
    """The job is this request's. In the transaction that makes it."""
    connection.execute(
        "UPDATE jobs SET idempotency_key = ?, request_sha256 = ? WHERE id = ?", (request.key, request.sha256, job_id)
    )


class JobChanges(TypedDict, total=False):
    """The fields of a Job that may change while it goes its way; `status` has a method of its own."""

    path: str
    identity: FileIdentity
    note: str | None
    timing: TranscriptTiming | None
    degraded_reason: str | None
    language: str | None
    language_probability: float | None
    audio_seconds: float | None
    transcribed_seconds: float
    transcribed_whole: bool
    transcriber_crashes: int
    aligner_crashes: int
    quarantined: bool
    attempts: tuple[Attempt, ...]
    outputs: dict[Format, WrittenFile]
    error: JobError | None
    transcribed_by: str | None
    aligned_by: str | None
    taken_from: str | None
    target: str | None
    home: str | None
    recording: RecordingFacts | None
    crashed_at_seconds: float | None
    daemon_deaths: int
    deaths_alone: int
    unheard_seconds: float | None


class NoSuchJob(OneReason):
    """There is no job with this id: it never was, or it was pruned."""

    code = "no_such_job"

    def __init__(self, job_id: int) -> None:
        super().__init__(f"there is no job {job_id}", "`steno jobs` lists them")


def _as_json(adapter: TypeAdapter[Any]) -> Callable[[object], str]:
    return lambda value: adapter.dump_json(value).decode()


def _as_json_or_null(adapter: TypeAdapter[Any]) -> Callable[[object], str | None]:
    return lambda value: None if value is None else adapter.dump_json(value).decode()


ENCODERS: Mapping[str, Callable[[object], object]] = {
    "identity": _as_json(IDENTITY),
    "attempts": _as_json(ATTEMPTS),
    "outputs": _as_json(OUTPUTS),
    "error": _as_json_or_null(ERROR),
    "recording": _as_json_or_null(RECORDING),
}
"""Fields that are JSON in their column; all others are stored as they are."""


def job_from(row: sqlite3.Row) -> Job:
    """The Job of a row with all columns."""
    fields: dict[str, Any] = dict(row)
    fields["options"] = JobOptions.model_validate_json(row["options"])
    fields["identity"] = IDENTITY.validate_json(row["identity"])
    fields["attempts"] = ATTEMPTS.validate_json(row["attempts"])
    fields["outputs"] = OUTPUTS.validate_json(row["outputs"])
    for name, adapter in (("error", ERROR), ("recording", RECORDING)):
        fields[name] = None if row[name] is None else adapter.validate_json(row[name])
    fields["transcribed_whole"] = bool(row["transcribed_whole"])
    fields["quarantined"] = bool(row["quarantined"])
    return Job(**fields)


def fetch_job(connection: sqlite3.Connection, job_id: int) -> Job:
    """Raises NoSuchJob."""
    job = find_job(connection, job_id)
    if job is None:
        raise NoSuchJob(job_id)
    return job


def find_job(connection: sqlite3.Connection, job_id: int) -> Job | None:
    """None: it is forgotten."""
    row = connection.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
    return None if row is None else job_from(row)


def sharing_recording(connection: sqlite3.Connection, job: Job) -> Iterator[Job]:
    """Older jobs of the very same recording, which go where that goes: they may still be upgraded."""
    rows = connection.execute(
        "SELECT DISTINCT job_id FROM output_files WHERE recording = ? AND job_id <> ?", (job.path, job.id)
    ).fetchall()
    for row in rows:
        other = find_job(connection, row["job_id"])
        if other is None or other.status not in FINISHED or other.path != job.path:
            continue  # files outlive a job that was forgotten
        if other.identity.looks_like(job.identity):
            yield other


def insert_job(
    connection: sqlite3.Connection,
    path: str,
    options: JobOptions,
    found: FileIdentity | ResolvedFile,
    created_at: float,
    watch: str | None = None,
) -> Job:
    """A new waiting job, behind all others."""
    identity, target, home = found, None, None
    if isinstance(found, ResolvedFile):
        identity, target, home = found.identity, found.target, found.home
    wishes, known = options.model_dump_json(exclude_none=True), ENCODERS["identity"](identity)
    added = connection.execute(
        """INSERT INTO jobs (path, options, status, identity, created_at, watch, target, home)
        VALUES (?, ?, 'waiting', ?, ?, ?, ?, ?)""",
        (path, wishes, known, created_at, watch, target, home),
    )
    assert added.lastrowid is not None
    return fetch_job(connection, added.lastrowid)


def forgive_job(connection: sqlite3.Connection, job_id: int) -> Job:
    """Failed or cancelled → waiting. Raises NoSuchJob, MoveNotAllowed."""
    check_retry(fetch_job(connection, job_id))
    # With the reason goes what it left: or the job would be done without words, and nothing say why.
    reopen_untimed(connection, job_id)
    return update_job(connection, job_id, STARTED_OVER)


def reopen_untimed(connection: sqlite3.Connection, job_id: int) -> None:
    """Segments that have no words may be aligned again."""
    connection.execute("UPDATE segments SET aligned = 0 WHERE job_id = ? AND timing = 'segment'", (job_id,))


def stand_in_line_again(connection: sqlite3.Connection, job_id: int, changes: Mapping[str, object]) -> Job:
    """A running job waits; not one that was cancelled meanwhile. Raises NoSuchJob, MoveNotAllowed."""
    job = fetch_job(connection, job_id)
    check_move(job, "waiting")
    if job.is_finished:
        raise MoveNotAllowed(f"job {job_id} is {job.status} by now")
    return update_job(connection, job_id, {"note": None, **changes, "status": "waiting"})


def forget_finished(connection: sqlite3.Connection, before: float, limit: int) -> int:
    """Forgets jobs that were over when the queue was younger than this, with their segments, and names they only
    reserved; none that something is still to follow. How many."""
    old = connection.execute(
        """SELECT id FROM jobs WHERE finished_age < ? AND id NOT IN (SELECT job_id FROM errands)
        ORDER BY finished_age LIMIT ?""",
        (before, limit),
    ).fetchall()
    connection.executemany("DELETE FROM output_files WHERE job_id = ? AND sha256 IS NULL", old)
    connection.executemany("DELETE FROM jobs WHERE id = ?", old)
    return len(old)


def forget_one(connection: sqlite3.Connection, job_id: int) -> None:
    """As `forget_finished`, whatever is still to follow. Raises NoSuchJob, MoveNotAllowed."""
    job = fetch_job(connection, job_id)
    if not job.is_finished:
        raise MoveNotAllowed(f"job {job_id} is {job.status}; only a job that is over can be forgotten")
    connection.execute("DELETE FROM output_files WHERE job_id = ? AND sha256 IS NULL", (job_id,))
    connection.execute("DELETE FROM jobs WHERE id = ?", (job_id,))


def update_job(connection: sqlite3.Connection, job_id: int, fields: Mapping[str, object]) -> Job:
    """Sets the named fields (keys are ours, never a client's); the names of outputs enter the ledger with them."""
    if fields:
        columns = ", ".join(f"{name} = ?" for name in fields)
        values = [ENCODERS[name](value) if name in ENCODERS else value for name, value in fields.items()]
        connection.execute(f"UPDATE jobs SET {columns} WHERE id = ?", (*values, job_id))
    job = fetch_job(connection, job_id)
    if "outputs" in fields:
        _remember_outputs(connection, job)
    return job


def _remember_outputs(connection: sqlite3.Connection, job: Job) -> None:
    # Names that the job gave up for others are free again.
    kept = json.dumps([written.path for written in job.outputs.values()])
    connection.execute(
        """DELETE FROM output_files WHERE job_id = ? AND sha256 IS NULL
        AND path NOT IN (SELECT value FROM json_each(?))""",
        (job.id, kept),
    )
    # A name that is reserved again for the same recording keeps its old hash: until it is replaced, the file there is
    # what that hash says, and still ours. So is what each try was about to write, until one is known to have done it.
    connection.executemany(
        f"""
        INSERT INTO output_files (path, recording, job_id, sha256, promised) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT (path) DO UPDATE SET
            sha256 = CASE recording WHEN excluded.recording THEN coalesce(excluded.sha256, sha256)
                     ELSE excluded.sha256 END,
            promised = CASE WHEN recording = excluded.recording AND excluded.sha256 IS NULL
                       THEN substr(trim(coalesce(promised, '') || ' ' || coalesce(excluded.promised, '')),
                                   -{PROMISES_KEPT * 65 - 1})
                       ELSE excluded.promised END,
            recording = excluded.recording,
            job_id = excluded.job_id
        """,
        [(written.path, job.path, job.id, written.sha256, written.promised) for written in job.outputs.values()],
    )
