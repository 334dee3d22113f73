"""One file of a result, written so that it is whole or not there, and takes no name from any other file.

Runs in: supervisor.

Between the choice of a name and the moment it is taken minutes may pass. So a new name is taken in one step that
replaces nothing, and a file of ours is replaced by an exchange after which we look at what came out.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ipc.durable_file import sync
from ipc.failpoints import hit
from ipc.vocabulary import Format
from supervisor.disks.file_identity import FileIdentity
from supervisor.disks.held_folder import HeldFolder
from supervisor.disks.temporary_names import SWAPPED, UNFINISHED, TemporaryNames
from supervisor.results.file_plan import OutputRefused, is_recording, unchanged

MOST_TRIES = 100
"""For a name that others keep taking and giving back in the very moment."""


class NameTaken(Exception):
    """A file that stenod did not write for this recording has the name by now; it is untouched."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.path = path


@dataclass(frozen=True, slots=True)
class Claim:
    """What may become of a file that has the name already."""

    ours: Collection[str] = ()
    """The sha256s of what stenod wrote there for this recording: such a file is replaced."""
    sets_aside: bool = False
    """Whether any other file is renamed to `talk.srt~` and makes room (if_exists = overwrite)."""
    only_replaces: bool = False
    """Whether a name that nothing has stays free: its owner took the file away."""
    recording: FileIdentity | None = None
    """Never replaced nor renamed, whatever else is said here."""


def write(
    folder: HeldFolder,
    name: str,
    content: Iterable[bytes],
    names: TemporaryNames,
    claim: Claim,
    *,
    private: bool = False,
) -> str:
    """Replaces or creates the file; when it returns, the content is on the disk. The content's sha256.

    The content comes in blocks, written as they come; whatever its iterator raises leaves the old file.

    A crash at any point leaves the old file or the new one, and at most hidden ones that `remove_leftovers` knows.
    `private` is for our own folders (0600); elsewhere the umask decides. Raises OutputRefused, NameTaken.
    """
    sha256 = hashlib.sha256()
    unfinished = names.fresh(UNFINISHED)
    try:
        with os.fdopen(folder.create(unfinished, 0o600 if private else 0o666), "wb") as file:
            try:
                _lock(file.fileno())
                hit("file_begun")
                for block in content:
                    sha256.update(block)
                    file.write(block)
                file.flush()
                sync(file.fileno())
                hit("file_synced")
                _take_name(folder, unfinished, name, names, claim)
                hit("file_named")
            except BaseException:
                # An fsync that failed has lost data for good; trying it again would only pretend (fsyncgate).
                with contextlib.suppress(OSError):
                    folder.unlink(unfinished)
                raise
        folder.sync()
    except OSError as error:
        raise OutputRefused.of(folder.path / name, error) from error
    return sha256.hexdigest()


def withdraw(folder: HeldFolder, name: str, sha256: str, names: TemporaryNames) -> None:
    """Takes a file away if it is still what we wrote. Raises OutputRefused."""
    leaving = names.fresh(SWAPPED)
    try:
        if not unchanged(folder, name, (sha256,)):
            return
        folder.give_name(name, leaving)
        if unchanged(folder, leaving, (sha256,)):
            folder.unlink(leaving)
        else:
            _give_back(folder, leaving, name)
        folder.sync()
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputRefused.of(folder.path / name, error) from error


def remove_leftovers(
    folder: HeldFolder, names: TemporaryNames, outputs: Mapping[Format, str], ours: Collection[str]
) -> None:
    """Takes away what an interrupted write of this job left, and gives back what was not ours.

    `outputs` is format → the name of that file; `ours` the sha256s of everything stenod wrote there. Raises
    OutputRefused.
    """
    try:
        for name in folder.names():
            if names.is_ours(name, UNFINISHED):
                if not _is_being_written(folder, name):
                    folder.unlink(name)
            elif names.is_ours(name, SWAPPED):
                if unchanged(folder, name, ours):
                    folder.unlink(name)
                else:
                    about = names.about(name)
                    known = [output for format, output in outputs.items() if format == about]
                    _give_back(folder, name, known[0] if known else f"kept-by-stenod.{about}")
    except OSError as error:
        raise OutputRefused.of(folder.path / "leftovers", error) from error


def _take_name(folder: HeldFolder, unfinished: str, name: str, names: TemporaryNames, claim: Claim) -> None:
    for _ in range(MOST_TRIES):
        found = folder.facts_if_there(name)
        if folder.facts_if_there(unfinished) is None or (found is None and claim.only_replaces):
            break
        if found is None:
            try:
                folder.give_name(unfinished, name)
            except FileExistsError:
                continue
            return
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
        if stat.S_ISREG(found.st_mode) and unchanged(folder, name, claim.ours):
            if _replaced(folder, unfinished, name, names, claim.ours):
                return
        elif claim.sets_aside and not (claim.recording and is_recording(found, claim.recording)):
            with contextlib.suppress(FileNotFoundError):
                folder.set_aside(name, name)
        else:
            break
    raise NameTaken(folder.path / name)


def _replaced(folder: HeldFolder, unfinished: str, name: str, names: TemporaryNames, ours: Collection[str]) -> bool:
    """Whether our new file has replaced our old one; else all is as before, and another program was faster."""
    swapped = names.fresh(SWAPPED, Path(name).suffix.removeprefix("."))
    mine = folder.facts(unfinished)
    folder.give_name(unfinished, swapped)
    try:
        exchanged = folder.exchange(swapped, name)
    except OSError as error:
        if os.path.samestat(folder.facts(swapped), mine):
            folder.give_name(swapped, unfinished)
        if error.errno == errno.ENOENT:
            return False
        raise
    hit("file_swapped")
    if not exchanged:
        return _replaced_at_once(folder, swapped, unfinished, name, ours)
    if unchanged(folder, swapped, ours):
        folder.unlink(swapped)
        return True
    with contextlib.suppress(FileNotFoundError):
        folder.exchange(swapped, name)
        if not os.path.samestat(folder.facts(swapped), mine):
            # It was replaced once more between the two: the newest keeps the name.
            folder.exchange(swapped, name)
    if os.path.samestat(folder.facts(swapped), mine):
        folder.give_name(swapped, unfinished)
    else:
        _give_back(folder, swapped, name)
    return False


def _replaced_at_once(folder: HeldFolder, swapped: str, unfinished: str, name: str, ours: Collection[str]) -> bool:
    """Where two files cannot be exchanged: what others write into the old one in the very moment is kept."""
    folder.give_name(swapped, unfinished)
    with os.fdopen(folder.open(name), "rb") as old:
        before = os.fstat(old.fileno())
        if hashlib.file_digest(old, "sha256").hexdigest() not in ours:
            return False
        if not os.path.samestat(folder.facts(name), before):
            return False
        os.rename(unfinished, name, src_dir_fd=folder.descriptor, dst_dir_fd=folder.descriptor)
        old.seek(0)
        if hashlib.file_digest(old, "sha256").hexdigest() not in ours:
            folder.keep_content(old.fileno(), name)
    return True


def _give_back(folder: HeldFolder, hidden: str, name: str) -> None:
    """Its name, or one like it where that is taken."""
    try:
        folder.give_name(hidden, name)
    except FileExistsError:
        folder.set_aside(hidden, name)


def _lock(descriptor: int) -> None:
    # For a queue that was copied with its installation's number: it must not take this for a leftover of its own.
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_being_written(folder: HeldFolder, name: str) -> bool:
    with contextlib.suppress(FileNotFoundError), os.fdopen(folder.open(name), "rb") as file:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
    return False
