"""The queue's file on its own thread, one transaction at a time.

Runs in: supervisor.

One connection on one thread. Besides being simple, that keeps SQLite before 3.51.3 clear of its WAL-reset bug, which
needs two connections (https://sqlite.org/wal.html#walresetbug). The caller holds the daemon's lock.

Callers may rely on this order: transactions commit, and are answered, in the order in which they were requested, each
once it is on the disk. So a caller that learns of a cancelled job knows that an earlier claim of it was answered.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self, TypeVar

import structlog

from ipc.failpoints import hit
from supervisor.store.sqlite.database import broken, connect

log = structlog.get_logger()

Answer = TypeVar("Answer")
Work = Callable[[sqlite3.Connection], Answer]


class JobDatabase:
    """Runs functions of a connection as transactions, in the order they were asked for, and answers in that order."""

    def __init__(self, path: Path, connection: sqlite3.Connection, thread: ThreadPoolExecutor) -> None:
        self._path = path
        self._connection = connection
        self._thread = thread

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Creates or opens the file. Raises DatabaseRefused; JobQueueBroken where the disk is full or fails."""
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="job_database")
        try:
            connection = await asyncio.get_running_loop().run_in_executor(thread, connect, path)
        except BaseException:
            thread.shutdown()
            raise
        # Apple's own SQLite weakens fullfsync; after a power cut this line says which it was.
        log.info("database_opened", path=str(path), sqlite_version=sqlite3.sqlite_version)
        return cls(path, connection, thread)

    @property
    def file(self) -> Path:
        return self._path

    @property
    def folder(self) -> Path:
        """Where the file is; no other user may read it."""
        return self._path.parent

    async def read(self, work: Work[Answer]) -> Answer:
        """The answer of `work`, all of it from one state of the database."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, _transaction, self._connection, "BEGIN", work)
        except sqlite3.Error as error:
            raise broken(self._path, error) from error

    async def rows(self, question: str, *facts: object) -> list[sqlite3.Row]:
        """The answer to one SELECT."""
        return await self.read(lambda connection: connection.execute(question, facts).fetchall())

    async def write(self, work: Work[Answer]) -> Answer:
        """The answer of `work`, once it is safe on the disk. Whatever `work` raises takes the transaction back.

        A write whose sync failed is not stored for this process, and the next one writes over it: a sync that fails
        once loses nothing that was acknowledged. Raises JobQueueBroken.
        """
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, _stored, self._connection, work)
        except sqlite3.Error as error:
            raise broken(self._path, error) from error

    async def fold(self) -> None:
        """The log's pages are in the file, and the log is empty. Raises JobQueueBroken.

        While another program reads the file, as a backup does, the log keeps what it has.
        """
        await asyncio.get_running_loop().run_in_executor(self._thread, self._fold)

    async def close(self) -> None:
        """Waits for transactions under way; SQLite folds the write-ahead log into the file."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._connection.close)
        self._thread.shutdown()

    def _fold(self) -> None:
        try:
            (is_busy, *_) = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error as error:
            raise broken(self._path, error) from error
        if is_busy:
            log.warning("log_not_emptied", path=str(self._path), why="another program reads the queue")


def _stored(connection: sqlite3.Connection, work: Work[Answer]) -> Answer:
    def with_failpoint(connection: sqlite3.Connection) -> Answer:
        answer = work(connection)
        hit("transaction_made")
        return answer

    answer = _transaction(connection, "BEGIN IMMEDIATE", with_failpoint)
    hit("transaction_stored")
    return answer


def _transaction(connection: sqlite3.Connection, begin: str, work: Work[Answer]) -> Answer:
    connection.execute(begin)
    try:
        answer = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        # SQLite has already rolled back after some errors, a full disk among them.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return answer
