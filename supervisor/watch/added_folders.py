"""The folders that were added while the daemon ran: a small file that outlives it.

Runs in: supervisor.
"""

import os
from collections.abc import Iterable
from pathlib import Path

import structlog
from pydantic import TypeAdapter, ValidationError

from config.watch_entry import WatchEntry
from ipc.api_messages import AddWatch
from supervisor.watch.entries import EntryRefused, entry_of, request_of

log = structlog.get_logger()

FILE = TypeAdapter(tuple[AddWatch, ...])


class WatchList:
    """`watches.json`: what was added over the socket. A damaged file costs those folders, never the start."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def read(self) -> dict[Path, WatchEntry]:
        """Folder → how it is watched; empty when nothing was ever added."""
        try:
            added = FILE.validate_json(self._file.read_bytes())
            return {(entry := entry_of(one)).path: entry for one in added}
        except FileNotFoundError:
            return {}
        except (OSError, ValidationError, EntryRefused) as damage:
            log.warning(
                "watch_list_unreadable", file=str(self._file), error=str(damage), hint="add the folders again"
            )
            return {}

    def write(self, entries: Iterable[WatchEntry]) -> None:
        """Replaces the file in one step, so that a crash leaves the old list or the new one."""
        added = tuple(request_of(entry) for entry in entries)
        fresh = self._file.with_suffix(".new")
        try:
            with fresh.open("wb") as stream:
                stream.write(FILE.dump_json(added, indent=2, exclude_defaults=True))
                stream.flush()
                os.fsync(stream.fileno())
            fresh.replace(self._file)
        except OSError as full:
            log.warning(
                "watch_list_not_saved", file=str(self._file), error=str(full), hint="add them again at the next start"
            )
