"""Folders, files and the socket as they lie on the disk: whose they are, who else may enter, what is in the way.

Runs in: the user's shell.
"""

import os
import pwd
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from shlex import quote

from client.daemon.http_over_unix import LineSilent, NobodyListens, connected
from client.doctor.check import Case, Check, along, broken, missing, ok
from config.ownership import faults_of, obeyed_files, own_places
from config.places import LONGEST_SOCKET_PATH_BYTES, Places
from ipc.status_views import Finding

ANSWER_SECONDS = 1.0
"""The kernel knows immediately whether a process listens; a full backlog may take longer."""
PRIVATE_FOLDER = 0o700
PRIVATE_FILE = 0o600
NO_PLACE = "there is no place for settings, queue and models"


def checks(case: Case) -> Iterator[Check]:
    yield Check("Folders", "folders", lambda: folder_findings(case, os.geteuid()))


def folder_findings(case: Case, uid: int) -> Iterator[Finding]:
    """The home and, unless it is broken, all that stenod keeps there."""
    places, environment = case.places, case.environment
    home = home_finding(environment, places, uid)
    yield home
    if home.state == "broken":
        return
    yield from session_findings(environment)
    yield from socket_path_findings(places.socket)
    yield from ownership_findings(places)
    yield folder_finding("socket_folder", places.runtime, uid)
    yield folder_finding("state_folder", places.state, uid)
    if case.status is None:  # a running daemon tries these itself
        yield folder_finding("log_folder", places.logs)
        yield folder_finding("spool_folder", places.spool)
        yield folder_finding("models_folder", places.models)
    yield from private_file("database", places.database, uid)
    yield from private_file("socket", places.socket, uid)


def home_finding(environment: Mapping[str, str], places: Places, uid: int) -> Finding:
    """Whether there is a home to live in. `~` and the platform's folders come from it."""
    moved = environment.get("STENO_HOME")
    home = Path(moved).expanduser().absolute() if moved else _home(environment, uid)
    name = "STENO_HOME" if moved else "HOME"
    if home is None or not home.is_absolute():
        what = "HOME is not set, and this user has no home folder"
        return broken("home", what, NO_PLACE, "export HOME=/your/folder, or set STENO_HOME")
    try:
        is_folder = stat.S_ISDIR(home.stat().st_mode)
    except FileNotFoundError:
        is_folder = None
    except OSError as error:
        return _unreachable("home", home, error)
    if is_folder and not os.access(home, os.R_OK | os.X_OK):
        what = f"{name} is {home}, which you may not enter (mode {stat.S_IMODE(home.stat().st_mode):04o})"
        why = "settings, queue, socket and models are in there; nothing more can be said about them"
        return broken("home", what, why, f"chmod u+rwx {quote(str(home))}")
    if is_folder:
        return ok("home", f"{name} is {home}; settings in {places.config_file}")
    if moved and is_folder is None and home.parent.is_dir():
        return missing("home", home, NO_PLACE)
    what = f"{name} is {home}, which is no folder"
    return broken("home", what, NO_PLACE, f"mkdir -p {quote(str(home))}, or correct {name}")


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
        yield broken(
            "session",
            f"XDG_RUNTIME_DIR is {session}, which is no folder",
            "the socket belongs there: the daemon cannot open it, and the command does not find it",
            "unset XDG_RUNTIME_DIR, or log in so that the system creates it",
        )


def ownership_findings(places: Places) -> Iterator[Finding]:
    """Whether another user could change the settings, the queue, the logs or a folder above them."""
    faults = list(faults_of(*obeyed_files(places), *own_places(places)))
    why = "who may write there decides what the daemon does and runs as you: it refuses to start"
    for fault in faults:
        yield broken("ownership", f"{fault.filename} {fault.why}", why, fault.remedy)
    if not faults:
        yield ok("ownership", "no other user can change the settings, the queue or the logs")


def folder_finding(check: str, folder: Path, private_to: int | None = None) -> Finding:
    """A folder that the daemon writes to. `private_to`: the user who alone may enter it, and not through a link."""
    nothing_there = "the daemon cannot write there"
    try:
        found = folder.stat() if private_to is None else folder.lstat()
    except FileNotFoundError:
        return missing(check, folder, nothing_there)
    except OSError as error:
        return _unreachable(check, folder, error)
    if not stat.S_ISDIR(found.st_mode):
        what = f"{folder} is not a folder" + (" but a link" if stat.S_ISLNK(found.st_mode) else "")
        return broken(check, what, nothing_there, _aside(folder))
    if private_to is None:
        if os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            return ok(check, f"{folder} can be written")
        return broken(check, f"{folder} cannot be written", nothing_there, f"chmod u+rwx {quote(str(folder))}")
    if found.st_uid != private_to:
        return _foreign(check, folder, found.st_uid, private_to)
    mode, remedy = stat.S_IMODE(found.st_mode), f"chmod 700 {quote(str(folder))}"
    if mode & 0o077:
        why = "other users of this machine could reach the daemon or see which recordings there are"
        return broken(check, f"{folder} is open to others (mode {mode:04o})", why, remedy)
    if mode & PRIVATE_FOLDER != PRIVATE_FOLDER:
        return broken(check, f"{folder} cannot be used by its owner (mode {mode:04o})", nothing_there, remedy)
    return ok(check, f"{folder} is yours alone")


def private_file(check: str, file: Path, uid: int) -> Iterator[Finding]:
    """A file that only its owner may open, where it exists. Yields nothing where all is well or there is none."""
    try:
        found = file.lstat()
    except OSError:
        return  # the check of its folder says so
    if found.st_uid != uid:
        yield _foreign(check, file, found.st_uid, uid)
    elif not (stat.S_ISREG(found.st_mode) or stat.S_ISSOCK(found.st_mode)):
        what = f"{file} is in the way: it is neither a file nor a socket of stenod"
        yield broken(check, what, "the daemon follows no link, overwrites nothing and refuses to start", _aside(file))
    elif (mode := stat.S_IMODE(found.st_mode)) != PRIVATE_FILE:
        why = "only its owner should read and write it: it leads to every transcript"
        yield broken(check, f"{file} has mode {mode:04o}", why, f"chmod 600 {quote(str(file))}")


def socket_path_findings(path: Path) -> Iterator[Finding]:
    """Whether the system can hold a socket of that name."""
    length = len(os.fsencode(path))
    if length > LONGEST_SOCKET_PATH_BYTES:
        what = f"the socket's path has {length} bytes, {LONGEST_SOCKET_PATH_BYTES} is the most: {path}"
        yield broken("socket_path", what, "no daemon can open it", "export STENO_HOME=/a/shorter/folder")


def is_stale(path: Path) -> bool:
    """Whether a socket lies there and the kernel says that no process listens at it."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return False
    except OSError:
        return False
    try:
        connected(path, ANSWER_SECONDS).close()
    except NobodyListens as refused:
        return isinstance(refused.__cause__, ConnectionRefusedError)
    except (TimeoutError, LineSilent):
        return False
    return False


def _aside(place: Path) -> str:
    return f"mv {quote(str(place))} {quote(f'{place}.old')}"


def _unreachable(check: str, place: Path, error: OSError) -> Finding:
    what = f"{place} cannot be checked: {error.strerror}"
    return broken(check, what, "the daemon cannot use it either", f"look along its path: {along(place)}")


def _foreign(check: str, place: Path, owner: int, uid: int) -> Finding:
    what = f"{place} belongs to user {owner}, you are {uid}"
    why = "a daemon of yours may not use it, and refuses to start"
    return broken(check, what, why, f"sudo chown -R {uid} {quote(str(place))}")
