"""Archives a recording in the watched folder's `done` or `failed`: moved, never overwritten, never lost.

Runs in: supervisor.

A power cut may follow any step, and the move may run again: an already moved recording is found under its new name.
The old name is removed only while it is still the recording's, and after the new one is on the disk. Both folders are
open descriptors: other users who may write there cannot make us move anything else.
"""

import contextlib
import errno
import hashlib
import os
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from ipc.durable_file import sync
from ipc.errors import OneReason
from supervisor.disks.file_identity import FileIdentity, FileRefused, identity_in
from supervisor.disks.held_folder import HeldFolder, ScopedPath, held
from supervisor.disks.temporary_names import LEAVING, UNFINISHED, TemporaryNames
from supervisor.results.file_plan import OutputRefused, made
from supervisor.system.graphemes import cut_to_bytes

BLOCK_BYTES = 1 << 20
SYNC_BYTES = 16 << 20
"""At most this many bytes of a copy remain for the final fsync: that one call gives no heartbeat."""
NAMES_TRIED = 10_000
NOT_THIS_ONE = frozenset({"not_found", "is_a_symlink", "is_a_directory", "not_a_regular_file", "empty_file"})
"""Codes that prove that a file is not the recording. Others, such as `not_readable`, may be temporary."""


MoveSide = Literal["source", "target"]
MoveHeartbeat = Callable[[MoveSide], object]
"""Called before a folder is accessed, and with each block of a copy. An exception of it ends the move; both places
stay as the next try expects them."""


class MovePutOff(OneReason):
    """It could not be moved now; both places are unchanged, or as the next try expects them."""

    code = "move_put_off"


@dataclass(frozen=True, slots=True)
class Archived:
    """The new path and identity of the recording."""

    path: Path
    identity: FileIdentity


def move_recording(
    source: ScopedPath,
    known: FileIdentity,
    folder: ScopedPath,
    names: TemporaryNames,
    heartbeat: MoveHeartbeat = lambda side: None,
) -> Archived | None:
    """Moves it into the folder, under its own name or `name (2)`. None: the file at the path is no longer the
    recording.

    Creates the folder if its parent exists. Blocks as long as a copy to another disk takes. Once the old name is gone
    it reports success. Raises MovePutOff, and what `heartbeat` raises.
    """
    try:
        with contextlib.ExitStack() as open_folders:
            heartbeat("target")
            into = open_folders.enter_context(held(made(folder)))
            out_of: HeldFolder | None = None
            try:
                heartbeat("source")
                out_of = open_folders.enter_context(held(source.folder))
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                    raise
            return _moved(out_of, source.path.name, known, into, names, heartbeat)
    except (OutputRefused, FileRefused) as refused:
        raise MovePutOff(refused.message, refused.hint) from refused
    except OSError as error:
        raise MovePutOff(
            f"{source.path} could not be moved to {folder.path}: {error.strerror}",
            "it will be retried; check the folder's disk",
        ) from error


def _moved(
    out_of: HeldFolder | None,
    name: str,
    known: FileIdentity,
    into: HeldFolder,
    names: TemporaryNames,
    heartbeat: MoveHeartbeat,
) -> Archived | None:
    """`out_of` None: its folder is gone, or is now a link."""
    heartbeat("target")
    _sweep_target(into, names)
    heartbeat("source")
    if out_of is not None:
        _sweep_source(out_of, name, names)
    here = None if out_of is None else _same(out_of, name, known, partial(heartbeat, "source"))
    heartbeat("target")
    if out_of is not None and here is not None and _is_one(out_of, into):
        return Archived(into.path / name, here)
    elsewhere = here is None or here.device != os.fstat(into.descriptor).st_dev
    for target in _names(name):
        if into.facts_if_there(target) is not None:
            # It was moved or copied there before a kill. On one disk only the same inode counts: another file of
            # equal content is a second copy of the user's.
            wanted = known if here is None or elsewhere else replace(here, sha256=None)
            there = _same(into, target, wanted, partial(heartbeat, "target"))
            if there is None:
                continue
            into.sync()
            if out_of is not None and here is not None:
                heartbeat("source")
                _take_away(out_of, name, here, names)
            return Archived(into.path / target, replace(there, sha256=known.sha256))
        if out_of is None or here is None:
            return None
        try:
            if not elsewhere:
                heartbeat("source")
                return _renamed(out_of, name, here, into, target)
        except FileExistsError:
            continue
        except OSError as error:
            if error.errno != errno.EXDEV:  # two mounts of one disk
                raise
        with contextlib.suppress(FileExistsError):
            return _copied(out_of, name, here, into, target, names, heartbeat)
    raise MovePutOff(f"{into.path} holds {NAMES_TRIED} recordings named like {name}", "clear the folder up")


def _renamed(out_of: HeldFolder, name: str, here: FileIdentity, into: HeldFolder, target: str) -> Archived | None:
    """A move on one disk. Raises FileExistsError if the name was taken first."""
    try:
        out_of.give_name(name, target, into)
    except FileNotFoundError:
        return None
    there = _same(into, target, here)
    if there is None:
        # Another file was exchanged between our check and the move: it gets its name back, unless that is taken
        # again.
        with contextlib.suppress(FileExistsError):
            into.give_name(target, name, out_of)
        return None
    into.sync()
    out_of.sync()
    return Archived(into.path / target, there)


