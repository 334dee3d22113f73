"""Probes whether the daemon may use a watched folder: opens, lists, reads and writes, without leaving a file.

Runs in: supervisor, in a thread.

macOS lets a program list a protected folder but not open its files, and a shell's permissions differ from a
service's; so the daemon itself opens a real file.
"""

import os
import stat
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from config.disk_access import how_to_allow, program_of_this_process
from supervisor.watch.scan import why_passed

FILES_TRIED = 5
"""Tries several files, for a single one may be unreadable for its own reasons."""

ProbeState = Literal["ok", "offline", "needs_permission", "not_writable", "timed_out"]


@dataclass(frozen=True, slots=True)
class FolderProbe:
    """The result of probing a watched folder."""

    path: str
    """The watched folder, absolute."""
    state: ProbeState
    note: str = ""
    """The system's error and what to do about it; empty if there is none."""


def probe_folder(folder: Path, written_to: Sequence[Path]) -> FolderProbe:
    """Probes the folder, and each folder that will be written to. Blocks as long as the disk does.

    For a missing folder of `written_to` its parent counts: it is created with its first file. Files whose content is
    only in iCloud are not opened.
    """
    path, hint = str(folder), permission_hint(sys.platform)
    try:
        refusals = _refusals(folder)
    except PermissionError as refused:
        return FolderProbe(path, "needs_permission", f"{_words(refused)}: {hint}")
    except OSError as gone:
        return FolderProbe(path, "offline", _words(gone))
    if refusals:
        return FolderProbe(path, "needs_permission", f"{_words(refusals[0])}: {hint}")
    for place in written_to:
        try:
            _try_to_write(place)
        except PermissionError as refused:
            allow = hint if sys.platform == "darwin" else "give the daemon's user write permission there"
            return FolderProbe(path, "not_writable", f"{_words(refused, place)}: {allow}")
        except OSError as refused:
            return FolderProbe(path, "not_writable", _words(refused, place))
    return FolderProbe(path, "ok")


def permission_hint(platform: str) -> str:
    """How to let the daemon read a folder. macOS grants access to the program, not to the user."""
    if platform == "darwin":
        return how_to_allow(program_of_this_process())
    return "give the daemon's user read and search permission: chmod u+rx on the folder"


def _refusals(folder: Path) -> list[OSError]:
    """The errors of the files that could not be opened; empty as soon as one could be, or if there is none."""
    refusals: list[OSError] = []
    for path in _some_files(folder):
        try:
            # O_NONBLOCK: the file may have been replaced by a pipe, and opening that would wait for a writer.
            os.close(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC))
        except FileNotFoundError:
            continue
        except OSError as refused:
            refusals.append(refused)
        else:
            return []
    return refusals


def _some_files(folder: Path) -> Iterator[str]:
    found = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            facts = entry.stat(follow_symlinks=False)
            if stat.S_ISREG(facts.st_mode) and why_passed(entry.path, getattr(facts, "st_flags", 0)) is None:
                yield entry.path
                found += 1
            if found == FILES_TRIED:
                return


def _try_to_write(folder: Path) -> None:
    # Unnamed on Linux from the start, on macOS once it is open; hidden in between.
    place = folder if folder.exists() else folder.parent
    with tempfile.TemporaryFile(prefix=".stenod-", dir=place):
        pass


def _words(error: OSError, about: Path | None = None) -> str:
    return f"{about or error.filename}: {error.strerror}"
