"""Whether a service manager keeps the daemon running, and whether that is the daemon that runs.

Runs in: the user's shell.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ipc.status_views import Finding

LABEL = "dev.stenod"
"""Of the job that launchd knows; what else macOS puts into XPC_SERVICE_NAME names a terminal."""
DEFINITIONS = ("Library/LaunchAgents/dev.stenod*.plist", ".config/systemd/user/stenod*.service")
"""What `steno service install` leaves in a home."""


@dataclass(frozen=True, slots=True)
class Service:
    """What is known of the service of this installation."""

    name: str
    """As its manager calls it; for people."""
    is_loaded: bool
    """Whether the manager has it in hand, and has not given it up."""
    is_current: bool
    """Whether `steno service install` would write the same again."""
    pid: int | None
    """Of the daemon that the manager started; None: it runs none."""
    last_exit: str | None = None
    """How that daemon ended last, in the manager's words."""


def look_around(home: Path, environment: Mapping[str, str], daemon_pid: int | None) -> Service | None:
    """The service as it shows without asking its manager; None: none is installed.

    `environment`: of the daemon that runs, `daemon_pid`.
    """
    found = next((file for pattern in DEFINITIONS for file in home.glob(pattern)), None)
    if found is None:
        return None
    started_it = daemon_pid is not None and is_started_by_manager(environment, daemon_pid)
    return Service(found.stem, is_loaded=True, is_current=True, pid=daemon_pid if started_it else None)


def is_started_by_manager(environment: Mapping[str, str], pid: int) -> bool:
    """Whether launchd or systemd started the process `pid` with this environment."""
    # INVOCATION_ID is inherited by whatever a service starts; SYSTEMD_EXEC_PID names the one that systemd started.
    return environment.get("XPC_SERVICE_NAME", "").startswith(LABEL) or (
        environment.get("SYSTEMD_EXEC_PID") == str(pid)
    )


def service_findings(service: Service | None, daemon_pid: int | None) -> Iterator[Finding]:
    """`daemon_pid`: of the daemon that answers; None: none does."""
    if service is None:
        if daemon_pid is not None:
            what = "started by hand; `steno service install` would start it with your session"
            yield Finding(check="service", state="ok", what=what)
        return
    ended = f"; it ended last with {service.last_exit}" if service.last_exit else ""
    if not service.is_loaded:
        yield Finding(
            check="service",
            state="broken",
            what=f"the service {service.name} is installed, but its manager does not keep it{ended}",
            why="nobody starts the daemon after a crash or a restart of the machine",
            remedy="steno service install",
        )
    elif daemon_pid is None:
        yield Finding(
            check="service",
            state="broken",
            what=f"the service {service.name} is installed and no daemon of it answers{ended}",
            why="it should run at all times",
            remedy="steno service restart; `steno service status` tells more",
        )
    elif service.pid != daemon_pid:
        yield Finding(
            check="service",
            state="warning",
            what=f"the daemon (pid {daemon_pid}) was not started by the service {service.name}",
            why="it ends with the terminal that it was started in, and the service finds its place taken",
            remedy=f"kill {daemon_pid}; steno service restart",
        )
    elif not service.is_current:
        yield Finding(
            check="service",
            state="warning",
            what=f"the service {service.name} is not as `steno service install` would write it now",
            why="after an upgrade or a move it may start another Python, or with other settings",
            remedy="steno service install",
        )
    else:
        yield Finding(check="service", state="ok", what=f"kept running by the service {service.name}")
