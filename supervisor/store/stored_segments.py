"""What was heard in a job, copied out of the database: read as often as a format needs it, never all in memory.

Runs in: supervisor.
"""

import errno
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO

from ipc.transcript import Segment, Unheard
from supervisor.store import segments as segment_rows
from supervisor.store.sqlite.transactions import JobDatabase, JobQueueBroken


class StoredSegments(AbstractContextManager["StoredSegments"]):
    """Segments in order, a line each of a file without a name. Iterate again to begin again; one reader at a time.

    After `close` whoever still reads gets a ValueError: a daemon that stops waits for no transcript of ten hours.
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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class SegmentCopies:
    """Makes them, each from one state of the database: an upgrade may go on while somebody reads."""

    def __init__(self, database: JobDatabase) -> None:
        self._database = database

    async def of(self, job_id: int) -> StoredSegments:
        """The job's segments as they stand; the caller closes them. Raises JobQueueBroken."""
        # Beside the database, where nobody else may look: /tmp can be memory.
        folder = self._database.folder

        def copied(connection: sqlite3.Connection) -> StoredSegments:
            lines = TemporaryFile(dir=folder)  # noqa: SIM115 - it outlives this function
            try:
                segment_rows.copy_lines(connection, job_id, lines)
                lines.flush()
            except BaseException:
                lines.close()
                raise
            return StoredSegments(lines, segment_rows.load_unheard(connection, job_id))

        try:
            return await self._database.read(copied)
        except OSError as error:
            is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise JobQueueBroken(
                "disk_full" if is_full else "database_failed",
                f"no copy of a transcript can be made in {folder}: {error.strerror}",
                "free some space" if is_full else "check the disk and the folder's permissions",
            ) from error
