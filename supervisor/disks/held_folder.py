"""A folder as an open descriptor, and its files by name: what its path means later does not matter.

Runs in: supervisor.

Other users may write to a watched folder, and can replace any folder in it by a link between two of our calls. So a
path below a watched folder is walked once, without links, and from then on only the descriptor is used.
"""

import contextlib
import errno
import hashlib
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ipc.durable_file import sync, sync_folder
from supervisor.disks.rename_calls import LACKING, exchange, open_beneath, rename_without_replacing
from supervisor.system.graphemes import cut_to_bytes

NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES})
"""Errors of file systems without hard links (exFAT, many network disks), and of kernels that do not allow one."""
FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
PC_CASE_SENSITIVE = 11
"""macOS, <sys/unistd.h>."""
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class ScopedPath:
    """A file or a folder by path, and how far that path is trusted."""

    path: Path
    """Absolute."""
    beneath: Path | None = None
    """A folder above it, or the path itself: below it no part of the path may be a link. None: follows links, except
    at a file's own name."""

    @property
    def folder(self) -> "ScopedPath":
        """The folder of a file."""
        return ScopedPath(self.path.parent, self.beneath)


class HeldFolder:
    """An open folder. Every method may raise OSError, and none follows a link."""

    def __init__(self, descriptor: int, path: Path) -> None:
        """`path` is for messages only."""
        self.descriptor = descriptor
        self.path = path

    def facts(self, name: str) -> os.stat_result:
        """lstat of the name. Raises FileNotFoundError."""
        return os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)

    def facts_if_there(self, name: str) -> os.stat_result | None:
        """lstat of the name; None: it does not exist."""
        try:
            return self.facts(name)
        except FileNotFoundError:
            return None

    def open(self, name: str) -> int:
        """Opens for reading. Does not block on a pipe or device."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        return os.open(name, flags, dir_fd=self.descriptor)

    def create(self, name: str, mode: int = 0o666) -> int:
        """Creates a file for writing. Raises FileExistsError."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(name, flags, mode, dir_fd=self.descriptor)

    def unlink(self, name: str) -> None:
        """Removes a name; a missing one is not an error."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.descriptor)

    @property
    def ignores_case(self) -> bool:
        """Whether `A` and `a` are one name in it, as on most disks of a Mac. Linux is taken to tell them apart."""
        if sys.platform == "darwin":
            try:
                return os.fpathconf(self.descriptor, PC_CASE_SENSITIVE) == 0
            except OSError:
                return True
        else:
            return False

    def names(self) -> list[str]:
        """All names in it."""
        return os.listdir(self.descriptor)  # noqa: PTH208 - a descriptor is no path

    def sha256(self, name: str) -> str | None:
        """sha256 of a regular file; None: there is no such file, or it cannot be read."""
        try:
            with os.fdopen(self.open(name), "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    return None
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return None

    def exchange(self, one: str, other: str) -> bool:
        """Exchanges two names in one step. False: this file system cannot."""
        try:
            exchange(self.descriptor, one, other)
        except OSError as error:
            if error.errno not in LACKING:
                raise
            return False
        return True

    def give_name(self, present: str, wanted: str, to: "HeldFolder | None" = None) -> None:
        """Renames to `wanted`, in this folder or `to`. Raises FileExistsError if that name exists; never replaces
        anything."""
        to = to or self
        try:
            rename_without_replacing(self.descriptor, present, to.descriptor, wanted)
            return
        except OSError as error:
            if error.errno not in LACKING:
                raise
        try:
            os.link(present, wanted, src_dir_fd=self.descriptor, dst_dir_fd=to.descriptor, follow_symlinks=False)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            self._give_name_by_promise(present, wanted, to)
        else:
            if os.path.samestat(self.facts(present), to.facts(wanted)):
                os.unlink(present, dir_fd=self.descriptor)

    def _give_name_by_promise(self, present: str, wanted: str, to: "HeldFolder") -> None:
        """Without either call: creates an empty file under the name, and replaces that."""
        promise = to.create(wanted, 0o600)
        mine = os.fstat(promise)
        try:
            now = to.facts(wanted)
            if (now.st_ino, now.st_size) != (mine.st_ino, 0):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), wanted)
            os.rename(present, wanted, src_dir_fd=self.descriptor, dst_dir_fd=to.descriptor)
            # A program that wrote into the empty file in between finds it under another name.
            if os.fstat(promise).st_size:
                to.keep_content(promise, wanted)
        except FileExistsError:
            raise
        except OSError:
            with contextlib.suppress(OSError):
                if os.fstat(promise).st_size == 0 and to.facts(wanted).st_ino == mine.st_ino:
                    to.unlink(wanted)
            raise
        finally:
            os.close(promise)

    def keep_content(self, descriptor: int, name: str) -> str:
        """Saves the content of an open file that has lost its name under a similar name; returns that name."""
        for kept in kept_names(name):
            try:
                copy = self.create(kept)
            except FileExistsError:
                continue
            with os.fdopen(copy, "wb") as file:
                offset = 0
                while block := os.pread(descriptor, 1 << 20, offset):
                    file.write(block)
                    offset += len(block)
                file.flush()
                sync(file.fileno())
            return kept
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)

    def set_aside(self, present: str, name: str) -> str:
        """Renames a file that is not ours to a free, visible name similar to `name`; returns that name."""
        for kept in kept_names(name):
            try:
                self.give_name(present, kept)
            except FileExistsError:
                continue
            return kept
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)

    def sync(self) -> None:
        """Syncs the folder, so that renames in it survive a power cut."""
        sync_folder(self.descriptor)


def kept_names(name: str) -> Iterator[str]:
    """`talk.srt~`, `talk.srt.~2~`, … as `cp --backup` and editors name backups."""
    for number in range(1, 10_000):
        suffix = "~" if number == 1 else f".~{number}~"
        stem = name if len(os.fsencode(name)) <= 255 - len(suffix) else cut_to_bytes(name, 255 - len(suffix))
        yield stem + suffix


@contextmanager
def held(place: ScopedPath) -> Iterator[HeldFolder]:
    """Opens the folder. Raises OSError; ELOOP if a link is in the path."""
    descriptor = open_folder(place)
    try:
        yield HeldFolder(descriptor, place.path)
    finally:
        os.close(descriptor)


def open_folder(place: ScopedPath) -> int:
    """Opens a folder; the caller closes the descriptor. Raises OSError; ELOOP if a link is in the path."""
    if place.beneath is None:
        return os.open(place.path, FOLDER_FLAGS)
    root = os.open(place.beneath, FOLDER_FLAGS)
    inner = place.path.relative_to(place.beneath).parts
    if ".." in inner:
        os.close(root)
        raise OSError(errno.ELOOP, "the path leads upwards", str(place.path))
    if not inner:
        return root
    try:
        try:
            return open_beneath(root, os.path.join(*inner), FOLDER_FLAGS)  # noqa: PTH118 - relative to a descriptor
        except OSError as error:
            if error.errno not in LACKING and error.errno != errno.EPERM:
                error.filename = str(place.path)
                raise
        return _step_by_step(root, inner, place.path)
    finally:
        os.close(root)


def _step_by_step(root: int, inner: tuple[str, ...], path: Path) -> int:
    """Without openat2, or if a sandbox forbids it: opens one folder at a time."""
    at = os.dup(root)
    for name in inner:
        try:
            following = os.open(name, FOLDER_FLAGS | os.O_NOFOLLOW, dir_fd=at)
        except OSError as error:
            error.filename = str(path)
            # O_DIRECTORY reports a link like a file: find out which it was.
            with contextlib.suppress(OSError):
                if stat.S_ISLNK(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode):
                    error.errno, error.strerror = errno.ELOOP, os.strerror(errno.ELOOP)
            raise
        finally:
            os.close(at)
        at = following
    return at


def make_folder(place: ScopedPath) -> None:
    """Creates the folder if it is missing; its parent must exist. Raises OSError; FileExistsError if it is not a
    folder."""
    if place.beneath == place.path:
        return
    with held(place.folder) as parent:
        try:
            os.mkdir(place.path.name, dir_fd=parent.descriptor)
        except OSError:
            # A read-only disk may report EROFS although the folder exists.
            if not _leads_to_folder(parent, place.path.name):
                raise
        else:
            parent.sync()


def _leads_to_folder(parent: HeldFolder, name: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=parent.descriptor).st_mode)
    except OSError:
        return False


def is_shared(folder: os.stat_result) -> bool:
    """Whether users other than the daemon's and root may create files in a folder."""
    return bool(folder.st_mode & WRITABLE_BY_OTHERS) or folder.st_uid not in (os.geteuid(), 0)


def settled(place: ScopedPath) -> ScopedPath:
    """The place, with a link at its own name followed if only the daemon's user can have made it.

    So `done` may be a link to another disk: in a folder that others may write to it is refused like any link, with
    ELOOP by whatever opens it.
    """
    if place.beneath is None or place.beneath == place.path:
        return place
    try:
        with held(place.folder) as parent:
            around = os.fstat(parent.descriptor)
            if is_shared(around):
                return place
            target = os.readlink(place.path.name, dir_fd=parent.descriptor)
    except OSError:
        return place  # not a link; otherwise opening it reports the error
    around_path = Path(os.path.realpath(place.beneath)) / place.path.parent.relative_to(place.beneath)
    return ScopedPath(Path(os.path.normpath(around_path / target)))
