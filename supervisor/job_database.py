"""The queue's file on its own thread: opened, checked, brought to today's schema, one transaction at a time.

Runs in: supervisor.

One connection on one thread. Besides being simple, that keeps SQLite before 3.51.3 clear of its WAL-reset bug, which
needs two connections (https://sqlite.org/wal.html#walresetbug). The caller holds the daemon's lock.
"""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Self, TypeVar

import structlog

from supervisor.write_ahead_log import WriteAheadLog

log = structlog.get_logger()

Answer = TypeVar("Answer")
Work = Callable[[sqlite3.Connection], Answer]

APPLICATION_ID = int.from_bytes(b"sten")
"""Stands in the file's header: this database is ours, and no other program's."""
SCHEMA_SCRIPTS = tuple(Path(__file__).with_name(name) for name in ("schema.sql", "schema_2.sql", "schema_3.sql"))
"""Script n brings version n to n + 1. Scripts that were ever released are never edited."""
PRAGMAS = """
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;      -- WriteAheadLog does the rest
    PRAGMA checkpoint_fullfsync = ON; -- macOS: fsync alone leaves data in the drive's cache; elsewhere without effect
    PRAGMA wal_autocheckpoint = 1500; -- pages, 6 MB: one transaction in a hundred waits for the 10 ms that it takes
    PRAGMA journal_size_limit = 8000000;
    PRAGMA foreign_keys = ON;
"""
BUSY_TIMEOUT_SECONDS = 5.0
"""Only a person's own `sqlite3` shell can ever make us wait."""

LONGEST_CHECK_SECONDS = 0.5
"""Some 100 MB: a larger database is not read whole before anybody is answered. What is damaged further on raises
JobQueueBroken where it is used."""
CHECK_STEPS = 10_000
"""Of SQLite's virtual machine, a millisecond's worth, between two looks at the clock."""


class DatabaseRefused(Exception):
    """The file cannot be used, and was left as it is. The daemon must not start."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(f"{message}; {hint}")
        self.message = message
        self.hint = hint


class JobQueueBroken(Exception):
    """A transaction failed and was taken back whole: nothing of it is stored, nothing stored earlier is lost.

    Where the disk itself failed under a sync, nobody can know what of it is stored; from then on every writing
    transaction fails, until the daemon was started again and has read what is there.
    """

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.code = code
        """`disk_full` or `database_failed`."""
        self.message = message
        self.hint = hint


class NotSynced(Exception):
    """A log that could not be brought to the disk: what it holds may be gone after a power cut."""

    def __init__(self, failure: OSError) -> None:
        super().__init__(failure.strerror)


class JobDatabase:
    """Runs functions of a connection as transactions, in the order they were asked for."""

    def __init__(self, path: Path, connection: sqlite3.Connection, thread: ThreadPoolExecutor) -> None:
        self._path = path
        self._connection = connection
        self._thread = thread
        self._log = WriteAheadLog(path)

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Creates the file (0600, in a 0700 folder) or opens it. Raises DatabaseRefused."""
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="job_database")
        try:
            connection = await asyncio.get_running_loop().run_in_executor(thread, _connect, path)
        except BaseException:
            thread.shutdown()
            raise
        # Apple's own SQLite weakens fullfsync; whoever reads this line after a power cut wants to know which it was.
        log.info("database_opened", path=str(path), sqlite_version=sqlite3.sqlite_version)
        return cls(path, connection, thread)

    @property
    def folder(self) -> Path:
        """Where the file is; nobody else may look into it."""
        return self._path.parent

    async def read(self, work: Work[Answer]) -> Answer:
        """The answer of `work`, all of it from one state of the database."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, _transaction, self._connection, "BEGIN", work)
        except sqlite3.Error as error:
            raise self._broken(error) from error

    async def rows(self, question: str, *facts: object) -> list[sqlite3.Row]:
        """The answer to one SELECT."""
        return await self.read(lambda connection: connection.execute(question, facts).fetchall())

    async def write(self, work: Work[Answer]) -> Answer:
        """The answer of `work`, once it is safe on the disk. Whatever `work` raises takes the transaction back."""
        answer: Future[Answer] = Future()
        self._thread.submit(self._write, work, answer)
        try:
            return await asyncio.wrap_future(answer)
        except (sqlite3.Error, NotSynced) as error:
            raise self._broken(error) from error

    async def close(self) -> None:
        """Waits for transactions under way; the write-ahead log is folded into the file."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    def _write(self, work: Work[Answer], answer: Future[Answer]) -> None:
        """On the database's thread; the answer comes from one of the log's: the next transaction need not wait."""
        if not answer.set_running_or_notify_cancel():
            return

        def synced(failure: OSError | None) -> None:
            if failure is None:
                answer.set_result(found)
            else:
                answer.set_exception(NotSynced(failure))

        try:
            if self._log.failure is not None:
                raise NotSynced(self._log.failure)
            changes = self._connection.total_changes
            found = _transaction(self._connection, "BEGIN IMMEDIATE", work)
        except BaseException as error:  # noqa: BLE001 - carried to whoever waits, as an executor does
            answer.set_exception(error)
            return
        if self._connection.total_changes == changes:
            answer.set_result(found)
        else:
            self._log.when_synced(synced)

    def _close(self) -> None:
        self._log.close()
        self._connection.close()

    def _broken(self, error: Exception) -> JobQueueBroken:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            return JobQueueBroken(
                "disk_full",
                f"the disk is full, {self._path} cannot grow",
                "free some space; nothing that was acknowledged is lost",
            )
        return JobQueueBroken(
            "database_failed",
            f"{self._path} could not be read or written: {error}",
            "check the disk and the folder's permissions, then restart the daemon",
        )


def _transaction(connection: sqlite3.Connection, begin: str, work: Work[Answer]) -> Answer:
    connection.execute(begin)
    try:
        answer = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        # SQLite has already rolled back by itself after some errors, a full disk among them.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return answer


def _connect(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.chmod(0o700)
        # SQLite gives its -wal and -shm files the mode of this one.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)
    except OSError as error:
        raise DatabaseRefused(
            f"{path} cannot be opened: {error.strerror}", "its folder must belong to the user who runs the daemon"
        ) from error
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None)
    connection.row_factory = sqlite3.Row
    try:
        _refuse_if_not_ours(path, connection)
        connection.executescript(PRAGMAS)
        _refuse_if_damaged(path, connection)
        _bring_up_to_date(connection)
    except sqlite3.Error as error:
        connection.close()
        raise _damaged(path, str(error)) from error
    except DatabaseRefused:
        connection.close()
        raise
    return connection


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
            "a newer stenod made it: install that one, or move the file away to start with an empty queue",
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


def _damaged(path: Path, complaint: str) -> DatabaseRefused:
    return DatabaseRefused(
        f"{path} is damaged or cannot be written: {complaint}",
        "it was left as it is: restore a copy, or move it (with its -wal) away to start with an empty queue",
    )


def _bring_up_to_date(connection: sqlite3.Connection) -> None:
    """A power cut in the middle leaves the older version whole: the version moves in the same transaction."""
    for version in range(_number(connection, "PRAGMA user_version"), len(SCHEMA_SCRIPTS)):
        connection.executescript(
            f"BEGIN IMMEDIATE; {SCHEMA_SCRIPTS[version].read_text('utf-8')};"
            f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {version + 1}; COMMIT;"
        )


def _number(connection: sqlite3.Connection, question: str) -> int:
    return int(connection.execute(question).fetchone()[0])
