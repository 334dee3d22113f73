"""The daemon's log as it is asked for: the last lines, the lines to come, one job's lines, through all its files.

Runs in: the user's shell.
"""

import os
import re
import threading
from collections import deque
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from client.machine.log_lines import facts_of

LONGEST_REST_SECONDS = 5.0
"""File events may be lost (network folders); the file is looked at this often anyway."""
JOB_FIELDS = ("job", "job_id", "during_job")
"""How lines name the job that they are about."""


class LogLines:
    """The log, filtered for one job if asked: `stenod.log`, and before it `stenod.log.1`, `stenod.log.2` …"""

    def __init__(self, file: Path, job_id: int | None = None) -> None:
        self.file = file
        self._job_id = job_id
        self._open: BufferedReader | None = None
        """The file that is being followed, under whatever name it has by now."""

    def last(self, count: int) -> list[str]:
        """The last lines that concern us, however many files they stand in. Raises FileNotFoundError."""
        self._open = self.file.open("rb")
        lines = deque(self._whole_lines(self._open), maxlen=count)
        for older in self._older_files():
            if len(lines) >= count:
                break
            with older.open("rb") as stream:
                before = deque(self._whole_lines(stream), maxlen=count - len(lines))
            lines.extendleft(reversed(before))
        return list(lines)

    def follow(self) -> Iterator[str]:
        """The lines written after `last`, for ever; a file that is turned over is read to its end first."""
        written = threading.Event()

        class Ears(FileSystemEventHandler):
            def on_any_event(self, event: FileSystemEvent) -> None:
                written.set()

        observer = Observer()
        observer.schedule(Ears(), str(self.file.parent))
        observer.start()
        try:
            while True:
                written.clear()
                yield from self._news()
                written.wait(LONGEST_REST_SECONDS)
        finally:
            observer.stop()
            observer.join()

    def _news(self) -> Iterator[str]:
        if self._open is not None:
            if os.fstat(self._open.fileno()).st_size < self._open.tell():
                self._open.seek(0)  # another program emptied it
            yield from self._whole_lines(self._open)
        if (turned_over := self._turned_over()) is not None:
            # Once more: what was written between the last look and the turn.
            if self._open is not None:
                yield from self._whole_lines(self._open)
                self._open.close()
            self._open = turned_over
            yield from self._whole_lines(turned_over)

    def _turned_over(self) -> BufferedReader | None:
        """The new file under the name of the one we follow; None: it is the same, or there is none yet."""
        try:
            if self._open is not None and os.path.samestat(os.fstat(self._open.fileno()), self.file.stat()):
                return None
            return self.file.open("rb")
        except FileNotFoundError:
            return None

    def _older_files(self) -> list[Path]:
        """Newest first."""
        numbered = {
            int(found[1]): file
            for file in self.file.parent.glob(f"{self.file.name}.*")
            if (found := re.fullmatch(r"\.(\d+)", file.name[len(self.file.name) :]))
        }
        return [numbered[number] for number in sorted(numbered)]

    def _whole_lines(self, stream: BufferedReader) -> Iterator[str]:
        while line := stream.readline():
            if not line.endswith(b"\n"):
                stream.seek(-len(line), os.SEEK_CUR)
                return  # half a line: its writer is at it, and we come back
            if self._concerns_us(line):
                yield line.decode("utf-8", "backslashreplace").rstrip("\n")

    def _concerns_us(self, line: bytes) -> bool:
        if self._job_id is None:
            return True
        if str(self._job_id).encode() not in line:
            return False  # most lines, and not one of them has to be understood
        facts = facts_of(line.decode("utf-8", "backslashreplace"))
        return any(facts.get(field) == self._job_id for field in JOB_FIELDS)
