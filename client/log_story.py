"""The daemon's log as a person reads it: the last lines, the lines to come, one job's lines.

Runs in: the user's shell.
"""

import json
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

LONGEST_REST_SECONDS = 5.0
"""File events may be lost (network folders); the file is looked at this often anyway."""
HEAD = ("timestamp", "level", "event")


class LogStory:
    """The log file, filtered for one job if asked. Survives rotation while it follows."""

    def __init__(self, file: Path, job_id: int | None = None) -> None:
        self.file = file
        self._job_id = job_id
        self._place = 0
        self._inode = 0

    def last(self, count: int) -> list[str]:
        """The last lines that concern us. Raises FileNotFoundError."""
        return list(deque(self._new_lines(), maxlen=count))

    def follow(self) -> Iterator[str]:
        """The lines written after `last`, for ever."""
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
                with suppress(FileNotFoundError):  # between two files of a rotation
                    yield from self._new_lines()
                written.wait(LONGEST_REST_SECONDS)
        finally:
            observer.stop()
            observer.join()

    def _new_lines(self) -> Iterator[str]:
        with self.file.open(encoding="utf-8", errors="backslashreplace", newline="\n") as stream:
            self._find_place(stream)
            while line := stream.readline():
                if not line.endswith("\n"):
                    return  # half a line: its writer is at it, and we come back
                self._place = stream.tell()
                if self._concerns_us(line):
                    yield line.rstrip("\n")

    def _find_place(self, stream: TextIOWrapper) -> None:
        found = self.file.stat()
        if found.st_ino != self._inode or found.st_size < self._place:
            self._inode, self._place = found.st_ino, 0
        stream.seek(self._place)

    def _concerns_us(self, line: str) -> bool:
        if self._job_id is None:
            return True
        facts = facts_of(line)
        return self._job_id in (facts.get("job"), facts.get("job_id"), facts.get("during_job"))


def facts_of(line: str) -> dict[str, object]:
    """A JSON line's fields; {} for a line that is none."""
    try:
        facts = json.loads(line)
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}


def line_in_words(line: str) -> str:
    """`18:40:11 warning worker_died  worker=aligner cause=SIGSEGV`; a line that is no JSON stays as it is."""
    facts = facts_of(line)
    if "event" not in facts:
        return line
    time = str(facts.get("timestamp", ""))[11:19]
    told = " ".join(f"{name}={_short(fact)}" for name, fact in facts.items() if name not in (*HEAD, "exception"))
    head = f"{time} {facts.get('level', '')!s:<8}{facts['event']}"
    trace = f"\n{facts['exception']}" if "exception" in facts else ""
    return f"{head}  {told}{trace}" if told or trace else head


def _short(fact: object) -> str:
    return (
        fact
        if isinstance(fact, str) and fact.isprintable() and fact and " " not in fact
        else json.dumps(fact, ensure_ascii=False)
    )
