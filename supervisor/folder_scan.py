"""One full look at a watched folder: which recordings are in it, and what was passed over, and why.

Runs in: supervisor, in a thread.

Nothing is opened: a file that lives in iCloud would be fetched, and reading it may block for minutes.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from supervisor.candidate_names import is_candidate, is_searched, is_storable
from supervisor.job import FileIdentity

SF_DATALESS = 0x4000_0000
"""macOS's st_flags of a file or folder whose content lives in iCloud only."""

WhyPassed = Literal["name_is_not_utf8", "only_in_icloud", "folder_cannot_be_read"]


@dataclass(frozen=True, slots=True)
class SeenFile:
    """A regular file with the name of a recording."""

    path: str
    """Absolute. Text, because a Path costs more to make than the file costs to look at."""
    identity: FileIdentity
    status_changed_ns: int
    """st_ctime: moves when somebody repairs a file's permissions, which nothing else shows."""


@dataclass(frozen=True, slots=True)
class PassedOver:
    """Something that would have been taken but for a reason its owner should hear once."""

    path: str
    why: WhyPassed


@dataclass(frozen=True, slots=True)
class FolderScan:
    """What one look found."""

    folder: tuple[int, int]
    """Device and inode: another pair means the folder was replaced, or a disk mounted over it."""
    files: tuple[SeenFile, ...]
    """Oldest first."""
    passed: frozenset[PassedOver]


def scan_folder(folder: Path, recursive: bool, excluded: Sequence[Path] = ()) -> FolderScan:
    """Reads the folder. Raises OSError when it cannot be read itself: missing, not a folder, no permission.

    Symbolic links, FIFOs, sockets and devices are never listed and never followed. Folders in `excluded` are told
    by device and inode, so spelling, links and letter case do not matter; the watched folder itself always counts.
    """
    avoided = frozenset(_existing(excluded))
    files: list[SeenFile] = []
    passed: set[PassedOver] = set()
    top = folder.stat()
    left = [folder]
    while left:
        inside = left.pop()
        try:
            entries = os.scandir(inside)
        except OSError:
            if inside == folder:
                raise
            passed.add(PassedOver(str(inside), "folder_cannot_be_read"))
            continue
        with entries:
            for entry in entries:
                try:
                    facts = entry.stat(follow_symlinks=False)
                except OSError:
                    continue  # gone between the listing and the look
                if stat.S_ISDIR(facts.st_mode):
                    wanted = recursive and is_searched(entry.name) and _place(facts) not in avoided
                else:
                    wanted = stat.S_ISREG(facts.st_mode) and is_candidate(entry.name)
                if not wanted:
                    continue
                why = why_passed(entry.path, getattr(facts, "st_flags", 0))
                if why is not None:
                    passed.add(PassedOver(entry.path, why))
                elif stat.S_ISDIR(facts.st_mode):
                    left.append(Path(entry.path))
                else:
                    files.append(SeenFile(entry.path, _identity(facts), facts.st_ctime_ns))
    files.sort(key=lambda seen: (seen.identity.mtime_ns, seen.path))
    return FolderScan(_place(top), tuple(files), frozenset(passed))


def why_passed(path: str, flags: int) -> WhyPassed | None:
    """Why a file or folder with a fitting name is not touched; `flags` are macOS's st_flags, 0 elsewhere."""
    if flags & SF_DATALESS:
        return "only_in_icloud"
    return None if is_storable(path) else "name_is_not_utf8"


def _existing(folders: Sequence[Path]) -> Iterator[tuple[int, int]]:
    for folder in folders:
        try:
            yield _place(folder.stat())
        except OSError:
            continue  # not there yet: nothing of it can be found either


def _place(facts: os.stat_result) -> tuple[int, int]:
    return facts.st_dev, facts.st_ino


def _identity(facts: os.stat_result) -> FileIdentity:
    return FileIdentity(facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)
