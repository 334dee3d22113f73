"""A watched folder in its three forms: `[[watch]]`, the body of POST /v1/watches, and the options of its jobs.

Runs in: supervisor.

Folders that were added while the daemon ran are kept in a small file.
"""

from collections.abc import Iterable
from pathlib import Path

import structlog
from pydantic import TypeAdapter, ValidationError

from config.watch_entry import WatchEntry
from ipc.api_messages import AddWatch, JobOptions
from ipc.durable_file import write_durably
from ipc.errors import OneReason

log = structlog.get_logger()

FILE = TypeAdapter(tuple[AddWatch, ...])
OPTION_OF: dict[str, str] = {
    "language": "language",
    "task": "task",
    "workflow": "workflow",
    "prompt": "prompt",
    "replacements": "replacements",
    "model": "model",
    "formats": "formats",
    "output": "output_dir",
    "name": "output_name",
    "if_exists": "if_exists",
    "highlight_words": "highlight_words",
    "track": "track",
    "priority": "priority",
}
"""Field of a WatchEntry → field of JobOptions."""
HOOKS = frozenset({"on_done", "on_failed", "on_degraded"})
"""Commands come only from the settings: no request may name a program to run."""
FOLDER = frozenset(WatchEntry.model_fields) - OPTION_OF.keys() - HOOKS
"""Fields of the folder and not of its jobs, with the same names in AddWatch."""


class WatchList:
    """`watches.json`: the folders added over the socket. A damaged file loses those folders, but does not prevent the
    start."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def read(self) -> dict[Path, WatchEntry]:
        """Folder → its entry; empty if none was added."""
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
        try:
            write_durably(self._file, FILE.dump_json(added, indent=2, exclude_defaults=True))
        except OSError as full:
            log.warning(
                "watch_list_not_saved", file=str(self._file), error=str(full), hint="add them again at the next start"
            )


class EntryRefused(OneReason):
    """The watch entry is invalid."""

    code = "bad_watch"


def options_of(entry: WatchEntry) -> JobOptions:
    """The job options of the folder's recordings, with an absolute output folder."""
    options = _written_options(entry)
    if entry.output is None:
        return options
    return options.model_copy(update={"output_dir": str(entry.within(entry.output))})


def treatment_of(entry: WatchEntry) -> str:
    """The same as text, with paths as written: a renamed folder keeps its options."""
    return _written_options(entry).model_dump_json(exclude_none=True)


def entry_of(asked: AddWatch) -> WatchEntry:
    """The requested entry. Raises EntryRefused."""
    options = asked.options.model_dump()
    folder = asked.model_dump(include=set(FOLDER))
    try:
        return WatchEntry.model_validate(folder | {field: options[option] for field, option in OPTION_OF.items()})
    except ValidationError as wrong:
        fault = wrong.errors()[0]
        why = fault["msg"].removeprefix("Value error, ")
        if not fault["loc"]:
            raise EntryRefused(why, "correct one of the two") from wrong
        field = str(fault["loc"][0])
        raise EntryRefused(f"{field} {fault['input']!r}: {why}", f"correct `{field}`") from wrong


def request_of(entry: WatchEntry) -> AddWatch:
    """The request that `entry_of` turns into this entry, without its hooks."""
    folder = entry.model_dump(mode="json", include=set(FOLDER))
    return AddWatch.model_validate(folder | {"options": _written_options(entry)})


def with_hooks_of(entry: WatchEntry, other: WatchEntry | None) -> WatchEntry:
    """The entry with the commands of the same folder in the settings."""
    return entry if other is None else entry.model_copy(update={hook: getattr(other, hook) for hook in HOOKS})


def _written_options(entry: WatchEntry) -> JobOptions:
    written = entry.model_dump(mode="json")
    return JobOptions.model_validate({option: written[field] for field, option in OPTION_OF.items()})
