"""What a person can do something about: the one shape of all refusals.

Runs in: every process.
"""


class StenodError(Exception):
    """A code that stays the same for scripts, a sentence that says what happened to what, and what to do."""

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    @property
    def in_full(self) -> str:
        """The sentence and what to do, as people read them."""
        return f"{self.message}; {self.hint}"


class OneReason(StenodError):
    """One whose code is its class's."""

    code: str

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(self.code, message, hint)
