"""Folders, files and the socket as they lie on the disk: whose they are, who else may enter, what is in the way.

Runs in: the user's shell.
"""

import errno
import os
import pwd
import socket
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from shlex import quote

from client.doctor.check import along
from config.ownership import faults_of, obeyed_files, own_places
from config.places import LONGEST_SOCKET_PATH_BYTES, Places
from ipc.status_views import Finding

ANSWER_SECONDS = 1.0
"""The kernel knows at once whether a process listens; a full backlog may take longer."""
PRIVATE_FOLDER = 0o700
PRIVATE_FILE = 0o600


def home_finding(environment: Mapping[str, str], places: Places, uid: int) -> Finding:
    """Whether there is a home to live in. `~` and the platform's folders come from it."""
    moved = environment.get("STENO_HOME")
    home = Path(moved).expanduser().absolute() if moved else _home(environment, uid)
    name = "STENO_HOME" if moved else "HOME"
    if home is None or not home.is_absolute():
        return Finding(
            check="home",
            state="broken",
            what="HOME is not set, and this user has no home folder",
            why="settings, queue and models have no place to be",
            remedy="export HOME=/your/folder, or set STENO_HOME",
        )
    try:
        is_folder = stat.S_ISDIR(home.stat().st_mode)
    except FileNotFoundError:
        is_folder = None
    except OSError as error:
        return _unreachable("home", home, error)
    if is_folder and not os.access(home, os.R_OK | os.X_OK):
        return Finding(
            check="home",
            state="broken",
            what=f"{name} is {home}, which you may not enter (mode {stat.S_IMODE(home.stat().st_mode):04o})",
            why="settings, queue, socket and models are in there; nothing more can be said about them",
            remedy=f"chmod u+rwx {quote(str(home))}",
        )
    if is_folder:
        return Finding(check="home", state="ok", what=f"{name} is {home}; settings in {places.config_file}")
    if moved and is_folder is None and home.parent.is_dir():
        return Finding(check="home", state="ok", what=f"{name} is {home}; the daemon makes it when it starts")
    return Finding(
        check="home",
        state="broken",
        what=f"{name} is {home}, which is no folder",
        why="settings, queue and models have no place to be",
        remedy=f"mkdir -p {quote(str(home))}, or correct {name}",
    )


def _home(environment: Mapping[str, str], uid: int) -> Path | None:
    if environment.get("HOME"):
        return Path(environment["HOME"])
    try:
        return Path(pwd.getpwuid(uid).pw_dir)
    except KeyError:
        return None


def session_findings(environment: Mapping[str, str]) -> Iterator[Finding]:
    """XDG_RUNTIME_DIR, where it decides about the socket's place."""
    session = environment.get("XDG_RUNTIME_DIR")
    if session and not environment.get("STENO_HOME") and not Path(session).is_dir():
        yield Finding(
            check="session",
            state="broken",
            what=f"XDG_RUNTIME_DIR is {session}, which is no folder",
            why="the socket belongs there: the daemon cannot open it, and the command does not find it",
            remedy="unset XDG_RUNTIME_DIR, or log in so that the system makes it",
        )


def folder_findings(places: Places, uid: int, *, daemon_tries: bool) -> list[Finding]:
    """Folders and files of ours that have to be private or, unless a daemon tries that by itself, writable."""
    private = {"socket_folder": places.runtime, "state_folder": places.state}
    writable = {"log_folder": places.logs, "spool_folder": places.spool, "models_folder": places.models}
    return [
        *(private_folder(check, folder, uid) for check, folder in private.items()),
        *(writable_folder(check, folder) for check, folder in writable.items() if not daemon_tries),
        *private_files("database", places.database, uid),
        *private_files("socket", places.socket, uid),
    ]


def ownership_findings(places: Places) -> Iterator[Finding]:
    """Whether anybody else could change the settings, the queue, the logs or a folder above them."""
    faults = list(faults_of(*obeyed_files(places), *own_places(places)))
    for fault in faults:
        yield Finding(
            check="ownership",
            state="broken",
            what=f"{fault.filename} {fault.why}",
            why="who may write there decides what the daemon does and runs as you: it refuses to start",
            remedy=fault.remedy,
        )
    if not faults:
        yield Finding(
            check="ownership", state="ok", what="no other user can change the settings, the queue or the logs"
        )


