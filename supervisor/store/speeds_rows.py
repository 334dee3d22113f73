"""What was learned about speeds and sizes, in its tables. Every function needs a transaction around it.

Runs in: supervisor.
"""

import sqlite3
from collections.abc import Sequence

from supervisor.store.speeds import Rate, Subject, Work

MOST_ROWS = 100
"""Of each table: models come and go, and anybody may name a file as he likes. The ones used last are kept."""


def load(connection: sqlite3.Connection) -> dict[Subject, Rate]:
    """All of it."""
    known: dict[Subject, Rate] = {}
    for stage, engine, model, device, *sums in connection.execute("SELECT * FROM speeds"):
        known[Work(stage, engine, model, device)] = Rate(*sums)
    for suffix, *sums in connection.execute("SELECT * FROM sizes"):
        known[suffix] = Rate(*sums)
    return known


def store(connection: sqlite3.Connection, rates: Sequence[tuple[Subject, Rate]]) -> None:
    """In place of what was known of the same."""
    for subject, rate in rates:
        sums = (rate.audio_seconds, rate.cost, rate.measured_at)
        if isinstance(subject, Work):
            connection.execute("INSERT OR REPLACE INTO speeds VALUES (?, ?, ?, ?, ?, ?, ?)", (*subject, *sums))
        else:
            connection.execute("INSERT OR REPLACE INTO sizes VALUES (?, ?, ?, ?)", (subject, *sums))
    if rates:
        for table in ("speeds", "sizes"):
            newest = f"SELECT measured_at FROM {table} ORDER BY measured_at DESC LIMIT 1 OFFSET {MOST_ROWS - 1}"
            connection.execute(f"DELETE FROM {table} WHERE measured_at < ({newest})")
