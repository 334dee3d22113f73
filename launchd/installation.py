"""What is to be started, as whom, with which environment, and under which name: a value, and how it is found.

Runs in: the installer.
"""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from config.disk_access import how_to_allow
from ipc.program import arguments
from launchd.environment import carried_environment, search_path, writable
from launchd.owner import Owner
from launchd.refusal import ServiceRefused

STOP_SECONDS = 15
"""From SIGTERM to SIGKILL. The daemon promises to be gone in nine, and to have lost nothing by then."""
REFUSED_START_SECONDS = 10
"""Between two starts of a daemon that exits because it cannot start, such as for a bad setting or a missing disk."""
ARGUMENTS = arguments("supervisor")
"""The only way the daemon starts."""

PROTECTED = ("Desktop", "Documents", "Downloads", "Library/Mobile Documents", "Library/CloudStorage")
"""Folders in a Mac's home that a service may not read until its user allows it."""
OTHER_VOLUMES = ("/Volumes", "/Network", "/net")
"""Where a Mac mounts removable and network disks, which it keeps from services too."""


@dataclass(frozen=True, slots=True)
class Installation:
    """One daemon of one home, as its service manager is to know it."""

    platform: str
    """sys.platform."""
    name: tuple[str, ...]
    """`stenod`, then what tells it from others on this machine."""
    is_system: bool
    """Whether it starts with the machine rather than with its owner's session."""
    owner: Owner
    interpreter: Path
    """Absolute, its symlinks not followed: only through them does Python find its virtual environment, and they stay
    where they are when the Python behind them is replaced."""
    program: Path
    """The program that the interpreter becomes: what Full Disk Access is given to on a Mac."""
    environment: Mapping[str, str]
    left_out: tuple[str, ...]
    """Names of variables that were not taken over because they are secrets."""
    starters: tuple[str, ...]
    """Names of variables that were not taken over because they ask for a starter model."""
    logs: Path

    @property
    def label(self) -> str:
        """launchd's name for it."""
        return ".".join(("dev", "stenod", *self.name))

    @property
    def unit(self) -> str:
        """systemd's name for it."""
        return f"{'-'.join(self.name)}.service"

    @property
    def stderr_file(self) -> Path:
        """What launchd keeps of stdout and stderr: words from before there is a log, and from native code."""
        return self.logs / "launchd.log"

    @property
    def kept_from_shell(self) -> tuple[str, ...]:
        """Names of the variables that were taken over from the installer's environment."""
        return tuple(name for name in self.environment if name not in ("PATH", "HOME"))


def find_installation(
    environment: Mapping[str, str],
    *,
    platform: str,
    owner: Owner,
    is_system: bool,
    interpreter: Path,
    program: Path,
    logs: Path,
    current_folder: Path,
) -> Installation:
    """The installation this environment asks for. Raises ServiceRefused for names that cannot be written down."""
    carried = carried_environment(environment, current_folder, owner.home)
    for what in (interpreter, logs, owner.home):
        writable(str(what), "a path")
    if platform != "darwin" and set(str(interpreter)) & set("\"'\\"):
        raise ServiceRefused(
            f"systemd starts no program whose path has quotes or backslashes in it: {interpreter}",
            "move stenod elsewhere",
        )
    variables = {"PATH": search_path(platform, interpreter, owner.home)}
    if is_system and platform == "darwin":
        # launchd sets it for agents only, systemd for all.
        variables["HOME"] = str(owner.home)
    return Installation(
        platform=platform,
        name=_name(carried.variables.get("STENO_HOME"), owner.name if is_system else None),
        is_system=is_system,
        owner=owner,
        interpreter=interpreter,
        program=program,
        environment=variables | dict(carried.variables),
        left_out=carried.left_out,
        starters=carried.starters,
        logs=logs,
    )


def _name(steno_home: str | None, user: str | None) -> tuple[str, ...]:
    """One service a home: a home of one's own (STENO_HOME) and, machine-wide, its owner's name are part of it."""
    parts = ["stenod"]
    if steno_home is not None:
        parts.append(hashlib.sha256(steno_home.encode()).hexdigest()[:8])
    if user is not None:
        parts.append(re.sub(r"\W", "_", user, flags=re.ASCII))
    return tuple(parts)


def obstacles(installation: Installation) -> Iterator[str]:
    """Sentences for the person who installs: what may keep the daemon from starting at all. Looks at the links."""
    if installation.platform != "darwin":
        return
    steno_home = installation.environment.get("STENO_HOME")
    for path in (installation.interpreter, *([Path(steno_home)] if steno_home else [])):
        if (place := _kept_from_services(path, installation.owner.home)) is not None:
            yield (
                f"{path} lies in {place}, which macOS keeps from services: move it out of there and install again, "
                f"or allow it: {how_to_allow(installation.program)}"
            )


def _kept_from_services(path: Path, home: Path) -> Path | None:
    """The folder or volume of that kind that the path lies in, by its name or by where its links lead."""
    kept = [*(home / folder for folder in PROTECTED), *map(Path, OTHER_VOLUMES)]
    # Only the last link is followed: a virtual environment's Python leads out of the environment's folder.
    names = (path, Path(os.path.realpath(path.parent), path.name), Path(os.path.realpath(path)))
    # A Mac's disks take no notice of case.
    lower = [Path(str(name).casefold()) for name in names]
    return next((one for one in kept for name in lower if name.is_relative_to(str(one).casefold())), None)


def doubts(installation: Installation) -> Iterator[str]:
    """Sentences for the person who installs: what will go well now and bite later."""
    if installation.platform == "darwin" and installation.is_system:
        yield (
            "with FileVault on, nothing starts after a reboot until a user unlocks the disk "
            "with a password; `fdesetup status` tells"
        )
        yield (
            "a LaunchDaemon is never asked whether it may read a folder. If it watches Desktop, Documents, Downloads "
            f"or another disk, allow it beforehand: {how_to_allow(installation.program)}"
        )
    settings = [name for name in installation.kept_from_shell if name != "STENO_HOME" and name.startswith("STENO_")]
    if settings:
        yield (
            f"{', '.join(settings)} of this shell now belong to the service and win over config.toml; unset them and "
            "install again to be rid of them"
        )
    for name in installation.starters:
        setting = name.removeprefix("STENO_").lower()
        yield (
            f"{name}=starter is for a first try and was left out: the service uses the usual model; "
            f'to keep the starter, write {setting} = "starter" into config.toml (`steno config edit`)'
        )
    for name in installation.left_out:
        yield f"{name} is a secret and was left out: `hf auth login` keeps a token where the daemon finds it"
