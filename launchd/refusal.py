"""What keeps a service from being installed, in words.

Runs in: the installer.
"""

from ipc.errors import OneReason


class ServiceRefused(OneReason):
    """launchd, systemd or the machine does not do what was asked."""

    code = "service_refused"
