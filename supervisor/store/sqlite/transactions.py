"""The queue's file on its own thread, one transaction at a time.

Runs in: supervisor.

One connection on one thread. Besides being simple, that keeps SQLite before 3.51.3 clear of its WAL-reset bug, which
needs two connections (https://sqlite.org/wal.html#walresetbug). The caller holds the daemon's lock.

The order that callers may rely on: transactions commit in the order in which they were asked for, and the answers of
those that changed something come in that order, each once it is on the disk. So who is told that a job was cancelled
knows that a claim of it, had one come first, was answered before. Only a transaction that changed nothing does not
wait for those before it.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Self, TypeVar

import structlog

from supervisor.store.sqlite.database import JobQueueBroken, broken, close_unfolded, connect
from supervisor.store.sqlite.wal_sync import WriteAheadLog

log = structlog.get_logger()

Answer = TypeVar("Answer")
Work = Callable[[sqlite3.Connection], Answer]


class NotSynced(Exception):
    """A log that could not be brought to the disk: what it holds may be gone after a power cut."""

    def __init__(self, failure: OSError) -> None:
        super().__init__(failure.strerror)


class JobDatabase:
    """Runs functions of a connection as transactions, in the order they were asked for, and answers in that order."""

    def __init__(self, path: Path, connection: sqlite3.Connection, thread: ThreadPoolExecutor) -> None:
        self._path = path
        self._connection = connection
        self._thread = thread
        self._log = WriteAheadLog(path)
        self.storage_failed = asyncio.Event()
        """Set once a sync has failed: nothing can be stored any more before another process opens the file."""

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
        """The answer of `work`, once it is safe on the disk. Whatever `work` raises takes the transaction back."""
        answer: Future[Answer] = Future()
        self._thread.submit(self._write, work, answer)
        try:
            return await asyncio.wrap_future(answer)
        except NotSynced as error:
            self.storage_failed.set()
            raise JobQueueBroken(
                "database_failed",
                f"{self._path} could not be brought to the disk: {error}",
                "check the disk; the daemon restarts by itself and retries",
            ) from error
        except sqlite3.Error as error:
            raise broken(self._path, error) from error

    async def fold(self) -> None:
        """The log's pages are in the file, and the log is empty. Raises JobQueueBroken.

        While another program reads the file, as a backup does, the log keeps what it has.
        """
        await asyncio.get_running_loop().run_in_executor(self._thread, self._fold)

    async def close(self) -> None:
        """Waits for transactions under way; the write-ahead log is folded into the file if it is to be trusted."""
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
        except BaseException as error:  # noqa: BLE001 - carried to the waiting caller, as an executor does
            answer.set_exception(error)
            return
        if self._connection.total_changes == changes:
            answer.set_result(found)
        else:
            self._log.when_synced(synced)

    def _fold(self) -> None:
        if self._log.failure is not None:
            return  # it is not to be trusted, and the daemon begins again
        try:
            (is_busy, *_) = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error as error:
            raise broken(self._path, error) from error
        if is_busy:
            log.warning("log_not_emptied", path=str(self._path), why="another program reads the queue")

    def _close(self) -> None:
        self._log.close()
        if self._log.failure is None:
            self._connection.close()
        else:
            # SQLite would fold into the file what may not be in the log on the disk: after a power cut in the middle
            # no caller could fix that.
            close_unfolded(self._connection)


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
