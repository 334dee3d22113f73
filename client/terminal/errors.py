"""The two ways the daemon can let a command down, known before any library is loaded.

Runs in: the user's shell.
"""

from ipc.errors import OneReason, StenodError


class Refusal(StenodError):
    """The daemon, or this command before asking it, does not take the request."""


class NoDaemon(OneReason):
    """No daemon answers at the socket, or it stopped answering."""

    code = "no_daemon"
