"""The two errors that end a command with a sentence, known before any library is loaded.

Runs in: the user's shell.
"""

from ipc.errors import StenodError


class Refusal(StenodError):
    """The daemon, or this command before asking it, does not take the request."""


class NoDaemon(StenodError):
    """No daemon answers at the socket, or it stopped answering."""

    def __init__(self, message: str, hint: str = "`steno serve` starts it") -> None:
        super().__init__("no_daemon", message, hint)


def fault_words(message: str) -> str:
    """What pydantic finds wrong with a value, in the user's words."""
    plain = message.removeprefix("Value error, ")
    return plain.replace("Input should be", "must be").replace("String should have", "must have")
