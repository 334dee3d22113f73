"""The error for a refused request of a client.

Runs in: supervisor.
"""

from ipc.errors import StenodError


class RequestRefused(StenodError):
    """The request is invalid, or the requested thing does not exist."""

    def __init__(self, status: int, code: str, message: str, hint: str) -> None:
        super().__init__(code, message, hint)
        self.status = status
        """HTTP status."""
