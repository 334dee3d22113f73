"""One full look at a watched folder: which recordings are in it, and what was passed over, and why.

Runs in: supervisor, in a thread.

Nothing is opened: a file that lives in iCloud would be fetched, and reading it may block for minutes.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ipc.vocabulary import WhyPassed
from supervisor.disks.file_identity import SF_DATALESS, FileIdentity
from supervisor.watch.name_filter import NamePatterns
from supervisor.watch.recording_names import is_searched, is_storable, name_in_icloud, name_meant


@dataclass(frozen=True, slots=True)
class ScanRules:
    """What of a folder counts."""

    patterns: NamePatterns
    recursive: bool = False
    closed: tuple[Path, ...] = ()
    """Folders that are not entered: ours, where files go when they are done, and others that are watched."""
    left_alone: tuple[Path, ...] = ()
    """Folders whose own files are not looked at, but whose inner folders are: others watched without theirs."""


@dataclass(frozen=True, slots=True)
class SeenFile:
    """A regular file with a name that is wanted."""

    path: str
    """Absolute. Text, because a Path costs more to make than the file costs to look at."""
    identity: FileIdentity
    status_changed_ns: int
    """st_ctime: moves when a file's permissions are repaired, which nothing else shows."""


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
    is_mount_point: bool
    """Whether a disk begins here."""
    is_bare: bool
    """Nothing but hidden names in it, as in a mount point that waits for its disk."""
    files: tuple[SeenFile, ...]
    """Oldest first."""
    passed: frozenset[PassedOver]


def scan_folder(folder: Path, rules: ScanRules, *, inodes_hold: bool = True) -> FolderScan:
    """Reads the folder. Raises OSError when it cannot be read itself: missing, not a folder, no permission.

    Symbolic links, FIFOs, sockets and devices are never listed and never followed; a link that is called like a
    recording is told as passed over. Folders in the rules are told by
    device and inode, so spelling, links and letter case do not matter; the watched folder itself always counts.
    Where inodes do not hold, as on network disks, files are told apart without them: device and inode are 0 then.
    """
    closed = frozenset(_existing(rules.closed if rules.recursive else ()))
    left_alone = frozenset(_existing(rules.left_alone if rules.recursive else ()))
    files: list[SeenFile] = []
    passed: set[PassedOver] = set()
    top = folder.stat()
    around = os.stat(os.path.join(folder, ".."))  # noqa: PTH116, PTH118 - Path would take the `..` for text
    is_bare = True
    left = [(folder, "", True)]
    while left:
        inside, prefix, counts = left.pop()
        try:
            entries = os.scandir(inside)
        except OSError:
            if inside == folder:
                raise
            passed.add(PassedOver(str(inside), "folder_cannot_be_read"))
            continue
        with entries:
            for entry in entries:
                is_bare = is_bare and entry.name.startswith(".")
                try:
                    facts = entry.stat(follow_symlinks=False)
                except OSError:
                    continue  # gone between the listing and the look
                name = prefix + entry.name
                if stat.S_ISDIR(facts.st_mode):
                    wanted = rules.recursive and is_searched(entry.name) and not rules.patterns.close(name)
                    wanted = wanted and _place(facts) not in closed
                else:
                    wanted = counts and stat.S_ISREG(facts.st_mode) and rules.patterns.want(name)
                    away = name_in_icloud(entry.name) if counts and not wanted else None
                    if away is not None and rules.patterns.want(prefix + away):
                        passed.add(PassedOver(str(inside / away), "only_in_icloud"))
                    elif counts and not wanted and (why := _why_missed(facts.st_mode, prefix, entry.name, rules)):
                        passed.add(PassedOver(entry.path, why))
                if not wanted:
                    continue
                why = why_passed(entry.path, getattr(facts, "st_flags", 0))
                if why is not None:
                    passed.add(PassedOver(entry.path, why))
                elif stat.S_ISDIR(facts.st_mode):
                    left.append((Path(entry.path), f"{name}/", _place(facts) not in left_alone))
                else:
                    files.append(SeenFile(entry.path, _identity(facts, inodes_hold), facts.st_ctime_ns))
    files.sort(key=lambda seen: (seen.identity.mtime_ns, seen.path))
    return FolderScan(_place(top), around.st_dev != top.st_dev, is_bare, tuple(files), frozenset(passed))


def why_passed(path: str, flags: int) -> WhyPassed | None:
    """Why a file or folder with a fitting name is not touched; `flags` are macOS's st_flags, 0 elsewhere."""
    if flags & SF_DATALESS:
        return "only_in_icloud"
    return None if is_storable(path) else "name_is_not_utf8"


def _why_missed(mode: int, prefix: str, name: str, rules: ScanRules) -> WhyPassed | None:
    """Why something that its owner may take for a recording is none to us; None for all that is not."""
    if stat.S_ISLNK(mode):
        return "is_a_symlink" if rules.patterns.want(prefix + name) else None
    meant = name_meant(name) if stat.S_ISREG(mode) else None
    return meant[1] if meant is not None and rules.patterns.want(prefix + meant[0]) else None


def _existing(folders: Sequence[Path]) -> Iterator[tuple[int, int]]:
    for folder in folders:
        try:
            yield _place(folder.stat())
        except OSError:
            continue  # not there yet: nothing of it can be found either


def _place(facts: os.stat_result) -> tuple[int, int]:
    return facts.st_dev, facts.st_ino


def _identity(facts: os.stat_result, inodes_hold: bool) -> FileIdentity:
    identity = FileIdentity.of(facts)
    return identity if inodes_hold else replace(identity, device=0, inode=0)
