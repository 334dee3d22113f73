"""The two ways the daemon can let a command down, known before any library is loaded.

Runs in: the user's shell.
"""

from ipc.errors import StenodError


class Refusal(StenodError):
    """The daemon, or this command before asking it, does not take the request."""


class NoDaemon(Exception):
    """No daemon answers at the socket, or it stopped answering."""

    def __init__(self, message: str, hint: str = "`steno serve` starts it") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
