"""The base class of all errors that a user can do something about.

Runs in: every process.
"""


class StenodError(Exception):
    """A stable code for scripts, a sentence that says what happened to what, and a hint that says what to do."""

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    @property
    def in_full(self) -> str:
        """The sentence and the hint, for people."""
        return f"{self.message}; {self.hint}"


class OneReason(StenodError):
    """An error whose code is fixed by its class."""

    code: str

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(self.code, message, hint)
