"""Whether a service manager keeps the daemon running, and whether that is the daemon that runs.

Runs in: the user's shell.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from client.doctor.check import Case, Check, broken, ok, warning
from client.machine.service import find_installed_service
from client.terminal.errors import Refusal
from ipc.status_views import Finding
from launchd.refusal import ServiceRefused


@dataclass(frozen=True, slots=True)
class Service:
    """What is known of the service of this installation."""

    name: str
    """As its manager calls it; for people."""
    is_loaded: bool
    """Whether the manager keeps it running, and has not given it up."""
    is_current: bool
    """Whether it starts this installation's Python."""
    pid: int | None
    """Of the daemon that the manager started; None: it runs none."""
    last_exit: str | None = None
    """How that daemon ended last, in the manager's words."""


def checks(case: Case) -> Iterator[Check]:
    daemon_pid = None if case.status is None else case.status.daemon.pid
    yield Check("Daemon", "service", lambda: look_at_service(daemon_pid))


def is_installed() -> bool:
    """Whether a definition for this home lies where a service manager looks."""
    try:
        return find_installed_service(sys.platform, is_system=False, user=None).definition_file.exists()
    except Refusal:
        return False


def look_at_service(daemon_pid: int | None) -> Iterator[Finding]:
    """What the manager itself says; `daemon_pid`: of the daemon that answers, None: none does."""
    try:
        service = _ask_manager() if is_installed() else None
    except (Refusal, ServiceRefused) as silent:
        what = f"the service is installed, and its manager cannot be asked: {silent.message}"
        why = "whether the daemon comes back after a crash or a restart of the machine is not known"
        yield warning("service", what, why, silent.hint)
    else:
        yield from service_findings(service, daemon_pid)


def _ask_manager() -> Service | None:
    manager = find_installed_service(sys.platform, is_system=False, user=None)
    state = manager.look()
    if state.definition is None:
        return None
    # Not word for word: a definition carries the variables of the shell that installed it, and this is another one.
    starts_us = str(manager.installation.interpreter) in state.definition
    return Service(manager.name, state.is_loaded, starts_us, state.pid, state.last_exit)


def service_findings(service: Service | None, daemon_pid: int | None) -> Iterator[Finding]:
    """`daemon_pid`: of the daemon that answers; None: none does."""
    if service is None:
        if daemon_pid is not None:
            yield ok("service", "started by hand; `steno service install` would start it when you log in")
        return
    name = f"the service {service.name}"
    ended = f"; it last ended with {service.last_exit}" if service.last_exit else ""
    if not service.is_loaded:
        what = f"{name} is installed, but its manager does not run it{ended}"
        why = "nothing starts the daemon after a crash or a restart of the machine"
        yield broken("service", what, why, "steno service install")
    elif daemon_pid is None:
        what = f"{name} is installed, but its daemon does not answer{ended}"
        remedy = "steno service restart; `steno service status` tells more"
        yield broken("service", what, "it should run at all times", remedy)
    elif service.pid != daemon_pid:
        what = f"the daemon (pid {daemon_pid}) was not started by {name}"
        why = "it ends with the terminal that it was started in, and the service cannot start while it runs"
        yield warning("service", what, why, f"kill {daemon_pid}; steno service restart")
    elif not service.is_current:
        what = f"{name} starts the Python of another installation"
        why = "after an upgrade or a move it runs what was there before, or nothing"
        yield warning("service", what, why, "steno service install")
    else:
        yield ok("service", f"kept running by {name}")