def _copied(
    out_of: HeldFolder,
    name: str,
    here: FileIdentity,
    into: HeldFolder,
    target: str,
    names: TemporaryNames,
    heartbeat: MoveHeartbeat,
) -> Archived | None:
    """A copy to another disk, complete and verified before it gets its visible name."""
    unfinished = names.fresh(UNFINISHED)
    try:
        with os.fdopen(out_of.open(name), "rb") as original, os.fdopen(into.create(unfinished), "wb") as copy:
            if not _is_still(original.fileno(), here):
                return None
            sha256 = hashlib.sha256()
            unsynced = 0
            while block := original.read(BLOCK_BYTES):
                heartbeat("target")
                sha256.update(block)
                copy.write(block)
                if (unsynced := unsynced + len(block)) >= SYNC_BYTES:
                    unsynced = 0
                    copy.flush()
                    sync(copy.fileno())
                heartbeat("source")
            heartbeat("target")
            copy.flush()
            _copy_facts(original.fileno(), copy.fileno())
            sync(copy.fileno())
            if not _is_still(original.fileno(), here) or (here.sha256 or sha256.hexdigest()) != sha256.hexdigest():
                return None
        heartbeat("source")
        if _same(out_of, name, replace(here, sha256=None)) is None:
            return None
        if (
            identity_in(into, unfinished, content=True, on_block=partial(heartbeat, "target")).sha256
            != sha256.hexdigest()
        ):
            raise MovePutOff(f"the copy of {name} in {into.path} differs from it", "check that disk")
        into.give_name(unfinished, target)
    finally:
        into.unlink(unfinished)
    into.sync()
    there = replace(identity_in(into, target), sha256=here.sha256)
    heartbeat("source")
    _take_away(out_of, name, here, names)
    return Archived(into.path / target, there)


def _take_away(folder: HeldFolder, name: str, here: FileIdentity, names: TemporaryNames) -> None:
    """Removes the old name, unless it now belongs to another file. The recording has its new one."""
    with contextlib.suppress(FileNotFoundError, FileRefused):
        if not identity_in(folder, name).looks_like(here):
            return
        # Only a file under a private name can be checked and then removed without a race.
        leaving = names.fresh(LEAVING)
        folder.give_name(name, leaving)
        if _same(folder, leaving, replace(here, sha256=None)) is not None:
            folder.unlink(leaving)
        else:
            _give_back(folder, leaving, name)
        folder.sync()


def _sweep_target(into: HeldFolder, names: TemporaryNames) -> None:
    """Removes the partial copy of an earlier, killed try."""
    for left in into.names():
        if names.is_ours(left, UNFINISHED):
            into.unlink(left)


def _sweep_source(out_of: HeldFolder, name: str, names: TemporaryNames) -> None:
    """Gives a recording its name back that an earlier, killed try had renamed."""
    for left in out_of.names():
        if names.is_ours(left, LEAVING):
            _give_back(out_of, left, name)


def _give_back(folder: HeldFolder, hidden: str, name: str) -> None:
    for wanted in _names(name):
        with contextlib.suppress(FileExistsError):
            folder.give_name(hidden, wanted)
            return


def _same(
    folder: HeldFolder, name: str, known: FileIdentity, on_block: Callable[[], object] = lambda: None
) -> FileIdentity | None:
    """The file's identity if it is the recording: by its attributes, or by its hash if known."""
    try:
        found = identity_in(folder, name)
        if found.looks_like(known):
            return replace(found, sha256=known.sha256)
        if known.sha256 is None or found.size != known.size:
            return None
        found = identity_in(folder, name, content=True, on_block=on_block)
    except FileRefused as refused:
        if refused.code in NOT_THIS_ONE:
            return None
        raise
    return found if found.sha256 == known.sha256 else None


def _is_one(folder: HeldFolder, other: HeldFolder) -> bool:
    return os.path.samestat(os.fstat(folder.descriptor), os.fstat(other.descriptor))


def _is_still(descriptor: int, here: FileIdentity) -> bool:
    found = os.fstat(descriptor)
    return stat.S_ISREG(found.st_mode) and FileIdentity.of(found).looks_like(here)


def _copy_facts(original: int, copy: int) -> None:
    """Copies mode, times and extended attributes; a disk that cannot store one is fine."""
    found = os.fstat(original)
    with contextlib.suppress(OSError):
        os.fchmod(copy, stat.S_IMODE(found.st_mode) & ~(stat.S_ISUID | stat.S_ISGID))
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            for attribute in os.listxattr(original):
                with contextlib.suppress(OSError):
                    os.setxattr(copy, attribute, os.getxattr(original, attribute))
    os.utime(copy, ns=(found.st_atime_ns, found.st_mtime_ns))


def _names(name: str) -> Iterator[str]:
    """`talk.m4a`, `talk (2).m4a`, … of at most 255 bytes."""
    stem, extension = Path(name).stem, Path(name).suffix
    for attempt in range(1, NAMES_TRIED + 1):
        suffix = "" if attempt == 1 else f" ({attempt})"
        room = 255 - len(os.fsencode(suffix + extension))
        yield cut_to_bytes(stem, room) + suffix + extension
