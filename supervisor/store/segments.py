"""The table of segments, from heard to timed, and a copy of one job's for the formats.

Runs in: supervisor. Functions that take a connection need a transaction around them.

A format reads the copy as often as it needs; never are all segments in memory.
"""

import errno
import sqlite3
from collections.abc import Iterator, Sequence
from tempfile import TemporaryFile
from typing import IO

from ipc.transcript import Segment, Unheard
from supervisor.store.job_rows import NoSuchJob
from supervisor.store.sqlite.database import JobQueueBroken
from supervisor.store.sqlite.transactions import JobDatabase

DEATHS_IN_A_ROW = ("transcriber_crashes", "daemon_deaths", "deaths_alone")
"""Deaths are held against a recording only while it gets no further."""
TOUCHING_SECONDS = 0.05


class StoredSegments:
    """Segments in order, a line each of a file without a name. Iterate again to begin again; one reader at a time.

    After `close` a reader gets a ValueError: a daemon that stops waits for no transcript of ten hours.
    """

    def __init__(self, lines: IO[bytes], unheard: Sequence[Unheard] = ()) -> None:
        self._lines = lines
        self.unheard = unheard
        """What was audible and gave no text, in order."""

    def __iter__(self) -> Iterator[Segment]:
        self._lines.seek(0)
        return map(Segment.model_validate_json, self._lines)

    def close(self) -> None:
        """The disk space is given back."""
        self._lines.close()


class SegmentCopies:
    """Makes them, each from one state of the database: an upgrade may run while a client reads."""

    def __init__(self, database: JobDatabase) -> None:
        self._database = database

    async def of(self, job_id: int) -> StoredSegments:
        """The job's segments as they stand; the caller closes them. Raises JobQueueBroken."""
        # Beside the database, where no other user may look: /tmp can be memory.
        folder = self._database.folder

        def copied(connection: sqlite3.Connection) -> StoredSegments:
            lines = TemporaryFile(dir=folder)  # noqa: SIM115 - it outlives this function
            try:
                copy_lines(connection, job_id, lines)
                lines.flush()
            except BaseException:
                lines.close()
                raise
            return StoredSegments(lines, load_unheard(connection, job_id))

        try:
            return await self._database.read(copied)
        except OSError as error:
            is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise JobQueueBroken(
                "disk_full" if is_full else "database_failed",
                f"no copy of a transcript can be made in {folder}: {error.strerror}",
                "free some space" if is_full else "check the disk and the folder's permissions",
            ) from error


def store_heard(
    connection: sqlite3.Connection,
    job_id: int,
    segments: Sequence[Segment],
    unheard: Sequence[Unheard],
    done_seconds: float,
) -> None:
    """Segments, what gave none, and how far they reach, together. What is stored already stays: a repeated batch
    changes nothing.

    A job that got further than before is acquitted of all deaths until now: they did not come of what lies behind it.
    """
    acquitted = ", ".join(
        f"{count} = CASE WHEN ?1 > transcribed_seconds THEN 0 ELSE {count} END" for count in DEATHS_IN_A_ROW
    )
    reached = connection.execute(
        f"UPDATE jobs SET transcribed_seconds = max(transcribed_seconds, ?1), {acquitted} WHERE id = ?2",
        (done_seconds, job_id),
    )
    if reached.rowcount == 0:
        raise NoSuchJob(job_id)
    connection.executemany(
        "INSERT INTO segments (job_id, id, content, timing) VALUES (?, ?, ?, ?) ON CONFLICT (job_id, id) DO NOTHING",
        [(job_id, segment.id, _as_json(segment), segment.timing) for segment in segments],
    )
    connection.executemany(
        "INSERT INTO unheard (job_id, start, content) VALUES (?, ?, ?) ON CONFLICT (job_id, start) DO NOTHING",
        [(job_id, one.start, one.model_dump_json()) for one in unheard],
    )
    connection.execute(
        """UPDATE jobs SET unheard_seconds = (
            SELECT total(content ->> '$.end' - start) FROM unheard WHERE job_id = ?1
        ) WHERE id = ?1""",
        (job_id,),
    )


def store_final(connection: sqlite3.Connection, job_id: int, segments: Sequence[Segment]) -> None:
    """Replaces segments that are stored by what the aligner made of them; unknown ids are ignored."""
    connection.execute(
        "UPDATE jobs SET daemon_deaths = 0, deaths_alone = 0 WHERE id = ? AND daemon_deaths > 0", (job_id,)
    )
    connection.executemany(
        "UPDATE segments SET content = ?, timing = ?, aligned = 1 WHERE job_id = ? AND id = ?",
        [(_as_json(segment), segment.timing, job_id, segment.id) for segment in segments],
    )


def load_segments(connection: sqlite3.Connection, job_id: int, unaligned_only: bool, limit: int) -> list[Segment]:
    """In the order of their ids, at most `limit`; -1: all."""
    chosen = "INDEXED BY segments_to_align WHERE aligned = 0 AND" if unaligned_only else "WHERE"
    question = f"SELECT content FROM segments {chosen} job_id = ? ORDER BY id LIMIT ?"
    rows = connection.execute(question, (job_id, limit)).fetchall()
    return [Segment.model_validate_json(content) for (content,) in rows]


def load_unheard(connection: sqlite3.Connection, job_id: int) -> list[Unheard]:
    """In order; what a chunk's border divides is one again."""
    whole: list[Unheard] = []
    rows = connection.execute("SELECT content FROM unheard WHERE job_id = ? ORDER BY start", (job_id,))
    for (content,) in rows:
        one = Unheard.model_validate_json(content)
        if whole and one.start - whole[-1].end < TOUCHING_SECONDS:
            before = whole.pop()
            one = Unheard(start=before.start, end=one.end, level_db=max(before.level_db, one.level_db))
        whole.append(one)
    return whole


def copy_lines(connection: sqlite3.Connection, job_id: int, file: IO[bytes]) -> None:
    """Every segment as a line of JSON, in the order of their ids. Raises OSError."""
    question = "SELECT content FROM segments WHERE job_id = ? ORDER BY id"
    file.writelines(content.encode() + b"\n" for (content,) in connection.execute(question, (job_id,)))


def forget_segments(connection: sqlite3.Connection, job_id: int) -> None:
    """As if it had not been heard yet."""
    connection.execute("DELETE FROM segments WHERE job_id = ?", (job_id,))
    connection.execute(
        """UPDATE jobs SET transcribed_seconds = 0, transcribed_whole = 0, transcribed_by = NULL, aligned_by = NULL,
           audio_seconds = NULL, recording = NULL, language = NULL, language_probability = NULL,
           timing = NULL, transcriber_crashes = 0, crashed_at_seconds = NULL, daemon_deaths = 0, deaths_alone = 0,
           unheard_seconds = NULL
           WHERE id = ?""",
        (job_id,),
    )


def _as_json(segment: Segment) -> str:
    return segment.model_dump_json(exclude_defaults=True)
