"""Consistency checks between tables, each in a transaction that also repairs if asked to.

Runs in: supervisor.
"""

import sqlite3
from typing import Protocol

from ipc.status_views import Irregularity

AGE_MAY_BE_LOST_SECONDS = 86_400.0
"""Tolerance: a killed daemon has not stored the queue's age since its last update."""


def irregular(check: str, what: str, repaired: bool, job: int | None = None, *, otherwise: str = "") -> Irregularity:
    """`otherwise`: what puts it right without a repair."""
    remedy = "" if repaired else f"`steno check --repair`{otherwise and f'; {otherwise}'}"
    return Irregularity(check=check, state="broken", what=what, job=job, repaired=repaired, remedy=remedy)


class TableCheck(Protocol):
    """A check that runs in a transaction."""

    def __call__(self, connection: sqlite3.Connection, *, repair: bool, age: float) -> list[Irregularity]: ...


def _counts(connection: sqlite3.Connection, *, repair: bool, age: float) -> list[Irregularity]:
    """The stored number of jobs in each state, which is read often."""
    rows = connection.execute(
        """SELECT status, jobs, (SELECT count(*) FROM jobs WHERE jobs.status = job_counts.status) AS counted
        FROM job_counts"""
    ).fetchall()
    wrong = [row for row in rows if row["jobs"] != row["counted"]]
    if repair:
        connection.executemany(
            "UPDATE job_counts SET jobs = ? WHERE status = ?", [(row["counted"], row["status"]) for row in wrong]
        )
    return [
        irregular("counts", f"{row['jobs']} jobs are said to be {row['status']}, and {row['counted']} are", repair)
        for row in wrong
    ]


def _orphans(connection: sqlite3.Connection, *, repair: bool, age: float) -> list[Irregularity]:
    """Rows of jobs that do not exist: only another program can have left them."""
    found = []
    for check, table, what, besides in (
        ("segments", "segments", "pieces of text", ""),
        ("follow_ups", "errands", "follow-ups", ""),
        ("reserved_names", "output_files", "reserved names", "sha256 IS NULL AND "),
    ):
        of_nobody = f"{besides}job_id NOT IN (SELECT id FROM jobs)"
        (count,) = connection.execute(f"SELECT count(*) FROM {table} WHERE {of_nobody}").fetchone()
        if count and repair:
            connection.execute(f"DELETE FROM {table} WHERE {of_nobody}")
        if count:
            found.append(irregular(check, f"{count} {what} belong to jobs that do not exist", repair))
    return found


def _follow_ups(connection: sqlite3.Connection, *, repair: bool, age: float) -> list[Irregularity]:
    """A follow-up of a job that has not finished."""
    too_early = "job_id IN (SELECT id FROM jobs WHERE status NOT IN ('done', 'failed', 'cancelled'))"
    (count,) = connection.execute(f"SELECT count(*) FROM errands WHERE {too_early}").fetchone()
    if count and repair:
        connection.execute(f"DELETE FROM errands WHERE {too_early}")
    return [irregular("follow_ups", f"{count} follow-ups belong to unfinished jobs", repair)] if count else []


def _ages(connection: sqlite3.Connection, *, repair: bool, age: float) -> list[Irregularity]:
    """A finished job without an age is never deleted, an unfinished one with an age too early."""
    over = "status IN ('done', 'failed', 'cancelled')"
    wrong = f"({over}) <> (finished_age IS NOT NULL) OR finished_age > ?"
    latest = age + AGE_MAY_BE_LOST_SECONDS
    (count,) = connection.execute(f"SELECT count(*) FROM jobs WHERE {wrong}", (latest,)).fetchone()
    if count and repair:
        connection.execute(
            f"UPDATE jobs SET finished_age = CASE WHEN {over} THEN ? END WHERE {wrong}",
            (age, latest),
        )
    return [irregular("ages", f"{count} jobs lack the time since they finished", repair)] if count else []


def _seen(connection: sqlite3.Connection, *, repair: bool, age: float) -> list[Irregularity]:
    """A watched folder's recording that is not recorded as seen would be transcribed again."""
    unseen = """watch IS NOT NULL AND json_extract(identity, '$.sha256') IS NOT NULL
        AND json_extract(identity, '$.sha256') NOT IN (SELECT sha256 FROM seen_files)"""
    rows = connection.execute(f"SELECT id, coalesce(taken_from, path) AS path FROM jobs WHERE {unseen}").fetchall()
    if repair:
        connection.execute(
            f"""INSERT OR IGNORE INTO seen_files (path, sha256, inode, size, mtime_ns, job_id)
            SELECT coalesce(taken_from, path), json_extract(identity, '$.sha256'),
                CAST(json_extract(identity, '$.inode') AS TEXT), json_extract(identity, '$.size'),
                json_extract(identity, '$.mtime_ns'), id
            FROM jobs WHERE {unseen}"""
        )
    return [
        irregular(
            "seen_files", f"{row['path']} became job {row['id']} and is not recorded as seen", repair, row["id"]
        )
        for row in rows
    ]


LOOKS: tuple[TableCheck, ...] = (_counts, _orphans, _follow_ups, _ages, _seen)
