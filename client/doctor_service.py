"""Who keeps the daemon running, and whether it will be there again after a restart of the machine.

Runs in: the user's shell.
"""

from collections.abc import Mapping
from pathlib import Path

from ipc.status_views import Finding

LABEL = "dev.stenod"
"""Of the job that launchd knows; what else macOS puts into XPC_SERVICE_NAME names a terminal."""
DEFINITIONS = ("Library/LaunchAgents/dev.stenod*.plist", ".config/systemd/user/stenod*.service")
"""What `steno service install` leaves in a home."""


def is_installed(home: Path) -> bool:
    """Whether a service manager of this user was told of stenod."""
    return any(found for pattern in DEFINITIONS for found in home.glob(pattern))


def keeper_of(environment: Mapping[str, str], pid: int) -> str | None:
    """The service manager that started the process `pid` with this environment; None: a person did."""
    if environment.get("XPC_SERVICE_NAME", "").startswith(LABEL):
        return "launchd"
    # INVOCATION_ID is inherited by whatever a service starts; this names the one process that systemd itself started.
    if environment.get("SYSTEMD_EXEC_PID") == str(pid):
        return "systemd"
    return None


def service_findings(environment: Mapping[str, str], pid: int) -> list[Finding]:
    """`environment` and `pid`: of the daemon that runs."""
    manager = keeper_of(environment, pid)
    if manager is None:
        what = "started by hand; `steno service install` would start it with your session"
    else:
        what = f"kept running by {manager}"
    return [Finding(check="service", state="ok", what=what)]
