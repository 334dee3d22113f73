"""One full scan of a watched folder: its recordings, and skipped files with the reason.

Runs in: supervisor, in a thread.

Opens no file: one in iCloud would be downloaded, and reading it may block for minutes.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ipc.vocabulary import WhyPassed
from supervisor.disks.file_identity import SF_DATALESS, FileIdentity
from supervisor.watch.name_filter import NameFilter
from supervisor.watch.recording_names import is_searched, is_storable, name_in_icloud, name_meant


@dataclass(frozen=True, slots=True)
class ScanRules:
    """What to scan of a folder."""

    patterns: NameFilter
    recursive: bool = False
    closed: tuple[Path, ...] = ()
    """Folders that are not entered: ours, archives, and others that are watched."""
    left_alone: tuple[Path, ...] = ()
    """Folders of which only the subfolders are scanned: others that are watched without their subfolders."""


@dataclass(frozen=True, slots=True)
class SeenFile:
    """A regular file with an accepted name."""

    path: str
    """Absolute. A str, because creating a Path costs more than the stat."""
    identity: FileIdentity
    status_changed_ns: int
    """st_ctime: changes when a file's permissions are fixed, which nothing else shows."""


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A skipped file, with the reason."""

    path: str
    why: WhyPassed


@dataclass(frozen=True, slots=True)
class FolderScan:
    """The result of one scan."""

    folder: tuple[int, int]
    """Device and inode: another pair means the folder was replaced, or a disk mounted over it."""
    is_mount_point: bool
    """Whether the folder is a mount point."""
    is_bare: bool
    """True: it contains only hidden names, like the mount point of an unmounted disk."""
    files: tuple[SeenFile, ...]
    """Oldest first."""
    passed: frozenset[PassedOver]


def scan_folder(folder: Path, rules: ScanRules, *, inodes_hold: bool = True) -> FolderScan:
    """Scans the folder. Raises OSError if the folder itself cannot be read: missing, not a folder, no permission.

    Symbolic links, FIFOs, sockets and devices are never listed and never followed; a link with a recording's name is
    reported as skipped. Folders in the rules are compared by device and inode, so spelling, links and case do not
    matter; the watched folder itself is always scanned. If inodes are not stable, as on network disks, files are
    compared without them: device and inode are then 0.
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
                    continue  # gone between the listing and the stat
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
    """Why a file or folder with an accepted name is skipped; `flags`: macOS's st_flags, 0 elsewhere."""
    if flags & SF_DATALESS:
        return "only_in_icloud"
    return None if is_storable(path) else "name_is_not_utf8"


def _why_missed(mode: int, prefix: str, name: str, rules: ScanRules) -> WhyPassed | None:
    """Why a file that looks like a recording is skipped; None for other files."""
    if stat.S_ISLNK(mode):
        return "is_a_symlink" if rules.patterns.want(prefix + name) else None
    meant = name_meant(name) if stat.S_ISREG(mode) else None
    return meant[1] if meant is not None and rules.patterns.want(prefix + meant[0]) else None


def _existing(folders: Sequence[Path]) -> Iterator[tuple[int, int]]:
    for folder in folders:
        try:
            yield _place(folder.stat())
        except OSError:
            continue  # not there yet, so nothing in it can be found either


def _place(facts: os.stat_result) -> tuple[int, int]:
    return facts.st_dev, facts.st_ino


def _identity(facts: os.stat_result, inodes_hold: bool) -> FileIdentity:
    identity = FileIdentity.of(facts)
    return identity if inodes_hold else replace(identity, device=0, inode=0)
