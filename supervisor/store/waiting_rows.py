"""What the waiting jobs will need, read from their rows. Needs a transaction around it.

Runs in: supervisor.
"""

import sqlite3
from typing import NamedTuple

from ipc.api_messages import JobOptions


class WaitingWork(NamedTuple):
    """What is known of a waiting job before anybody has opened its recording."""

    path: str
    size_bytes: int
    options: JobOptions
    audio_seconds: float | None
    """None: it was not decoded yet."""
    transcribed_seconds: float
    transcribed_whole: bool


def sample(connection: sqlite3.Connection, most: int) -> list[WaitingWork]:
    """All of them, or every second, every third …, so that there are about `most`: a queue may be very long."""
    (waiting,) = connection.execute("SELECT jobs FROM job_counts WHERE status = 'waiting'").fetchone()
    rows = connection.execute(
        """SELECT path, json_extract(identity, '$.size'), options, audio_seconds, transcribed_seconds,
        transcribed_whole FROM jobs WHERE status = 'waiting' AND id % ? = 0 LIMIT ?""",
        (-(-waiting // most) or 1, most),
    )
    known: dict[str, JobOptions] = {}
    return [
        WaitingWork(path, size, _options(options, known), audio, done, bool(whole))
        for path, size, options, audio, done, whole in rows
    ]


def _options(text: str, known: dict[str, JobOptions]) -> JobOptions:
    """Hundreds of jobs have the same."""
    if text not in known:
        known[text] = JobOptions.model_validate_json(text)
    return known[text]
