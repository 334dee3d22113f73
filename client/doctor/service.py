"""Whether a service manager keeps the daemon running, and whether that is the daemon that runs.

Runs in: the user's shell.
"""

import sys
from collections.abc import Iterator

from client.doctor.check import Case, Check, broken, ok, warning
from client.machine.service import find_installed_service
from client.terminal.errors import Refusal
from ipc.status_views import Finding
from launchd.refusal import ServiceRefused
from launchd.state import ServiceState


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
        if not is_installed():
            if daemon_pid is not None:
                yield ok("service", "started by hand; `steno service install` would start it when you log in")
            return
        manager = find_installed_service(sys.platform, is_system=False, user=None)
        state = manager.look()
    except (Refusal, ServiceRefused) as silent:
        what = f"the service is installed, and its manager cannot be asked: {silent.message}"
        why = "whether the daemon comes back after a crash or a restart of the machine is not known"
        yield warning("service", what, why, silent.hint)
    else:
        # Not word for word: a definition carries the variables of the shell that installed it, this is another one.
        is_current = str(manager.installation.interpreter) in (state.definition or "")
        yield service_finding(f"the service {manager.name}", state, is_current, daemon_pid)


def service_finding(name: str, state: ServiceState, is_current: bool, daemon_pid: int | None) -> Finding:
    """`is_current`: whether it starts this installation's Python."""
    ended = f"; it last ended with {state.last_exit}" if state.last_exit else ""
    if not state.is_loaded:
        what = f"{name} is installed, but its manager does not run it{ended}"
        why = "nothing starts the daemon after a crash or a restart of the machine"
        return broken("service", what, why, "steno service install")
    if daemon_pid is None:
        what = f"{name} is installed, but its daemon does not answer{ended}"
        remedy = "steno service restart; `steno service status` tells more"
        return broken("service", what, "it should run at all times", remedy)
    if state.pid != daemon_pid:
        what = f"the daemon (pid {daemon_pid}) was not started by {name}"
        why = "it ends with the terminal that it was started in, and the service cannot start while it runs"
        return warning("service", what, why, f"kill {daemon_pid}; steno service restart")
    if not is_current:
        what = f"{name} starts the Python of another installation"
        why = "after an upgrade or a move it runs what was there before, or nothing"
        return warning("service", what, why, "steno service install")
    return ok("service", f"kept running by {name}")
