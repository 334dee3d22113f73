"""What keeps a service from being installed, in words.

Runs in: the installer.
"""


class ServiceRefused(Exception):
    """launchd, systemd or the machine does not do what was asked; `hint` says what would help."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
