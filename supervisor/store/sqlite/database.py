"""The queue's file: opened, checked, brought to today's schema, its log made safe; or refused, every byte kept.

Runs in: supervisor.
"""

import contextlib
import errno
import os
import sqlite3
import time
from pathlib import Path

import structlog

from config.ownership import make_private
from ipc.durable_file import sync
from ipc.errors import OneReason, StenodError
from supervisor.store.sqlite.database_copy import KEPT, copy_database

log = structlog.get_logger()

APPLICATION_ID = int.from_bytes(b"sten")
"""The application id in the file's header: this database is ours, and no other program's."""
SCHEMA_SCRIPTS = tuple(
    Path(__file__).with_name(name) for name in ("schema.sql", *(f"schema_{version}.sql" for version in range(2, 8)))
)
"""Script n brings version n to n + 1. Scripts that were ever released are never edited."""
FIRST_THAT_OVERWRITES = 4
"""Schema from which on what is forgotten is overwritten; older files hold words of jobs that they forgot."""
PRAGMAS = """
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;        -- COMMIT returns once the log is on the disk
    PRAGMA fullfsync = ON;            -- macOS: fsync alone leaves data in the drive's cache; elsewhere without effect
    PRAGMA wal_autocheckpoint = 1500; -- pages, 6 MB: one transaction in a hundred waits for the 10 ms that it takes
    PRAGMA journal_size_limit = 8000000;
    PRAGMA foreign_keys = ON;
    PRAGMA secure_delete = ON;        -- what is forgotten is overwritten
"""
BUSY_TIMEOUT_SECONDS = 5.0
"""Only a person's own `sqlite3` shell can ever make us wait."""

BLOCK_BYTES = 1 << 20
LONGEST_CHECK_SECONDS = 0.5
"""Some 100 MB: a larger database is not read whole before the first request. What is damaged further on raises
JobQueueBroken where it is used."""
CHECK_STEPS = 10_000
"""Of SQLite's virtual machine, a millisecond's worth, between two looks at the clock."""


class DatabaseRefused(OneReason):
    """The file cannot be used, and was left as it is. The daemon must not start."""

    code = "queue_refused"


class JobQueueBroken(StenodError):
    """A transaction failed and was taken back whole: nothing of it is stored, nothing stored earlier is lost.

    If the sync itself failed, a later process may still find the transaction in the log.

    `code`: `disk_full` or `database_failed`.
    """


def connect(path: Path) -> sqlite3.Connection:
    """Creates the file (0600, in a 0700 folder) or opens it, its log safe on the disk.

    Raises DatabaseRefused; JobQueueBroken where the disk is full or fails.
    """
    try:
        make_private(path.parent)
        path.parent.chmod(0o700)
        # SQLite gives its -wal and -shm files the mode of this one.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise broken(path, error) from error
        raise DatabaseRefused(
            f"{path} cannot be opened: {error.strerror}", "its folder must belong to the user who runs the daemon"
        ) from error
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None)
    connection.row_factory = sqlite3.Row
    try:
        _refuse_if_not_ours(path, connection)
        connection.executescript(PRAGMAS)
        _refuse_if_damaged(path, connection)
        # Before SQLite folds anything of it into the file, which it does only behind a COMMIT.
        connection.execute("BEGIN IMMEDIATE")
        _rewrite_log(path)
        connection.execute("ROLLBACK")
        _bring_up_to_date(path, connection)
    except (sqlite3.Error, OSError, DatabaseRefused) as error:
        close_unfolded(connection)
        match error:
            case DatabaseRefused():
                raise
            case sqlite3.Error() if not _is_the_disks(error):
                raise _damaged(path, error) from error
            case _:
                raise broken(path, error) from error
    return connection