def private_folder(check: str, folder: Path, uid: int) -> Finding:
    """A folder that only its owner may enter, once it is there."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return Finding(check=check, state="ok", what=f"{folder} is made when the daemon starts")
    except OSError as error:
        return _unreachable(check, folder, error)
    if not stat.S_ISDIR(found.st_mode):
        return Finding(
            check=check,
            state="broken",
            what=f"{folder} is not a folder" + (" but a link" if stat.S_ISLNK(found.st_mode) else ""),
            why="the daemon keeps private things there, follows no link and refuses to start",
            remedy=f"mv {quote(str(folder))} {quote(f'{folder}.old')}",
        )
    if found.st_uid != uid:
        return _foreign(check, folder, found.st_uid, uid)
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077:
        return Finding(
            check=check,
            state="broken",
            what=f"{folder} is open to others (mode {mode:04o})",
            why="other users of this machine could reach the daemon or see which recordings there are",
            remedy=f"chmod 700 {quote(str(folder))}",
        )
    if mode & PRIVATE_FOLDER != PRIVATE_FOLDER:
        return Finding(
            check=check,
            state="broken",
            what=f"{folder} cannot be used by its own owner (mode {mode:04o})",
            why="the daemon can put nothing there",
            remedy=f"chmod 700 {quote(str(folder))}",
        )
    return Finding(check=check, state="ok", what=f"{folder} is yours alone")


def private_files(check: str, file: Path, uid: int) -> Iterator[Finding]:
    """A file that only its owner may open, where it exists. Says nothing where all is well or there is none."""
    try:
        found = file.lstat()
    except OSError:
        return  # its folder was looked at already
    if found.st_uid != uid:
        yield _foreign(check, file, found.st_uid, uid)
    elif stat.S_ISLNK(found.st_mode) or not (stat.S_ISREG(found.st_mode) or stat.S_ISSOCK(found.st_mode)):
        yield Finding(
            check=check,
            state="broken",
            what=f"{file} is in the way: it is neither a file nor a socket of stenod",
            why="the daemon follows no link, overwrites nothing and refuses to start",
            remedy=f"mv {quote(str(file))} {quote(f'{file}.old')}",
        )
    elif (mode := stat.S_IMODE(found.st_mode)) != PRIVATE_FILE:
        yield Finding(
            check=check,
            state="broken",
            what=f"{file} has mode {mode:04o}",
            why="only its owner should read and write it: it leads to every transcript",
            remedy=f"chmod 600 {quote(str(file))}",
        )


def writable_folder(check: str, folder: Path) -> Finding:
    """A folder that we write to. Judged by the system's word; the daemon itself tries."""
    try:
        is_there = stat.S_ISDIR(folder.stat().st_mode)
    except FileNotFoundError:
        return Finding(check=check, state="ok", what=f"{folder} is made when the daemon starts")
    except OSError as error:
        return _unreachable(check, folder, error)
    if not is_there:
        return Finding(
            check=check,
            state="broken",
            what=f"{folder} is not a folder",
            why="the daemon can put nothing there",
            remedy=f"mv {quote(str(folder))} {quote(f'{folder}.old')}",
        )
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return Finding(
            check=check,
            state="broken",
            what=f"{folder} cannot be written",
            why="the daemon can put nothing there",
            remedy=f"chmod u+rwx {quote(str(folder))}",
        )
    return Finding(check=check, state="ok", what=f"{folder} can be written")


def socket_path_findings(path: Path) -> Iterator[Finding]:
    """Whether the system can hold a socket of that name."""
    length = len(os.fsencode(path))
    if length > LONGEST_SOCKET_PATH_BYTES:
        yield Finding(
            check="socket_path",
            state="broken",
            what=f"the socket's path has {length} bytes, {LONGEST_SOCKET_PATH_BYTES} is the most: {path}",
            why="no daemon can open it",
            remedy="export STENO_HOME=/a/shorter/folder",
        )


def is_stale(path: Path) -> bool:
    """Whether a socket lies there and the kernel says that no process listens at it."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return False
    except OSError:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(ANSWER_SECONDS)
        try:
            probe.connect(os.fspath(path))
        except OSError as error:
            return error.errno == errno.ECONNREFUSED
    return False


def _unreachable(check: str, place: Path, error: OSError) -> Finding:
    return Finding(
        check=check,
        state="broken",
        what=f"{place} cannot be looked at: {error.strerror}",
        why="the daemon fares no better",
        remedy=f"look along its path: {along(place)}",
    )


def _foreign(check: str, place: Path, owner: int, uid: int) -> Finding:
    return Finding(
        check=check,
        state="broken",
        what=f"{place} belongs to user {owner}, you are {uid}",
        why="a daemon of yours may not use it, and refuses to start",
        remedy=f"sudo chown -R {uid} {quote(str(place))}",
    )
