"""What a client is refused with.

Runs in: supervisor.
"""

from ipc.errors import StenodError


class RequestRefused(StenodError):
    """The request is bad, or asks for what is not there."""

    def __init__(self, status: int, code: str, message: str, hint: str) -> None:
        super().__init__(code, message, hint)
        self.status = status
        """HTTP status."""
