"""What a service manager knows of the daemon: a value.

Runs in: the installer.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ServiceState:
    """As of now."""

    definition: str | None
    """The plist or unit as it is on disk; None: not installed."""
    is_loaded: bool
    """Whether the service manager keeps it: has it in memory (launchd), enabled and not given up (systemd)."""
    words: str
    """The manager's own word for its state: `running`, `not running`, `activating (auto-restart)`."""
    pid: int | None
    last_exit: str | None
    """How the daemon ended last, in the manager's words; None: it has not, or it is not known."""
    last_exit_code: int | None = None

    @property
    def is_idle(self) -> bool:
        """Whether the manager itself says that it runs no daemon. What it does not tell is no such word."""
        return not self.is_loaded or (self.pid is None and self.words not in ("running", "loaded"))


def read_definition(file: Path) -> str | None:
    """The file's text, None without one; whatever it says, it is only compared."""
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
