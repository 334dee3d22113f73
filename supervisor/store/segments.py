"""Segments of a job in their table, from heard to timed. Every function needs a transaction around it.

Runs in: supervisor.
"""

import sqlite3
from collections.abc import Sequence
from typing import IO

from ipc.transcript import Segment, Unheard
from supervisor.store.job_rows import NoSuchJob

DEATHS_IN_A_ROW = ("transcriber_crashes", "daemon_deaths", "deaths_alone")
"""Deaths are held against a recording only while it gets no further."""

TOUCHING_SECONDS = 0.05


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


def load(connection: sqlite3.Connection, job_id: int, unaligned_only: bool, limit: int) -> list[Segment]:
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


def forget(connection: sqlite3.Connection, job_id: int) -> None:
    """As if nobody had listened yet."""
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
