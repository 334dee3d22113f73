"""This shell's service: found, asked, and waited for.

Runs in: the user's shell, which is root's under sudo.
"""

import os
import pwd
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from client.daemon import here
from client.terminal.errors import NoDaemon, Refusal
from config.disk_access import program_of_this_process
from config.places import find_places
from ipc.status_views import StatusView
from launchd.installation import find_installation, obstacles
from launchd.owner import Owner, owner_name
from launchd.refusal import ServiceRefused
from launchd.service_manager import ServiceManager, service_manager

START_SECONDS = 60.0
"""From the service's start to the daemon's first answer, on a machine that has just booted. Models load later."""
BETWEEN_TRIES_SECONDS = 0.1
BETWEEN_LOOKS_SECONDS = 1.0
ITS_OWN_COMPLAINTS = frozenset({os.EX_DATAERR, os.EX_CANTCREAT, os.EX_IOERR, os.EX_CONFIG})
"""Exit codes with which the daemon says that it cannot start; to wait any longer is no use."""
LAST_WORDS_BYTES = 4096


@contextmanager
def refusals() -> Iterator[None]:
    """What the service manager refuses is refused here, in the same words."""
    try:
        yield
    except ServiceRefused as refused:
        raise Refusal("service_refused", refused.message, refused.hint) from refused


def find_service(platform: str, is_system: bool, user: str | None = None) -> ServiceManager:
    """The service of this environment's home, whether it is installed or not. Raises Refusal."""
    with refusals():
        owner = _owner(is_system, user)
        if os.geteuid() == 0 and owner.uid != 0:
            # Everything from here on is about the owner's places, not root's.
            os.environ["HOME"] = str(owner.home)
            os.environ.pop("XDG_RUNTIME_DIR", None)
        installation = find_installation(
            os.environ,
            platform=platform,
            owner=owner,
            is_system=is_system,
            interpreter=Path(sys.executable),
            program=program_of_this_process(),
            logs=find_places(platform=platform).logs,
            current_folder=Path.cwd(),
        )
    return service_manager(installation)


def find_installed_service(platform: str, is_system: bool, user: str | None) -> ServiceManager:
    """The one that is installed: one's own, else the machine's; one's own if there is neither. Raises Refusal."""
    is_root = os.geteuid() == 0
    if is_system or user is not None or (is_root and "SUDO_USER" in os.environ):
        return find_service(platform, is_system=True, user=user)
    own = find_service(platform, is_system=False)
    if is_root or own.definition_file.exists():
        return own
    machine = find_service(platform, is_system=True)
    return machine if machine.definition_file.exists() else own


def _owner(is_system: bool, user: str | None) -> Owner:
    own = pwd.getpwuid(os.getuid())
    name = owner_name(
        own.pw_name,
        is_root=os.geteuid() == 0,
        sudo_user=os.environ.get("SUDO_USER"),
        system=is_system,
        asked=user,
    )
    try:
        found = own if name == own.pw_name else pwd.getpwnam(name)
    except KeyError:
        raise ServiceRefused(f"this machine has no user {name}", "--user NAME names one") from None
    # HOME may be set to something else on purpose, and launchd and systemd look there.
    home = Path.home() if name == own.pw_name else Path(found.pw_dir)
    return Owner(found.pw_name, found.pw_uid, found.pw_gid, home)


def need_root(service: ServiceManager, verb: str) -> None:
    """A refusal that holds the whole command: sudo drops the variables that say which home is meant."""
    installation = service.installation
    if not installation.is_system or os.geteuid() == 0:
        return
    kept = [f"{name}={installation.environment[name]}" for name in installation.kept_from_shell]
    steno = str(installation.interpreter.with_name("steno"))
    words = ["sudo", *(["env", *kept] if kept else []), steno, "service", verb, "--system"]
    raise Refusal("needs_root", f"only root can {verb} a {service.kind}", shlex.join(words))


def answering() -> StatusView | None:
    """What the daemon of this home says, however it was started; None: there is none."""
    try:
        with here.daemon() as daemon:
            return daemon.status()
    except NoDaemon:
        return None


def refuse_beside_another(service: ServiceManager) -> None:
    """A daemon started by hand holds the home: the service's would exit, and not return."""
    found = answering()
    if found is None:
        return
    pid = found.daemon.pid
    raise Refusal(
        "daemon_runs_already",
        f"a daemon of this home runs already, as pid {pid}, and {service.name} did not start it",
        f"end it (Ctrl-C where `steno serve` runs, or `kill {pid}`; another service with `steno service uninstall`), "
        "then try again",
    )


def await_answer(service: ServiceManager) -> StatusView:
    """The daemon's first answer after a start. Raises Refusal with its own words where it does not come up."""
    deadline = time.monotonic() + START_SECONDS
    look_at = time.monotonic() + BETWEEN_LOOKS_SECONDS
    while (found := answering()) is None:
        now = time.monotonic()
        if now > deadline:
            _give_up(service, f"does not answer within {START_SECONDS:.0f} s")
        if now > look_at:
            look_at = now + BETWEEN_LOOKS_SECONDS
            state = service.look()
            if state.pid is None and state.last_exit_code in ITS_OWN_COMPLAINTS:
                _give_up(service, f"ended with exit code {state.last_exit_code}")
        time.sleep(BETWEEN_TRIES_SECONDS)  # nothing wakes us when a socket appears
    return found


def _give_up(service: ServiceManager, what: str) -> None:
    said = _last_words(service.installation.stderr_file) if service.installation.platform == "darwin" else ""
    tried_again = f"it is tried again every few seconds; see `steno logs` and {service.stderr_place}"
    raise Refusal(
        "service_not_up",
        f"{service.name} is installed, but its daemon {what}{f': {said}' if said else ''}",
        "\n".join((*obstacles(service.installation), tried_again)),
    )


def _last_words(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            stream.seek(max(0, file.stat().st_size - LAST_WORDS_BYTES))
            lines = stream.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""
