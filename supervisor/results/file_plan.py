"""The files of a result: what they are called, and which of those names are free or hold what stenod wrote.

Runs in: supervisor.
"""

import errno
import os
import stat
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Self, assert_never

from ipc.errors import StenodError
from ipc.vocabulary import Format, IfExists
from supervisor.disks.file_identity import FileIdentity, folded
from supervisor.disks.held_folder import HeldFolder, ScopedPath, held, make_folder, settled
from supervisor.results.file_names import name_of
from supervisor.store.job import Job, place_of, results_folder

SUFFIXES_TRIED = 10_000


class OutputRefused(StenodError):
    """A result cannot be written where it should go.

    `code`: `folder_missing`, `folder_not_writable`, `not_a_folder`, `folder_is_a_link`, `disk_full`,
    `name_is_a_folder`, `names_exhausted`, `write_failed`.
    """

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
            case errno.ELOOP:
                return cls(
                    "folder_is_a_link",
                    f"{path.parent} is a symbolic link or lies behind one, in a folder that others may write into",
                    "set `output` to the folder that the link leads to, then `steno retry` the job",
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
    home: ScopedPath,
    if_exists: IfExists,
    ours: Mapping[str, Collection[str]],
    others: Mapping[str, str | None] = MappingProxyType({}),
    template: str = "{stem}",
) -> dict[Format, Path] | None:
    """Where each format goes, in the order to write them: json last, the mark of a whole set. None: nothing to do.

    `home` comes from `home_of`. `ours` is path → the sha256s of what was written for this recording before, or was
    about to be; `others` path → another recording whose file this is as long as that is there, or None: promised to
    another. Names this job already has are kept while no other program has put a file there: a name that was
    chosen is not possessed. All formats share one stem. Raises OutputRefused.
    """
    wanted = sorted(formats, key=lambda format: format == "json")
    if job.outputs:
        stem = Path(next(iter(job.outputs.values())).path).with_suffix("")
        with open_home(place_of(job, stem.parent), stem.name) as folder:
            paths = {format: stem.with_name(f"{stem.name}.{format}") for format in wanted}
            # Under `suffix`, too, the name is this job's: what it wrote there itself before a kill is no obstacle.
            policy = {format: "renew" if format in job.outputs else if_exists for format in wanted}
            free = {f: path for f, path in paths.items() if _may_write(folder, path, if_exists, policy[f], ours, job)}
            if if_exists == "skip" or len(free) == len(paths):
                return free or None
    recordings = {job.path, job.first_path}
    spellings = defaultdict[str, list[tuple[str, str | None]]](list)
    for other, recording in others.items():
        spellings[folded(other)].append((other, recording))
    with open_home(home, Path(job.first_path).name) as folder:
        for attempt in range(1, SUFFIXES_TRIED):
            name = name_of(template, job, "" if attempt == 1 else f" ({attempt})")
            paths = {format: home.path / f"{name}.{format}" for format in wanted}
            # Whatever the policy: a recording is never overwritten by its own transcript, nor another's transcript.
            if any(
                str(path) in recordings
                or any(_is_anothers(folder, path, *other) for other in spellings.get(folded(str(path)), ()))
                or is_recording(folder.facts_if_there(path.name), job.identity)
                for path in paths.values()
            ):
                continue
            free = {f: path for f, path in paths.items() if _may_write(folder, path, if_exists, if_exists, ours, job)}
            if if_exists == "skip":
                return free or None
            if len(free) == len(paths):
                return free
    raise OutputRefused(
        "names_exhausted",
        f"{home.path} holds {SUFFIXES_TRIED} results of {Path(job.path).name}",
        "clear the folder up",
    )


def home_of(job: Job, folder: Path | None) -> ScopedPath:
    """The folder of the job's results: the one asked for, or where the recording was taken. Raises OutputRefused.

    One that is asked for and missing is made if its parent exists: with its parents, an unplugged disk's mount point
    would silently become a folder.
    """
    place = results_folder(job, folder)
    return settled(place) if folder is None else made(place)


def made(place: ScopedPath) -> ScopedPath:
    """The folder, there, and the link followed that its owner made of it. Raises OutputRefused."""
    try:
        make_folder(place)
    except FileExistsError as error:
        raise OutputRefused(
            "not_a_folder", f"{place.path} is not a folder", "move it, or hand the recording over with another `-o`"
        ) from error
    except OSError as error:
        raise OutputRefused.of(place.path, error) from error
    return settled(place)


@contextmanager
def open_home(place: ScopedPath, name: str) -> Iterator[HeldFolder]:
    """The folder held open. Raises OutputRefused, about the file `name` in it."""
    try:
        with held(place) as folder:
            yield folder
    except OSError as error:
        raise OutputRefused.of(place.path / name, error) from error


def unchanged(folder: HeldFolder, name: str, sha256: Collection[str]) -> bool:
    """Whether a regular file with exactly one of these contents is there."""
    return folder.sha256(name) in sha256


def is_recording(found: os.stat_result | None, identity: FileIdentity) -> bool:
    """Whether a file is the recording itself by another name, as where the disk takes `talk.SRT` for `talk.srt`."""
    return found is not None and identity.inode != 0 and FileIdentity.of(found).looks_like(identity)


def _is_anothers(folder: HeldFolder, path: Path, other: str, recording: str | None) -> bool:
    """Whether the path leads to the same file as the other one, which a recording that is still there owns.

    `recording` None: a job has chosen the other name. The two are the same but for case and accents.
    """
    if recording is not None and not os.path.lexists(recording):
        return False
    if other == str(path):
        return True
    if (found := folder.facts_if_there(path.name)) is None:
        return folder.ignores_case
    try:
        return os.path.samestat(found, os.lstat(other))
    except OSError:
        return False


def _may_write(
    folder: HeldFolder,
    path: Path,
    if_exists: IfExists,
    policy: IfExists,
    ours: Mapping[str, Collection[str]],
    job: Job,
) -> bool:
    found = folder.facts_if_there(path.name)
    if found is None:
        return True
    match if_exists if if_exists == "overwrite" else policy:
        case "overwrite":
            # What is not ours is set aside when its turn comes, but the recording.
            return not is_recording(found, job.identity)
        case "skip" | "suffix":
            return False
        case "renew":
            # What stenod left there for this recording and was not edited may go.
            is_regular = stat.S_ISREG(found.st_mode)
            return is_regular and str(path) in ours and unchanged(folder, path.name, ours[str(path)])
        case _:
            assert_never(if_exists)
