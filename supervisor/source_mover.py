"""A recording on its way to the watched folder's `done` or `failed`: moved, never overwriting, never lost.

Runs in: supervisor.

Every step may be the last before a power cut, and the whole may be asked for again: what was moved before is found
under its new name. The old name goes only while it is still the recording's, and after the new one is on the disk.
"""

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from supervisor.file_identity import FileRefused, look_at, read_identity
from supervisor.job import FileIdentity
from supervisor.result_files import OutputRefused, made, sync, sync_folder

BLOCK_BYTES = 1 << 20
NAMES_TRIED = 10_000
NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES})
"""What file systems answer that know no hard links (exFAT, many network disks), and kernels that do not allow one."""
NOT_THIS_ONE = frozenset({"not_found", "is_a_symlink", "is_a_directory", "not_a_regular_file", "empty_file"})
"""Why a file can be said not to be the recording. Others, `not_readable` say, may be gone with the next try."""


class MovePutOff(Exception):
    """It could not be moved now; both places are as they were, or as the next try expects them."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Moved:
    """Where the recording is now, and what it is there."""

    path: Path
    identity: FileIdentity


def move_recording(
    source: Path, known: FileIdentity, folder: Path, job_id: int, is_stopping: Callable[[], bool] = lambda: False
) -> Moved | None:
    """Into the folder, under its own name or `name (2)`. None: what is at the path is not the recording any more.

    The folder is made if its parent is there. Blocks, for as long as a copy to another disk takes; `is_stopping` ends
    that early. Raises MovePutOff.
    """
    try:
        return _moved(source, known, made(folder), job_id, is_stopping)
    except OutputRefused as refused:
        raise MovePutOff(refused.message, refused.hint) from refused
    except FileRefused as refused:
        raise MovePutOff(refused.message, refused.hint) from refused
    except OSError as error:
        raise MovePutOff(
            f"{source} could not be moved to {folder}: {error.strerror}", "it is tried again; check the folder's disk"
        ) from error


def _moved(
    source: Path, known: FileIdentity, folder: Path, job_id: int, is_stopping: Callable[[], bool]
) -> Moved | None:
    unfinished = folder / f".stenod-{job_id}-recording.tmp"
    unfinished.unlink(missing_ok=True)
    here = _same(source, known)
    if here is not None and source.parent.samefile(folder):
        return Moved(source, here)
    elsewhere = here is None or folder.stat().st_dev != source.stat().st_dev
    for target in _names(folder, source.name):
        if os.path.lexists(target):
            # It was linked, moved or copied there before a kill. On one disk only the very same file counts: another
            # of equal content is a second copy that somebody wants to have.
            there = _same(target, known if here is None or elsewhere else replace(here, sha256=None))
            if there is None:
                continue
            sync_folder(folder)
            if here is not None:
                _take_away(source, here)
            return Moved(target, replace(there, sha256=known.sha256))
        if here is None:
            return None
        try:
            if not elsewhere:
                return _renamed(source, here, target)
        except FileExistsError:
            continue
        except OSError as error:
            if error.errno != errno.EXDEV:  # two mounts of one disk
                raise
        with contextlib.suppress(FileExistsError):
            return _copied(source, here, target, unfinished, is_stopping)
    raise MovePutOff(f"{folder} holds {NAMES_TRIED} recordings named like {source.name}", "clear the folder up")


def _renamed(source: Path, here: FileIdentity, target: Path) -> Moved | None:
    """On one disk. Raises FileExistsError when somebody took the name first."""
    _give_name(source, target)
    there = _same(target, here)
    if there is None:
        # Exchanged in the blink between our look and the link: the newcomer keeps its own name only.
        if os.path.lexists(source):
            target.unlink()
        return None
    sync_folder(target.parent)
    _take_away(source, here)
    return Moved(target, there)


def _copied(
    source: Path, here: FileIdentity, target: Path, unfinished: Path, is_stopping: Callable[[], bool]
) -> Moved | None:
    """To another disk, whole and proven before it has a name that anybody reads."""
    try:
        with source.open("rb") as original, unfinished.open("xb") as copy:
            sha256 = hashlib.sha256()
            while block := original.read(BLOCK_BYTES):
                if is_stopping():
                    raise MovePutOff("the daemon stops", "it is moved after the next start")
                sha256.update(block)
                copy.write(block)
            copy.flush()
            shutil.copystat(source, unfinished)
            sync(copy.fileno())
        if look_at(source) != replace(here, sha256=None) or (here.sha256 or sha256.hexdigest()) != sha256.hexdigest():
            return None
        if read_identity(unfinished).sha256 != sha256.hexdigest():
            raise MovePutOff(f"the copy of {source} in {target.parent} is not its equal", "check that disk")
        _give_name(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)
    sync_folder(target.parent)
    _take_away(source, here)
    return Moved(target, replace(look_at(target), sha256=here.sha256))


def _give_name(present: Path, target: Path) -> None:
    """The file has that name too, or only that where a file cannot have two. Raises FileExistsError."""
    try:
        os.link(present, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        # The name is ours from its exclusive creation on; what the rename replaces is our own empty file.
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        try:
            present.rename(target)
        except OSError:
            target.unlink()
            raise


def _take_away(source: Path, here: FileIdentity) -> None:
    """The old name, unless it is another file's by now. The recording has its new one."""
    with contextlib.suppress(FileNotFoundError, FileRefused):
        if look_at(source).looks_like(here):
            source.unlink()
            sync_folder(source.parent)


def _same(path: Path, known: FileIdentity) -> FileIdentity | None:
    """What the file is, if it is the recording: by its looks, or by its content where that is known."""
    try:
        found = look_at(path)
        if found.looks_like(known):
            return replace(found, sha256=known.sha256)
        if known.sha256 is None or found.size != known.size:
            return None
        found = read_identity(path)
    except FileRefused as refused:
        if refused.code in NOT_THIS_ONE:
            return None
        raise
    return found if found.sha256 == known.sha256 else None


def _names(folder: Path, name: str) -> Iterator[Path]:
    """`talk.m4a`, `talk (2).m4a`, … of at most 255 bytes."""
    stem, extension = Path(name).stem, Path(name).suffix
    for attempt in range(1, NAMES_TRIED + 1):
        suffix = "" if attempt == 1 else f" ({attempt})"
        room = 255 - len((suffix + extension).encode())
        yield folder / (stem.encode()[:room].decode(errors="ignore") + suffix + extension)
