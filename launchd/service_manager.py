"""What launchd and systemd have in common, and the one that this platform has.

Runs in: the installer.
"""

from pathlib import Path
from typing import Protocol

from launchd.installation import Installation
from launchd.launch_agent import Launchd
from launchd.plan import InstallStep, Run
from launchd.run_command import Answer
from launchd.state import ServiceState
from launchd.systemd import Systemd


class ServiceManager(Protocol):
    """Looks, plans and explains; it changes nothing. `launchd.apply` does."""

    @property
    def installation(self) -> Installation: ...
    @property
    def kind(self) -> str:
        """`LaunchAgent`, `LaunchDaemon`, `systemd user unit`, `systemd unit`."""

    @property
    def name(self) -> str:
        """What the manager calls it."""

    @property
    def definition_file(self) -> Path: ...
    @property
    def definition(self) -> str:
        """The plist or unit as `install` would write it."""

    @property
    def stderr_place(self) -> str:
        """Where the daemon's stderr can be read: a file, or a command."""

    def look(self) -> ServiceState:
        """Raises ServiceRefused where the manager cannot be asked."""

    def install(self, now: ServiceState) -> tuple[InstallStep, ...]:
        """None if everything is as it should be."""

    def uninstall(self, now: ServiceState) -> tuple[InstallStep, ...]: ...
    def restart(self, now: ServiceState) -> tuple[InstallStep, ...]:
        """For a service that is installed."""

    def explain(self, failed: Run, answer: Answer) -> tuple[str, str]:
        """What a command's failure means, and what to do about it."""


def service_manager(installation: Installation) -> ServiceManager:
    """launchd on a Mac, systemd elsewhere."""
    return Launchd(installation) if installation.platform == "darwin" else Systemd(installation)
