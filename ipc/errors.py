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
