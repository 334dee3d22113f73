"""Notifies systemd that the daemon is ready, alive, or stopping: sd_notify(3) in a datagram.

Runs in: supervisor.
"""

import socket
from collections.abc import MutableMapping

SOCKET, EVERY_USEC, FOR_PID = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"


class ServiceNotice:
    """For a service with Type=notify; otherwise sends nothing. Never raises and never waits."""

    def __init__(self, environment: MutableMapping[str, str], pid: int) -> None:
        """Removes the variables: workers and hooks must not speak for the daemon."""
        self._kept = {name: environment.pop(name) for name in (SOCKET, EVERY_USEC, FOR_PID) if name in environment}
        told = self._kept.get(EVERY_USEC, "")
        is_ours = self._kept.get(FOR_PID, str(pid)) == str(pid)
        self.watchdog_seconds = int(told) / 1e6 if told.isdecimal() and int(told) > 0 and is_ours else None
        """systemd's watchdog interval; None: it has none."""

    def say(self, what: str) -> None:
        """`READY=1`, `WATCHDOG=1`, `STOPPING=1` …"""
        address = self._kept.get(SOCKET, "")
        if not address.startswith(("/", "@")):
            return
        if address.startswith("@"):
            address = "\0" + address[1:]
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
                line.setblocking(False)
                line.sendto(what.encode(), address)
        except OSError:
            return  # the receiver is gone; the daemon does not depend on it
