"""This shell's installation: where things are, and its daemon.

Runs in: the user's shell.
"""

import os
import sys
from typing import TYPE_CHECKING, NoReturn

from client.terminal.errors import Refusal
from ipc.program import program

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from client.daemon.connection import DaemonClient
    from config.loader import LoadedSettings
    from config.places import Places


def places() -> "Places":
    """Where this environment's stenod keeps its things."""
    from config.places import find_places

    return find_places()


def daemon() -> "DaemonClient":
    """A client for the daemon of this environment; whether it is there shows with the first request."""
    from client.daemon.connection import DaemonClient

    return DaemonClient(socket())


def socket(environment: "Mapping[str, str]" = os.environ) -> "Path":
    """Where the daemon listens. On Linux one that systemd started at boot has no XDG_RUNTIME_DIR, and this shell may
    lack the one that its daemon has: the first place where there is a socket."""
    from config.places import find_places

    own = find_places(dict(environment)).socket
    without = {name: value for name, value in environment.items() if name != "XDG_RUNTIME_DIR"}
    of_session = {**without, "XDG_RUNTIME_DIR": f"/run/user/{os.getuid()}"}
    others = (find_places(without).socket, find_places(of_session).socket)
    # Not Path.exists, which raises where a folder may not be entered: connecting finds out, and says it.
    return next((one for one in (own, *others) if os.path.exists(one)), own)  # noqa: PTH110


def version() -> str:
    """Of this command."""
    from importlib import metadata

    try:
        return metadata.version("stenod")
    except metadata.PackageNotFoundError:
        return "unknown"


def settings() -> "LoadedSettings":
    """The settings of this environment, and where each comes from. Raises Refusal where it cannot be used."""
    from config.loader import ConfigError, load

    try:
        return load(places(), os.environ)
    except ConfigError as wrong:
        if isinstance(wrong.__cause__, OSError):
            raise Refusal("bad_config", str(wrong), "`steno doctor` shows what is in the way") from wrong
        first, *others = wrong.mistakes
        hint = f"`steno config check` shows {len(others)} more" if others else "`steno config edit` fixes it"
        raise Refusal("bad_config", first, hint) from wrong


def refuse_others() -> None:
    """Raises Refusal where others own or may write what the daemon keeps: it would refuse to start."""
    from config.ownership import faults_of, own_places

    for fault in faults_of(*own_places(places())):
        raise Refusal("not_ours_alone", f"{fault.filename} {fault.why}", fault.remedy)


SUPERVISOR = program("supervisor")
"""The only way the daemon starts."""


def become(*command: str) -> NoReturn:
    """Replaces this process by another program, with the same pid, terminal and signals."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(command[0], command)