def _rewrite_log(database: Path) -> None:
    """Writes the write-ahead log's own bytes once more to their place, and syncs them. Raises OSError.

    After a failed sync the kernel may count pages as clean that it never wrote
    (https://wiki.postgresql.org/wiki/Fsync_Errors). An earlier process may have left such pages: they read as if they
    were on the disk, and frames appended after them would be lost with them in a power cut. Written again, they reach
    the disk, or fail. A power cut in the middle finds old bytes or new ones: they are the same.
    """
    # SQLite holds no lock on the log, so closing our descriptor releases none.
    log_file = os.open(f"{database}-wal", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        at = 0
        while block := os.pread(log_file, BLOCK_BYTES, at):
            at += os.pwrite(log_file, block, at)
        if at > 0:
            sync(log_file)
    finally:
        os.close(log_file)


def close_unfolded(connection: sqlite3.Connection) -> None:
    """Closes without what SQLite does last of all: folding the log into the file."""
    # An interrupted connection folds nothing. (SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE needs Python 3.12.)
    connection.interrupt()
    connection.close()


def _refuse_if_not_ours(path: Path, connection: sqlite3.Connection) -> None:
    """Only looks: a refused file keeps every byte."""
    version = _number(connection, "PRAGMA user_version")
    if _number(connection, "SELECT count(*) FROM sqlite_schema") == 0:
        return
    if _number(connection, "PRAGMA application_id") != APPLICATION_ID:
        raise DatabaseRefused(f"{path} is not a database of stenod", "move it elsewhere")
    if version > len(SCHEMA_SCRIPTS):
        raise DatabaseRefused(
            f"{path} has schema {version}, this stenod knows {len(SCHEMA_SCRIPTS)}",
            "a newer stenod made it: install that one; its `steno restore` also brings back what was here before: "
            f"{path.with_name(KEPT.format(stem=path.stem, schema=version))}",
        )


def _refuse_if_damaged(path: Path, connection: sqlite3.Connection) -> None:
    ends_at = time.monotonic() + LONGEST_CHECK_SECONDS
    connection.set_progress_handler(lambda: time.monotonic() > ends_at, CHECK_STEPS)
    try:
        complaint = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        complaint = "ok"
    finally:
        connection.set_progress_handler(None, 0)
    if complaint != "ok":
        raise _damaged(path, complaint)


def _damaged(path: Path, complaint: object) -> DatabaseRefused:
    return DatabaseRefused(
        f"{path} is damaged or cannot be written: {complaint}",
        "it was left as it is: restore a copy, or move it (with its -wal) away to start with an empty queue",
    )


def _bring_up_to_date(path: Path, connection: sqlite3.Connection) -> None:
    """A power cut in the middle leaves the older version whole: the version moves in the same transaction.

    The older version stays beside it as a copy, for a return to the stenod that made it.
    """
    before = _number(connection, "PRAGMA user_version")
    if 0 < before < len(SCHEMA_SCRIPTS):
        copy = path.with_name(KEPT.format(stem=path.stem, schema=len(SCHEMA_SCRIPTS)))
        copy_database(connection, copy)
        log.info("queue_copied_before_upgrade", copy=str(copy), from_schema=before, to_schema=len(SCHEMA_SCRIPTS))
    for version in range(before, len(SCHEMA_SCRIPTS)):
        connection.executescript(
            f"BEGIN IMMEDIATE; {SCHEMA_SCRIPTS[version].read_text('utf-8')};"
            f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {version + 1}; COMMIT;"
        )
    if 0 < before < FIRST_THAT_OVERWRITES:
        with contextlib.suppress(sqlite3.Error):  # as for lack of room: then old words are overwritten by and by
            connection.execute("VACUUM")


def _number(connection: sqlite3.Connection, question: str) -> int:
    return int(connection.execute(question).fetchone()[0])


def broken(path: Path, error: Exception) -> JobQueueBroken:
    """What SQLite's or the system's error means for the caller's read or write."""
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL or _is_full(error):
        return JobQueueBroken(
            "disk_full",
            f"the disk is full, {path} cannot grow",
            "free some space; nothing that was acknowledged is lost",
        )
    return JobQueueBroken(
        "database_failed",
        f"{path} could not be read or written: {error}",
        "check the disk and the folder's permissions",
    )


def _is_full(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _is_the_disks(error: sqlite3.Error) -> bool:
    """Whether the disk failed, and not its content."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL)
