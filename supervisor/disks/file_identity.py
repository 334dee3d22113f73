"""The identity of a recording: checked without trust, compared by content, in constant memory.

Runs in: supervisor.
"""

import errno
import hashlib
import os
import stat
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import FileIO
from pathlib import Path

from config.disk_access import how_to_allow, program_of_this_process
from ipc.errors import StenodError
from supervisor.disks.held_folder import HeldFolder, ScopedPath, held, is_shared

ROOT = Path("/")
BLOCK_BYTES = 1 << 20

SF_DATALESS = 0x40000000
"""macOS: the content is in the cloud. Reading it blocks and cannot be cancelled
(https://developer.apple.com/documentation/ technotes/tn3150-getting-ready-for-data-less-files), so such a file is
never opened."""


def folded(path: str) -> str:
    """The same for all ways to write a name that a Mac's disk takes for one: letter case, letters composed or not."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """A recording as it was when it was accepted: first fields that are cheap to compare, then the certain one."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    sha256: str | None = None
    """sha256 of the whole content; None until it is read."""

    @classmethod
    def of(cls, found: os.stat_result) -> "FileIdentity":
        """All but the hash."""
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)

    def looks_like(self, other: "FileIdentity") -> bool:
        """Compares size, mtime and inode; reads no content. Device numbers change whenever a disk is plugged in."""
        return (self.size, self.mtime_ns, self.inode) == (other.size, other.mtime_ns, other.inode)


@dataclass(frozen=True, slots=True)
class ResolvedFile:
    """The target of a submitted path: links in it are not followed again."""

    target: str
    """The recording itself, as an absolute path without links."""
    home: str
    """The folder of the path, also without links: the results go there, under the path's own name."""
    identity: FileIdentity


class FileRefused(StenodError):
    """The file is refused, with the reason.

    `code`: `not_found`, `is_a_symlink`, `is_a_directory`, `not_a_regular_file`, `not_readable`, `empty_file`,
    `bad_name`, `not_downloaded`, `linked_elsewhere`, `changed_while_read`.
    """


def look_at(path: Path, beneath: Path | None = None) -> FileIdentity:
    """The identity without the hash; opens the file but reads nothing of it. Raises FileRefused.

    `beneath`: a folder above it, below which no part of the path may be a link; None: only the name itself may not.
    """
    with _folder_of(path, beneath) as folder:
        _refuse_name_by_another(folder, path, beneath)
        return identity_in(folder, path.name)


def read_identity(path: Path, beneath: Path | None = None) -> FileIdentity:
    """The identity with the hash of the whole content. Raises FileRefused, `changed_while_read` if it changed
    meanwhile."""
    with _folder_of(path, beneath) as folder:
        _refuse_name_by_another(folder, path, beneath)
        return identity_in(folder, path.name, content=True)


def follow(path: Path) -> ResolvedFile:
    """Follows the links in a path, once, and checks the target. Raises FileRefused.

    The recording's own name may be a link if this user or root made it: with a link of another user, in a folder that
    both may write to, our recording would be read for that user, and its text written beside that link.
    """
    _refuse_bad_name(path)
    try:
        home = Path(os.path.realpath(path.parent, strict=True))
        target = home / path.name
        with held(ScopedPath(home, ROOT)) as folder:
            found = folder.facts(path.name)
            if stat.S_ISLNK(found.st_mode):
                if found.st_uid not in (os.geteuid(), 0):
                    raise FileRefused(
                        "is_a_symlink",
                        f"{path} is a symbolic link of another user",
                        "submit the file it points to",
                    )
                text = os.readlink(path.name, dir_fd=folder.descriptor)
                target = Path(os.path.realpath(home / text, strict=True))
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise FileRefused("is_a_symlink", f"{path} is a symbolic link in a loop", "hand over a file") from error
        if error.errno == errno.EINVAL:  # The error of readlink for a file that was a link a moment before.
            raise FileRefused(
                "is_a_symlink",
                f"{path} was a symbolic link when stenod first looked, and is not one now",
                "hand it over again",
            ) from error
        raise refusal_of(path, error) from error
    return ResolvedFile(str(target), str(home), look_at(target, ROOT))


def identity_in(
    folder: HeldFolder, name: str, *, content: bool = False, on_block: Callable[[], object] = lambda: None
) -> FileIdentity:
    """The identity of a name in an open folder, with the hash if `content` is true. Raises FileRefused.

    `on_block` is called before each block that is read, and may raise any exception.
    """
    path = folder.path / name
    with _opened_in(folder, path) as file:
        before = FileIdentity.of(os.fstat(file.fileno()))
        if not content:
            return before
        try:
            sha256 = _sha256(file, on_block)
            after = FileIdentity.of(os.fstat(file.fileno()))
            named = FileIdentity.of(folder.facts(name))
        except OSError as error:
            raise refusal_of(path, error) from error
    if not before == after == named:
        raise FileRefused(
            "changed_while_read", f"{path} changed while it was read", "submit it again once it is complete"
        )
    return replace(before, sha256=sha256)


