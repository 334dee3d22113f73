"""Whether only this user and root can change what lies at a path: what is written there is obeyed.

Runs in: every process.

As ssh's StrictModes, for the same reason: a configuration names commands, and a user who may write it, or rename a
folder above it, runs them as us. Links are followed as the system does, and each folder on the way is looked at.
"""

import errno
import grp
import os
import pwd
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from config.places import Places

MOST_LINKS = 40
"""As many as Linux follows."""
ADMINS_OF_MACOS = 80
"""The group `admin`: its members may become root, and own what Homebrew makes."""


class UnsafePath(OSError):
    """Another user could have written it, or could exchange it. `filename` is the file or folder at fault."""

    def __init__(self, place: str, why: str, remedy: str) -> None:
        super().__init__(errno.EPERM, why, place)
        self.why = why
        """`belongs to user 1001, not to 1000`."""
        self.remedy = remedy
        """The command that fixes it."""

    def __str__(self) -> str:
        return f"{self.filename} {self.why}; {self.remedy}"


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose files are obeyed."""

    uid: int
    """The user who runs this process."""
    also: frozenset[int]
    """Root; the owner of `/`, which is another number where a container has no root; who called sudo."""

    def owns(self, uid: int) -> bool:
        return uid == self.uid or uid in self.also


def trusted() -> Trust:
    """Of this process."""
    uid = os.geteuid()
    also = {0, os.stat("/").st_uid}  # noqa: PTH116
    if uid == 0 and (caller := os.environ.get("SUDO_UID", "")).isdecimal():
        also.add(int(caller))
    return Trust(uid, frozenset(also))


def refuse_unless_ours(path: Path, trust: Trust | None = None) -> None:
    """Raises UnsafePath unless we or root own it and every folder above it, and no other user may write there.

    What does not exist yet is as safe as the folders that do. Raises OSError where it cannot be looked at.
    """
    trust = trusted() if trust is None else trust
    for place in _on_the_way(path):
        try:
            found = os.lstat(place)
        except FileNotFoundError:
            return
        if (fault := fault_of(place, found, trust)) is not None:
            raise fault


def fault_of(place: str, found: os.stat_result, trust: Trust) -> UnsafePath | None:
    """What is wrong with one file, folder or link; None: nothing."""
    if not trust.owns(found.st_uid):
        return UnsafePath(
            place,
            f"belongs to user {found.st_uid}, not to {trust.uid} (mode {stat.S_IMODE(found.st_mode):04o})",
            f"sudo chown {trust.uid} {quote(place)}",
        )
    if stat.S_ISLNK(found.st_mode):
        return None
    is_shelter = stat.S_ISDIR(found.st_mode) and bool(found.st_mode & stat.S_ISVTX)  # /tmp: each keeps his own
    if found.st_mode & stat.S_IWOTH and not is_shelter:
        return _writable(place, found, "everybody", "go-w")
    if found.st_mode & stat.S_IWGRP and not is_shelter and not is_private_group(found.st_gid, found.st_uid, trust):
        return _writable(place, found, f"group {found.st_gid}", "g-w")
    return None


def is_private_group(gid: int, owner: int, trust: Trust) -> bool:
    """Whether we and root are alone in the group: so are Debian's users', whose files their group may write."""
    if sys.platform == "darwin" and gid == ADMINS_OF_MACOS:
        return True
    try:
        members = {_uid_of(name) for name in grp.getgrgid(gid).gr_mem}
    except KeyError:
        members = set()  # a number without a name: a container's, given to its one user
    members |= {one.pw_uid for one in pwd.getpwall() if one.pw_gid == gid}
    return all(uid is None or uid == owner or trust.owns(uid) for uid in members)


def _uid_of(name: str) -> int | None:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None  # a member that there is not


def _writable(place: str, found: os.stat_result, by: str, remedy: str) -> UnsafePath:
    mode = stat.S_IMODE(found.st_mode)
    why = f"may be written by {by} (mode {mode:04o}, of user {found.st_uid})"
    return UnsafePath(place, why, f"chmod {remedy} {quote(place)}")


def _on_the_way(path: Path) -> Iterator[str]:
    """Every folder, link and file that the system looks at on its way to a path, `/` first."""
    names = list(reversed(Path(os.path.abspath(path)).parts[1:]))  # noqa: PTH100 - resolve would follow
    here, links = "/", 0
    yield here
    while names:
        name = names.pop()
        if name == "..":
            here = os.path.dirname(here)  # noqa: PTH120
            continue
        place = os.path.join(here, name)  # noqa: PTH118
        yield place
        if not os.path.islink(place):  # noqa: PTH114
            here = place
            continue
        links += 1
        if links > MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        target = os.readlink(place)  # noqa: PTH115
        if target.startswith("/"):
            here = "/"
        names += [part for part in reversed(target.split("/")) if part not in ("", ".")]


def obeyed_files(places: Places) -> tuple[Path, ...]:
    """What says how things are done, commands among it."""
    return (places.config_file, places.config_file.with_name(".env.pipeline"))


def own_places(places: Places) -> tuple[Path, ...]:
    """All that is kept, and read again."""
    return (
        places.state,
        places.state / "crashes",
        places.database,
        places.lock,
        places.state / "watches.json",
        places.logs,
        places.logs / "crashes",
        places.log_file,
        places.spool,
        places.models,
        places.runtime,
    )


def faults_of(*paths: Path) -> Iterator[UnsafePath]:
    """What is wrong with them, each fault once. What cannot be looked at is for those who use it to say."""
    told: set[str] = set()
    for path in paths:
        try:
            refuse_unless_ours(path)
        except UnsafePath as fault:
            if fault.filename not in told:
                told.add(fault.filename)
                yield fault
        except OSError:
            continue


def make_private(folder: Path) -> None:
    """The folder and those above it that are missing, for us alone whatever the umask. Raises OSError."""
    missing = [folder]
    while not missing[-1].parent.exists() and missing[-1] != missing[-1].parent:
        missing.append(missing[-1].parent)
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)


def open_own(file: Path, flags: int) -> int:
    """A descriptor of a regular file of ours, made for us alone where it is missing; a link is not followed.

    Raises OSError, UnsafePath among them.
    """
    # Not blocking: a pipe in its place would keep us waiting for a reader.
    descriptor = os.open(file, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            what = "has a second name elsewhere" if stat.S_ISREG(found.st_mode) else "is no regular file"
            raise UnsafePath(str(file), what, f"mv {quote(str(file))} {quote(f'{file}.old')}")
        if (fault := fault_of(str(file), found, trusted())) is not None:
            raise fault
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
