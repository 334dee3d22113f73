"""The files of a result: what they are called, and written so that each is whole or not there.

Runs in: supervisor.
"""

import errno
import fcntl
import hashlib
import os
import stat
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Self, assert_never, get_args

from ipc.api_messages import Format, IfExists
from ipc.fault_points import reached
from supervisor.job import Job
from supervisor.result_names import name_of

SUFFIXES_TRIED = 10_000


class OutputRefused(Exception):
    """A result cannot be written where it should go."""

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.code = code
        """Stable: `folder_missing`, `folder_not_writable`, `not_a_folder`, `disk_full`, `name_is_a_folder`,
        `names_exhausted`, `write_failed`."""
        self.message = message
        self.hint = hint

    @classmethod
    def of(cls, path: Path, error: OSError) -> Self:
        """What the system's error means for this output."""
        match error.errno:
            case errno.ENOENT | errno.ENOTDIR:
                return cls(
                    "folder_missing",
                    f"there is no folder {path.parent}",
                    "create it or bring its disk back, then `steno retry` the job",
                )
            case errno.EACCES | errno.EPERM | errno.EROFS:
                return cls(
                    "folder_not_writable",
                    f"the daemon may not write {path}",
                    "allow it, or choose another folder with `-o` or output.folder, then `steno retry` the job",
                )
            case errno.ENOSPC | errno.EDQUOT:
                return cls("disk_full", f"no space is left for {path}", "free some space, then `steno retry` the job")
            case errno.EISDIR | errno.EEXIST | errno.ENOTEMPTY:
                return cls("name_is_a_folder", f"{path} is in the way", "move it, then `steno retry` the job")
            case _:
                return cls("write_failed", f"{path} was not written: {error.strerror}", "check the disk it is on")


def plan(
    job: Job,
    formats: Sequence[Format],
    folder: Path | None,
    if_exists: IfExists,
    ours: Mapping[str, str],
    others: Mapping[str, str | None] = MappingProxyType({}),
    template: str = "{stem}",
) -> dict[Format, Path] | None:
    """Where each format goes, in the order to write them: json last, the mark of a whole set. None: nothing to do.

    `folder` None is where the recording was taken; a missing one is created if its parent exists. `ours` is path →
    sha256 of what was written for this recording before, `others` path → another recording whose file this is as
    long as that is there, or None: promised to another. Names this job already has are kept. All formats share one
    stem. Raises OutputRefused.
    """
    wanted = sorted(formats, key=lambda format: format == "json")
    if job.outputs:
        stem = Path(next(iter(job.outputs.values())).path).with_suffix("")
        paths = {format: _named(stem, format) for format in wanted}
        return {f: path for f, path in paths.items() if f in job.outputs or _may_write(path, if_exists, ours)}
    home = home_of(job, folder) if folder is None else made(folder)
    recordings = {job.path, job.first_path}
    for attempt in range(1, SUFFIXES_TRIED):
        name = name_of(template, job, "" if attempt == 1 else f" ({attempt})")
        paths = {format: home / f"{name}.{format}" for format in wanted}
        # Whatever the policy: a recording is never overwritten by its own transcript, nor another one's transcript.
        if any(str(path) in recordings or _is_anothers(path, others) for path in paths.values()):
            continue
        free = {format: path for format, path in paths.items() if _may_write(path, if_exists, ours)}
        if if_exists == "skip":
            return free or None
        if len(free) == len(paths):
            return free
    raise OutputRefused(
        "names_exhausted", f"{home} holds {SUFFIXES_TRIED} results of {Path(job.path).name}", "clear the folder up"
    )


def home_of(job: Job, folder: Path | None) -> Path:
    """The folder of the job's results: the one asked for, or where the recording was taken."""
    return Path(job.first_path).parent if folder is None else folder


def write(path: Path, content: Iterable[bytes], job_id: int, *, private: bool = False) -> str:
    """Replaces or creates the file; when it returns, the content is on the disk. The content's sha256.

    The content comes in blocks, written as they come; whatever its iterator raises leaves the old file.

    A crash at any point leaves the old file or the new one, and at most a temp file that the next write of this job
    replaces. `private` is for our own folders (0600); elsewhere the umask decides. Raises OutputRefused.
    """
    sha256 = hashlib.sha256()
    unfinished = _unfinished(path.parent, job_id, path.suffix.removeprefix("."))
    try:
        unfinished.unlink(missing_ok=True)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(unfinished, flags, 0o600 if private else 0o666), "wb") as file:
                reached("file_begun")
                for block in content:
                    sha256.update(block)
                    file.write(block)
                file.flush()
                sync(file.fileno())
            reached("file_synced")
            unfinished.replace(path)
            reached("file_named")
        except BaseException:
            # An fsync that failed has lost data for good; trying it again would only pretend (fsyncgate).
            unfinished.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise OutputRefused.of(path, error) from error
    return sha256.hexdigest()


def unchanged(path: Path, sha256: str) -> bool:
    """Whether a regular file with exactly this content is there."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            is_regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
            return is_regular and hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False


def remove_leftovers(folder: Path, job_id: int) -> None:
    """Takes away what an interrupted write of this job left. A folder that is gone has nothing left."""
    for extension in get_args(Format):
        try:
            _unfinished(folder, job_id, extension).unlink(missing_ok=True)
        except OSError as error:
            raise OutputRefused.of(folder / "leftovers", error) from error


def _named(stem: Path, format: Format) -> Path:
    return stem.with_name(f"{stem.name}.{format}")


def _is_anothers(path: Path, others: Mapping[str, str | None]) -> bool:
    if str(path) not in others:
        return False
    recording = others[str(path)]
    return recording is None or os.path.lexists(recording)


def _may_write(path: Path, if_exists: IfExists, ours: Mapping[str, str]) -> bool:
    match if_exists:
        case "overwrite":
            return True
        case "skip" | "suffix":
            return not os.path.lexists(path)
        case "renew":
            # What stenod left there for this recording and nobody touched may go.
            return not os.path.lexists(path) or (str(path) in ours and unchanged(path, ours[str(path)]))
        case _:
            assert_never(if_exists)


def made(folder: Path) -> Path:
    """The folder, there. Raises OutputRefused.

    Only the last step is made: with its parents, an unplugged disk's mount point would silently become a folder.
    """
    try:
        folder.mkdir(exist_ok=True)
    except FileExistsError as error:
        raise OutputRefused(
            "not_a_folder", f"{folder} is not a folder", "move it, or hand the recording over with another `-o`"
        ) from error
    except OSError as error:
        raise OutputRefused.of(folder, error) from error
    return folder


def _unfinished(folder: Path, job_id: int, extension: str) -> Path:
    """Hidden, short whatever the result's name, and never taken for a recording."""
    return folder / f".stenod-{job_id}-{extension}.tmp"


def sync(descriptor: int) -> None:
    """Returns when the file's content is on the disk."""
    # macOS: fsync stops at the drive's cache, F_FULLFSYNC does not; network disks know only fsync.
    if sys.platform == "darwin":
        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.EINVAL, errno.ENOTTY):
                raise
    os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """So that the rename survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)