def _sha256(file: FileIO, on_block: Callable[[], object]) -> str:
    made, room = hashlib.sha256(), memoryview(bytearray(BLOCK_BYTES))
    on_block()
    while size := file.readinto(room):
        made.update(room[:size])
        on_block()
    return made.hexdigest()


@contextmanager
def _folder_of(path: Path, beneath: Path | None) -> Iterator[HeldFolder]:
    _refuse_bad_name(path)
    try:
        with held(ScopedPath(path, beneath).folder) as folder:
            yield folder
    except OSError as error:
        raise refusal_of(path, error) from error


@contextmanager
def _opened_in(folder: HeldFolder, path: Path) -> Iterator[FileIO]:
    """The file, open for reading: certainly regular, and not through a link at its own name."""
    try:
        # The first stat avoids opening a device, which can have side effects; the second one is of the open file
        # itself, and cannot be tricked by a swap in between.
        _refuse_unless_regular(path, folder.facts(path.name))
        descriptor = folder.open(path.name)
    except OSError as error:
        raise refusal_of(path, error) from error
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        _refuse_unless_regular(path, os.fstat(descriptor))
        yield file


def _refuse_name_by_another(folder: HeldFolder, path: Path, beneath: Path | None) -> None:
    """In a watched folder that others may write to, a hard link to a file that only we can read may be an attack: we
    would transcribe it for them (if the system has no fs.protected_hardlinks)."""
    if beneath in (None, ROOT):
        return
    try:
        found, around = folder.facts(path.name), os.fstat(folder.descriptor)
    except OSError as error:
        raise refusal_of(path, error) from error
    of_a_group = found.st_mode & stat.S_IRGRP and around.st_gid == found.st_gid
    is_private = found.st_uid == os.geteuid() and not found.st_mode & stat.S_IROTH and not of_a_group
    if found.st_nlink > 1 and is_private and is_shared(around):
        raise FileRefused(
            "linked_elsewhere",
            f"{path} is one of several names of a private file, in a folder that others may write to",
            "copy it there, or pass it to `steno submit`",
        )


def _refuse_bad_name(path: Path) -> None:
    name = str(path)
    if not path.is_absolute():
        raise FileRefused("bad_name", f"{name} is not an absolute path", "give the whole path, from / on")
    if "\0" in name:
        raise FileRefused("bad_name", "the path holds a NUL character", "no file has such a name")
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        shown = name.encode("utf-8", "backslashreplace").decode()
        raise FileRefused("bad_name", f"{shown} is not valid UTF-8", "rename the file or its folder") from error


def _refuse_unless_regular(path: Path, found: os.stat_result) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise FileRefused("is_a_symlink", f"{path} is a symbolic link", "submit the file it points to")
    if stat.S_ISDIR(found.st_mode):
        raise FileRefused("is_a_directory", f"{path} is a folder", "hand over the files in it, or watch it")
    if not stat.S_ISREG(found.st_mode):
        raise FileRefused("not_a_regular_file", f"{path} is a device, pipe or socket", "copy its content into a file")
    if found.st_size == 0:
        raise FileRefused("empty_file", f"{path} is empty", "check that the recording was saved")
    if getattr(found, "st_flags", 0) & SF_DATALESS:
        raise FileRefused("not_downloaded", f"{path} is in iCloud only", "download it in Finder first")


def refusal_of(path: Path, error: OSError) -> FileRefused:
    """What the system's error means for this recording."""
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR:
            return FileRefused("not_found", f"{path} does not exist", "check the path")
        case errno.ELOOP:
            return FileRefused(
                "is_a_symlink",
                f"{path} is or lies behind a symbolic link that was not there when it was taken",
                "see who made it, and submit the file it points to",
            )
        case errno.ENAMETOOLONG:
            return FileRefused("bad_name", f"{path} is longer than the file system allows", "check the path")
        case errno.EACCES:
            return FileRefused(
                "not_readable", f"{path} may not be read", "give the daemon's user the right to read it"
            )
        case errno.EPERM:
            # macOS answers EPERM where its privacy rules, not the file's mode, say no.
            return FileRefused(
                "not_readable",
                f"{path} is protected by the system",
                f"move the recording, or on a Mac allow it: {how_to_allow(program_of_this_process())}",
            )
        case _:
            return FileRefused("not_readable", f"{path} cannot be read: {error.strerror}", "check the disk it is on")
