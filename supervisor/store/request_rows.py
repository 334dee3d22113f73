"""One request, one job: the name a client gave its request. Functions need a transaction.

Runs in: supervisor.
"""

import hashlib
import sqlite3
from dataclasses import dataclass

from ipc.api_messages import SubmitFile
from supervisor.store.job import Job
from supervisor.store.job_rows import job_from
from supervisor.store.sqlite.transactions import JobDatabase


class KeyUsedBefore(Exception):
    """The same key came with another request: one of the two would get the other's job."""

    def __init__(self, job_id: int) -> None:
        super().__init__(f"this Idempotency-Key came with another request before, which became job {job_id}")


@dataclass(frozen=True, slots=True)
class NamedRequest:
    """A request that its client gave a name, so that a second try is none."""

    key: str
    sha256: str
    """Of what was asked for."""

    @classmethod
    def of(cls, wanted: SubmitFile, key: str) -> "NamedRequest":
        return cls(key, hashlib.sha256(wanted.model_dump_json().encode("utf-8", "surrogatepass")).hexdigest())


class Requests:
    """Those that were carried out, as far as their jobs are remembered."""

    def __init__(self, database: JobDatabase) -> None:
        self._database = database

    async def job_of(self, request: NamedRequest) -> Job | None:
        """What the request became when it came before; None: it never did. Raises KeyUsedBefore, JobQueueBroken."""
        return await self._database.read(lambda connection: job_asked_for(connection, request))


def job_asked_for(connection: sqlite3.Connection, request: NamedRequest) -> Job | None:
    """What the request became when it came before; None: it never did. Raises KeyUsedBefore."""
    row = connection.execute("SELECT * FROM jobs WHERE idempotency_key = ?", (request.key,)).fetchone()
    if row is None:
        return None
    if row["request_sha256"] != request.sha256:
        raise KeyUsedBefore(row["id"])
    return job_from(row)


def note_request(connection: sqlite3.Connection, job_id: int, request: NamedRequest) -> None:
    """The job is this request's. In the transaction that makes it."""
    connection.execute(
        "UPDATE jobs SET idempotency_key = ?, request_sha256 = ? WHERE id = ?", (request.key, request.sha256, job_id)
    )
