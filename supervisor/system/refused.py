"""What a client is refused with.

Runs in: supervisor.
"""


class Refused(Exception):
    """The request is bad, or asks for what is not there."""

    def __init__(self, status: int, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status."""
        self.code = code
        self.message = message
        self.hint = hint
