"""Whether the daemon itself may work in a watched folder: opened, listed, read and written to, without a trace left.

Runs in: supervisor, in a thread.

macOS lets a program list a protected folder and refuses it the files, and what a shell may do says nothing about what
a service may do; so the question is put from inside the daemon, to a real file.
"""

import os
import stat
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from supervisor.watch.scan import why_passed

FILES_TRIED = 5
"""A single file may be forbidden for reasons of its own."""

ProbeState = Literal["ok", "offline", "needs_permission", "not_writable", "timed_out"]


@dataclass(frozen=True, slots=True)
class FolderProbe:
    """What came of trying a watched folder."""

    path: str
    """The watched folder, absolute."""
    state: ProbeState
    note: str = ""
    """The system's words and what to do about them; empty where all is well."""


def probe_folder(folder: Path, written_to: Sequence[Path]) -> FolderProbe:
    """Tries the folder, and each folder that is to be written to. Blocks for as long as the disk does.

    A missing folder of `written_to` counts by its parent: it is made when the first file goes there. Files whose
    content is in iCloud only are not opened.
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
            allow = hint if sys.platform == "darwin" else "let the user that runs the daemon write there"
            return FolderProbe(path, "not_writable", f"{_words(refused, place)}: {allow}")
        except OSError as refused:
            return FolderProbe(path, "not_writable", _words(refused, place))
    return FolderProbe(path, "ok")


def permission_hint(platform: str, program: str = sys.executable) -> str:
    """What the owner has to do so that the daemon may read a folder. macOS grants it to the program, not the user."""
    if platform == "darwin":
        return f"System Settings → Privacy & Security → Full Disk Access: add {program}, then `steno service restart`"
    return "give the user that runs the daemon read and search permission: chmod u+rx on the folder"


def _refusals(folder: Path) -> list[OSError]:
    """Why each file that was tried could not be opened; empty as soon as one could, or where there is none."""
    refusals: list[OSError] = []
    for path in _some_files(folder):
        try:
            # O_NONBLOCK: what was a file a moment ago may be a pipe by now, and opening that would wait for a writer.
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
    # Nameless on Linux from the start, on macOS from the moment it is open; hidden in between.
    place = folder if folder.exists() else folder.parent
    with tempfile.TemporaryFile(prefix=".stenod-", dir=place):
        pass


def _words(error: OSError, about: Path | None = None) -> str:
    return f"{about or error.filename}: {error.strerror}"
