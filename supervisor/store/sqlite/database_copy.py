"""One whole copy of an SQLite database as it stood at one moment, safe on the disk before it has its name.

Runs in: supervisor, and the process of `steno backup` and `steno restore`.
"""

import os
import secrets
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from ipc.durable_file import put_in_place

KEPT = "{stem}-before-schema-{schema}.sqlite3"
"""What lay here before a newer stenod changed it; `steno restore` brings it back."""
SET_ASIDE = "{stem}-replaced-{moment}.sqlite3"
"""What lay here before `steno restore` put another in its place."""


def copy_database(source: sqlite3.Connection, target: Path) -> None:
    """Replaces `target`, 0600, by a checked copy in one file. Raises sqlite3.Error, OSError; then all is as before.

    Others may write to the database meanwhile: what they commit is not in it.
    """
    fresh = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        os.close(os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        with closing(sqlite3.connect(fresh, isolation_level=None)) as copy:
            # No name leads to it before it is whole; we sync it ourselves.
            copy.execute("PRAGMA synchronous = OFF")
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
            complaint = copy.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if complaint != "ok":
            raise sqlite3.DatabaseError(f"the copy is not whole: {complaint}")
        put_in_place(fresh, target)
    except BaseException:
        for suffix in ("", "-journal", "-wal", "-shm"):
            with suppress(OSError):
                os.unlink(f"{fresh}{suffix}")  # noqa: PTH108
        raise


def kept_copies(database: Path) -> list[Path]:
    """The whole queues that stenod itself set aside beside the one in use: they hold its jobs' words, too."""
    names = (KEPT.format(stem=database.stem, schema="*"), SET_ASIDE.format(stem=database.stem, moment="*"))
    return sorted(file for name in names for file in database.parent.glob(name) if file.is_file())
